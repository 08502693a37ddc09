//! Largest timestamp so far → offset (class `TimeIndex`). Entry: int64 timestamp, int32 offset − base.

use std::{io, path::Path};

use super::index::{EntryFile, corrupt};
use crate::common::{Offset, Timestamp, ids::NO_TIMESTAMP};

pub const ENTRY_SIZE: usize = 12;

/// The largest timestamp so far and the last offset of the batch that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimestampOffset {
    pub timestamp: Timestamp,
    pub offset: Offset,
}

#[derive(Debug)]
pub struct TimeIndex {
    base_offset: Offset,
    entries: EntryFile<ENTRY_SIZE>,
    last: TimestampOffset,
}

impl TimeIndex {
    #[must_use]
    pub fn empty(base_offset: Offset) -> Self {
        Self { base_offset, entries: EntryFile::default(), last: begin(base_offset) }
    }

    pub fn load(base_offset: Offset, path: &Path) -> io::Result<Self> {
        let mut index = Self { base_offset, entries: EntryFile::load(path)?, last: begin(base_offset) };
        index.last = index.read_last(path)?;
        if index.entries.len() > 1 {
            let first = index.parse(&index.entries.reader(path).get(0)?);
            if index.last.timestamp <= first.timestamp || index.last.offset < first.offset {
                return Err(corrupt(path, "entries are not in rising order"));
            }
        }
        if index.last.offset < base_offset {
            return Err(corrupt(path, "last offset is below the base offset"));
        }
        Ok(index)
    }

    #[must_use]
    pub fn entries(&self) -> usize {
        self.entries.len()
    }

    /// Full one entry early, so that sealing the segment always has room for its last one.
    #[must_use]
    pub fn is_full(&self, index_bytes_max: i32) -> bool {
        self.entries.len() + 1 >= usize::try_from(index_bytes_max).unwrap_or(0) / ENTRY_SIZE
    }

    #[must_use]
    pub fn last(&self) -> TimestampOffset {
        self.last
    }

    /// Adds an entry if it moves time forward.
    pub fn maybe_append(&mut self, entry: TimestampOffset) {
        if entry.timestamp <= self.last.timestamp || entry.offset < self.last.offset {
            return;
        }
        let Ok(relative) = i32::try_from(entry.offset - self.base_offset) else { return };
        let mut bytes = [0; ENTRY_SIZE];
        bytes[..8].copy_from_slice(&entry.timestamp.to_be_bytes());
        bytes[8..].copy_from_slice(&relative.to_be_bytes());
        self.last = entry;
        self.entries.push(bytes);
    }

    /// Whether so many entries wait in memory that they should be written.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.entries.is_due()
    }

    /// The last entry at or before `timestamp`; the segment's begin if there is none.
    pub fn lookup(&self, timestamp: Timestamp, path: &Path) -> io::Result<TimestampOffset> {
        let mut reader = self.entries.reader(path);
        let above = reader.partition_point(|entry| self.parse(entry).timestamp <= timestamp)?;
        match above.checked_sub(1) {
            Some(at) => Ok(self.parse(&reader.get(at)?)),
            None => Ok(begin(self.base_offset)),
        }
    }

    /// Drops entries for `offset` and beyond.
    pub fn truncate_to(&mut self, offset: Offset, path: &Path) -> io::Result<()> {
        let keep = self.entries.reader(path).partition_point(|entry| self.parse(entry).offset < offset)?;
        self.entries.truncate(keep, path)?;
        self.last = self.read_last(path)?;
        Ok(())
    }

    pub fn spill(&mut self, path: &Path) -> io::Result<bool> {
        self.entries.spill(path)
    }

    pub fn reset(&mut self, path: &Path) -> io::Result<()> {
        self.last = begin(self.base_offset);
        self.entries.reset(path)
    }

    fn read_last(&self, path: &Path) -> io::Result<TimestampOffset> {
        Ok(self.entries.last(path)?.map_or(begin(self.base_offset), |entry| self.parse(&entry)))
    }

    fn parse(&self, entry: &[u8; ENTRY_SIZE]) -> TimestampOffset {
        let [a, b, c, d, e, f, g, h, p, q, r, s] = *entry;
        TimestampOffset {
            timestamp: i64::from_be_bytes([a, b, c, d, e, f, g, h]),
            offset: self.base_offset + i64::from(i32::from_be_bytes([p, q, r, s])),
        }
    }
}

fn begin(base_offset: Offset) -> TimestampOffset {
    TimestampOffset { timestamp: NO_TIMESTAMP, offset: base_offset }
}
