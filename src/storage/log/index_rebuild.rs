//! Writing a segment's indexes anew from its batches.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::{
    file_records::BatchAt,
    segment::{INDEX_SUFFIX, Indexes, Segment, TIME_INDEX_SUFFIX},
    time_index::TimestampOffset,
};
use crate::common::Timestamp;

/// Indexes that are being written anew.
pub struct IndexRebuild<'a> {
    indexes: &'a mut Indexes,
    offsets_path: PathBuf,
    times_path: PathBuf,
    max: TimestampOffset,
    first: Option<Timestamp>,
    last_entry_at: u64,
}

/// Rebuilding never knows the configuration of the day the segment was written; any sparse index is a right one.
const REBUILD_INTERVAL_BYTES: u64 = 4096;

impl<'a> IndexRebuild<'a> {
    pub(super) fn begin(indexes: &'a mut Indexes, segment: &Segment, dir: &Path) -> io::Result<Self> {
        let (offsets_path, times_path) = (segment.path(dir, INDEX_SUFFIX), segment.path(dir, TIME_INDEX_SUFFIX));
        indexes.offsets.reset(&offsets_path)?;
        indexes.times.reset(&times_path)?;
        let max = indexes.times.last();
        Ok(Self { indexes, offsets_path, times_path, max, first: None, last_entry_at: 0 })
    }

    pub fn add(&mut self, batch: &BatchAt) -> io::Result<()> {
        let last_offset = batch.header.last_offset();
        self.first = self.first.or(Some(batch.header.max_timestamp));
        if batch.header.max_timestamp > self.max.timestamp {
            self.max = TimestampOffset { timestamp: batch.header.max_timestamp, offset: last_offset };
        }
        if batch.position - self.last_entry_at > REBUILD_INTERVAL_BYTES {
            self.indexes.offsets.append(last_offset, batch.position);
            self.indexes.times.maybe_append(self.max);
            self.last_entry_at = batch.position;
        }
        if self.indexes.offsets.is_due() {
            self.indexes.offsets.spill(&self.offsets_path)?;
            self.indexes.times.spill(&self.times_path)?;
        }
        Ok(())
    }

    pub(super) fn finish(self) -> io::Result<()> {
        self.indexes.times.maybe_append(self.max);
        self.indexes.offsets.spill(&self.offsets_path)?;
        self.indexes.times.spill(&self.times_path)?;
        self.indexes.loaded = true;
        self.indexes.max_timestamp = Some(self.max);
        self.indexes.first_timestamp = self.first;
        self.indexes.bytes_since_entry = 0;
        Ok(())
    }
}
