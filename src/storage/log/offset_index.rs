//! Offset → position in the segment, sparse (class `OffsetIndex`). Entry: int32 offset − base, int32 position.

use std::{io, path::Path};

use super::index::EntryFile;
use crate::common::Offset;

pub const ENTRY_SIZE: usize = 8;

/// A batch begins at `position`, and the append it came with ended at `offset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffsetPosition {
    pub offset: Offset,
    pub position: u64,
}

#[derive(Debug)]
pub struct OffsetIndex {
    base_offset: Offset,
    entries: EntryFile<ENTRY_SIZE>,
    last_offset: Offset,
}

impl OffsetIndex {
    #[must_use]
    pub fn empty(base_offset: Offset) -> Self {
        Self { base_offset, entries: EntryFile::default(), last_offset: base_offset }
    }

    pub fn load(base_offset: Offset, path: &Path) -> io::Result<Self> {
        let mut index = Self { base_offset, entries: EntryFile::load(path)?, last_offset: base_offset };
        index.last_offset = index.last(path)?.offset;
        if index.last_offset < base_offset {
            return Err(super::index::corrupt(path, "last offset is below the base offset"));
        }
        Ok(index)
    }

    #[must_use]
    pub fn entries(&self) -> usize {
        self.entries.len()
    }

    /// Whether `segment.index.bytes` are used up.
    #[must_use]
    pub fn is_full(&self, index_bytes_max: i32) -> bool {
        self.entries.len() >= usize::try_from(index_bytes_max).unwrap_or(0) / ENTRY_SIZE
    }

    /// Adds an entry unless it would not be the last one.
    pub fn append(&mut self, offset: Offset, position: u64) {
        let (Ok(relative), Ok(position)) = (i32::try_from(offset - self.base_offset), i32::try_from(position)) else {
            return;
        };
        if relative < 0 || (!self.entries.is_empty() && offset <= self.last_offset) {
            return;
        }
        let mut entry = [0; ENTRY_SIZE];
        entry[..4].copy_from_slice(&relative.to_be_bytes());
        entry[4..].copy_from_slice(&position.to_be_bytes());
        self.last_offset = offset;
        self.entries.push(entry);
    }

    /// Whether so many entries wait in memory that they should be written.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.entries.is_due()
    }

    /// The last entry at or below `offset`; the segment's begin if there is none.
    pub fn lookup(&self, offset: Offset, path: &Path) -> io::Result<OffsetPosition> {
        let mut reader = self.entries.reader(path);
        let above = reader.partition_point(|entry| self.parse(entry).offset <= offset)?;
        match above.checked_sub(1) {
            Some(at) => Ok(self.parse(&reader.get(at)?)),
            None => Ok(self.begin()),
        }
    }

    /// Offset of the first entry at or beyond `position`: nothing below that position has a larger one.
    pub fn upper_bound_offset(&self, position: u64, path: &Path) -> io::Result<Option<Offset>> {
        let mut reader = self.entries.reader(path);
        let at = reader.partition_point(|entry| self.parse(entry).position < position)?;
        if at == self.entries.len() { Ok(None) } else { Ok(Some(self.parse(&reader.get(at)?).offset)) }
    }

    pub fn last(&self, path: &Path) -> io::Result<OffsetPosition> {
        Ok(self.entries.last(path)?.map_or(self.begin(), |entry| self.parse(&entry)))
    }

    /// Drops entries for `offset` and beyond.
    pub fn truncate_to(&mut self, offset: Offset, path: &Path) -> io::Result<()> {
        let keep = self.entries.reader(path).partition_point(|entry| self.parse(entry).offset < offset)?;
        self.entries.truncate(keep, path)?;
        self.last_offset = self.last(path)?.offset;
        Ok(())
    }

    pub fn spill(&mut self, path: &Path) -> io::Result<bool> {
        self.entries.spill(path)
    }

    pub fn reset(&mut self, path: &Path) -> io::Result<()> {
        self.last_offset = self.base_offset;
        self.entries.reset(path)
    }

    fn begin(&self) -> OffsetPosition {
        OffsetPosition { offset: self.base_offset, position: 0 }
    }

    fn parse(&self, entry: &[u8; ENTRY_SIZE]) -> OffsetPosition {
        let [a, b, c, d, p, q, r, s] = *entry;
        OffsetPosition {
            offset: self.base_offset + i64::from(i32::from_be_bytes([a, b, c, d])),
            position: u64::from(u32::from_be_bytes([p, q, r, s])),
        }
    }
}
