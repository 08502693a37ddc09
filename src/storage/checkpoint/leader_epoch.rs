//! Where each leader epoch begins in one log (class `LeaderEpochCheckpointFile`).

use std::{fmt::Write, io, path::Path};

use super::{Durability, entry_lines, malformed, read_text, write_atomically};
use crate::common::{LeaderEpoch, Offset};

pub const FILE_NAME: &str = "leader-epoch-checkpoint";

/// One leadership: its epoch and the offset its first record has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochEntry {
    pub epoch: LeaderEpoch,
    pub start_offset: Offset,
}

/// `None` if the file is missing or empty, which a log that holds data does not have unless something went wrong.
pub fn read(path: &Path) -> io::Result<Option<Vec<EpochEntry>>> {
    let Some(text) = read_text(path)? else { return Ok(None) };
    if text.is_empty() {
        return Ok(None);
    }
    entry_lines(&text)?
        .into_iter()
        .map(|line| entry(line).ok_or_else(|| malformed(line)))
        .collect::<io::Result<_>>()
        .map(Some)
}

fn entry(line: &str) -> Option<EpochEntry> {
    let mut words = line.split_whitespace();
    let entry = EpochEntry { epoch: words.next()?.parse().ok()?, start_offset: words.next()?.parse().ok()? };
    (words.next().is_none() && entry.epoch >= 0 && entry.start_offset >= 0).then_some(entry)
}

pub fn write(path: &Path, entries: &[EpochEntry], durability: Durability) -> io::Result<()> {
    let mut text = format!("0\n{}\n", entries.len());
    for entry in entries {
        let _ = writeln!(text, "{} {}", entry.epoch, entry.start_offset);
    }
    write_atomically(path, text.as_bytes(), durability)
}
