//! What a crash leaves of a broker's folder.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use monedula::storage::{LogManager, UnifiedLog};
use rand::{Rng, rngs::SmallRng};

/// How a broker ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// The process died; the system keeps what was written.
    Nothing,
    /// The power went: of what was not synced any part may be missing, to the byte.
    Unsynced,
}

/// Copies `from` into `to` as the next life finds it. The old life may go on writing into `from`: nobody looks there.
pub fn survive(logs: &LogManager, from: &Path, to: &Path, loss: Loss, random: &mut SmallRng) {
    copy(from, to);
    if loss == Loss::Nothing {
        return;
    }
    for (_, log) in logs.all() {
        tear(&log, from, to, random);
    }
}

/// Cuts the newest segment somewhere behind the recovery point.
fn tear(log: &Arc<UnifiedLog>, from: &Path, to: &Path, random: &mut SmallRng) {
    let dir = log.dir();
    let Ok(within) = dir.strip_prefix(from) else { return };
    let mut segments: Vec<PathBuf> = fs::read_dir(to.join(within))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == "log"))
        .collect();
    segments.sort();
    let Some(newest) = segments.pop() else { return };
    let bytes = fs::read(&newest).unwrap();
    let synced = position_of(&bytes, log.recovery_point());
    let kept = random.random_range(synced..=bytes.len());
    fs::OpenOptions::new().write(true).open(&newest).unwrap().set_len(kept as u64).unwrap();
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
