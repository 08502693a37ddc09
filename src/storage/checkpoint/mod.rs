//! Small text files that are replaced as a whole: written beside, synced, renamed (class `CheckpointFile`).

pub mod clean_shutdown;
pub mod leader_epoch;
pub mod offset;
pub mod partition_metadata;

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// Whether a replaced file must be on the platter before the call returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    Synced,
    /// The caller syncs later, or can do without the file after a power cut.
    Later,
}

/// Replaces `path` by `content`: a reader sees the old file or the new one, never a part.
pub fn write_atomically(path: &Path, content: &[u8], durability: Durability) -> io::Result<()> {
    let tmp = with_suffix(path, ".tmp");
    let mut file = File::create(&tmp)?;
    file.write_all(content)?;
    if durability == Durability::Synced {
        file.sync_all()?;
    }
    drop(file);
    fs::rename(&tmp, path)?;
    match (durability, path.parent()) {
        (Durability::Synced, Some(dir)) => sync_dir(dir),
        _ => Ok(()),
    }
}

/// Makes creations, renames and deletions in `dir` survive a power cut.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    #[cfg(test)]
    synced::note(dir);
    File::open(dir)?.sync_all()
}

#[must_use]
pub fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The entries' lines of a version-0 checkpoint. An empty file has none; anything else that is not `version`,
/// `count` and then exactly that many lines is an error of kind `InvalidData`.
fn entry_lines(text: &str) -> io::Result<Vec<&str>> {
    let mut lines = text.lines();
    let Some(version) = lines.next() else { return Ok(Vec::new()) };
    if version.trim() != "0" {
        return Err(malformed(&format!("unknown version {version:?}")));
    }
    let Some(count) = lines.next() else { return Ok(Vec::new()) };
    let count: usize = count.trim().parse().map_err(|_| malformed(&format!("bad entry count {count:?}")))?;
    let entries: Vec<&str> = lines.collect();
    if entries.len() != count {
        return Err(malformed(&format!("{count} entries announced, {} found", entries.len())));
    }
    Ok(entries)
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("malformed checkpoint: {what}"))
}

/// The file's text; `None` if there is no file.
fn read_text(path: &Path) -> io::Result<Option<String>> {
    match fs::read(path) {
        Ok(bytes) => String::from_utf8(bytes).map(Some).map_err(|_| malformed("not UTF-8")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// What a test can know of syncs: that they were asked for.
#[cfg(test)]
pub mod synced {
    use std::{
        cell::RefCell,
        path::{Path, PathBuf},
    };

    thread_local! {
        static DIRS: RefCell<Vec<PathBuf>> = const { RefCell::new(Vec::new()) };
    }

    pub(super) fn note(dir: &Path) {
        DIRS.with_borrow_mut(|dirs| dirs.push(dir.to_owned()));
    }

    /// The directories synced by this thread since the last call, in order.
    pub fn take() -> Vec<PathBuf> {
        DIRS.take()
    }
}
