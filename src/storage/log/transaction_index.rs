//! Aborted transactions of one segment (class `TransactionIndex`). The file exists only if there are any.
//!
//! Entry, 34 bytes: int16 version 0, int64 producer id, int64 first offset, int64 last offset, int64 last stable offset.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    path::Path,
};

use super::index::corrupt;
use crate::common::{Offset, ProducerId};

pub const ENTRY_SIZE: usize = 34;

/// A transaction that ended with an ABORT marker at `last_offset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbortedEntry {
    pub producer_id: ProducerId,
    pub first_offset: Offset,
    pub last_offset: Offset,
    /// The last stable offset once this transaction had ended.
    pub last_stable_offset: Offset,
}

impl AbortedEntry {
    fn to_bytes(self) -> [u8; ENTRY_SIZE] {
        let mut bytes = [0; ENTRY_SIZE];
        let fields = [self.producer_id, self.first_offset, self.last_offset, self.last_stable_offset];
        for (at, field) in fields.into_iter().enumerate() {
            bytes[2 + at * 8..10 + at * 8].copy_from_slice(&field.to_be_bytes());
        }
        bytes
    }

    fn parse(bytes: &[u8; ENTRY_SIZE]) -> Option<Self> {
        let field = |at: usize| {
            let mut long = [0; 8];
            long.copy_from_slice(&bytes[2 + at * 8..10 + at * 8]);
            i64::from_be_bytes(long)
        };
        (bytes[..2] == [0, 0]).then(|| Self {
            producer_id: field(0),
            first_offset: field(1),
            last_offset: field(2),
            last_stable_offset: field(3),
        })
    }
}

pub fn append(path: &Path, entry: AbortedEntry) -> io::Result<()> {
    OpenOptions::new().append(true).create(true).open(path)?.write_all(&entry.to_bytes())
}

/// All entries; `InvalidData` if one cannot belong to a segment that begins at `base_offset`.
pub fn read(path: &Path, base_offset: Offset) -> io::Result<Vec<AbortedEntry>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let (chunks, rest) = bytes.as_chunks::<ENTRY_SIZE>();
    let mut entries: Vec<AbortedEntry> = Vec::with_capacity(chunks.len());
    for chunk in chunks {
        let entry = AbortedEntry::parse(chunk).ok_or_else(|| corrupt(path, "unknown version of an entry"))?;
        let previous = entries.last().map_or(base_offset - 1, |last| last.last_offset);
        if entry.last_offset <= previous || entry.first_offset >= entry.last_offset || entry.producer_id < 0 {
            return Err(corrupt(path, "entries do not rise"));
        }
        entries.push(entry);
    }
    if rest.is_empty() { Ok(entries) } else { Err(corrupt(path, "size is not a multiple of an entry's")) }
}

/// Drops transactions that end at or beyond `offset`.
pub fn truncate_to(path: &Path, base_offset: Offset, offset: Offset) -> io::Result<()> {
    let entries = read(path, base_offset)?;
    let keep = entries.partition_point(|entry| entry.last_offset < offset);
    if keep < entries.len() {
        OpenOptions::new().write(true).open(path)?.set_len((keep * ENTRY_SIZE) as u64)?;
    }
    Ok(())
}

/// Removes the file, if it is there.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appends_and_truncates() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.txnindex");
        assert!(read(&path, 0).unwrap().is_empty());
        let entries: Vec<_> = (0..3)
            .map(|n| AbortedEntry {
                producer_id: n,
                first_offset: n * 10,
                last_offset: n * 10 + 5,
                last_stable_offset: n * 10 + 6,
            })
            .collect();
        for entry in &entries {
            append(&path, *entry).unwrap();
        }
        assert_eq!(read(&path, 0).unwrap(), entries);
        truncate_to(&path, 0, 15).unwrap();
        assert_eq!(read(&path, 0).unwrap(), entries[..1]);
        for garbage in [vec![1u8; 34], vec![0; 33], vec![0; 68], vec![0xff; 34]] {
            fs::write(&path, &garbage).unwrap();
            assert!(read(&path, 0).is_err());
        }
    }
}
