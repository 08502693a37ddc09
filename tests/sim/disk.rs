//! What a crash leaves of a broker's folder.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use monedula::storage::{LogManager, UnifiedLog};
use rand::{Rng, rngs::SmallRng};
use tempfile::TempDir;

/// Where the disks are: in memory if there is room, for what is synced there waits for nothing.
pub fn room() -> TempDir {
    const MEMORY: &str = "/dev/shm";
    let free = rustix::fs::statvfs(MEMORY).map_or(0, |it| it.f_bavail.saturating_mul(it.f_frsize));
    let dir = if free > 1 << 30 { tempfile::tempdir_in(MEMORY) } else { tempfile::tempdir() };
    let mut dir = dir.unwrap();
    if std::env::var_os("SIM_KEEP").is_some() {
        println!("the disks are kept at {}", dir.path().display());
        dir.disable_cleanup(true);
    }
    dir
}

/// How a broker ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// The process died; the system keeps what was written.
    Nothing,
    /// The power went: of what was not synced any part may be missing, to the byte.
    Unsynced,
}

/// Copies `from` into `to` as the next life finds it. The old life may go on writing into `from`: nobody looks there.
/// Returns how many bytes the power cut took.
pub fn survive(logs: &LogManager, from: &Path, to: &Path, loss: Loss, random: &mut SmallRng) -> u64 {
    copy(from, to);
    if loss == Loss::Nothing {
        return 0;
    }
    let mut all = logs.all();
    all.sort_by(|one, other| one.0.cmp(&other.0));
    all.iter().map(|(_, log)| tear(log, from, to, random)).sum()
}

/// Cuts every segment that has something behind the recovery point, each somewhere of its own: pages reach the disk in any
/// order, so a later segment may have kept what an earlier one lost. Its indexes were not synced either.
fn tear(log: &Arc<UnifiedLog>, from: &Path, to: &Path, random: &mut SmallRng) -> u64 {
    let dir = log.dir();
    let Ok(within) = dir.strip_prefix(from) else { return 0 };
    let mut lost = 0;
    for segment in log_files(&to.join(within)) {
        let bytes = fs::read(&segment).unwrap();
        let synced = position_of(&bytes, log.recovery_point());
        let kept = random.random_range(synced..=bytes.len());
        lost += (bytes.len() - kept) as u64;
        fs::OpenOptions::new().write(true).open(&segment).unwrap().set_len(kept as u64).unwrap();
        if synced < bytes.len() {
            for index in ["index", "timeindex"] {
                let _ = fs::remove_file(segment.with_extension(index));
            }
        }
    }
    lost
}

/// The segments of a log by base offset.
pub fn log_files(dir: &Path) -> Vec<PathBuf> {
    let mut segments: Vec<PathBuf> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == "log"))
        .collect();
    segments.sort();
    segments
}

/// Where the first batch at or behind `offset` begins.
fn position_of(bytes: &[u8], offset: i64) -> usize {
    let mut at = 0;
    while let Some(head) = bytes.get(at..at + 12) {
        let base = i64::from_be_bytes(head[..8].try_into().unwrap());
        let length = i32::from_be_bytes(head[8..].try_into().unwrap()) as usize;
        if base >= offset || at + 12 + length > bytes.len() {
            break;
        }
        at += 12 + length;
    }
    at
}

pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
