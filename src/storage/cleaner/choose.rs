//! Which part of a log may be cleaned, which log needs it most, and which segments become one (classes
//! `LogCleanerManager`, `LogToClean`). Values in, values out.

use crate::common::{Offset, Timestamp};

/// A segment as the choice sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentFacts {
    pub base_offset: Offset,
    pub bytes: u64,
}

/// A log as the choice sees it.
#[derive(Debug, Clone, Copy)]
pub struct LogFacts<'a> {
    pub log_start_offset: Offset,
    pub log_end_offset: Offset,
    pub last_stable_offset: Offset,
    /// In order, the active one last. Not empty.
    pub segments: &'a [SegmentFacts],
    /// `min.compaction.lag.ms`
    pub min_lag_ms: i64,
    /// `max.compaction.lag.ms`
    pub max_lag_ms: i64,
}

/// Offsets to clean: from the first dirty one up to, not including, the first that must wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffsetsToClean {
    pub first_dirty: Offset,
    pub first_uncleanable: Offset,
    /// The checkpoint was of no use and must be written anew.
    pub resets_checkpoint: bool,
}

/// Bytes on both sides of the first dirty offset.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dirtiness {
    /// Where the first segment begins that is not cleaned.
    pub first_uncleanable_segment: Offset,
    pub clean_bytes: u64,
    pub cleanable_bytes: u64,
}

impl Dirtiness {
    #[must_use]
    pub const fn total_bytes(&self) -> u64 {
        self.clean_bytes + self.cleanable_bytes
    }

    /// Share of the bytes that are dirty; 0 for an empty log.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        if self.total_bytes() == 0 { 0.0 } else { self.cleanable_bytes as f64 / self.total_bytes() as f64 }
    }
}

impl LogFacts<'_> {
    fn active(&self) -> Offset {
        self.segments.last().map_or(self.log_end_offset, |segment| segment.base_offset)
    }

    /// Index of the segment that holds `offset`, or of the first one.
    fn floor(&self, offset: Offset) -> usize {
        self.segments.partition_point(|segment| segment.base_offset <= offset).saturating_sub(1)
    }

    /// Indexes of the sealed segments from the one that holds `offset` on.
    fn sealed_from(&self, offset: Offset) -> std::ops::Range<usize> {
        let end = self.segments.len().saturating_sub(1);
        if offset >= self.active() { end..end } else { self.floor(offset)..end }
    }

    /// The range to clean. `largest_timestamp` is asked of sealed segments by index, and only if there is a lag to keep.
    pub fn offsets_to_clean<E>(
        &self,
        checkpoint: Option<Offset>,
        now: Timestamp,
        largest_timestamp: &mut dyn FnMut(usize) -> Result<Timestamp, E>,
    ) -> Result<OffsetsToClean, E> {
        let start = self.log_start_offset;
        let wanted = checkpoint.unwrap_or(start);
        // Below the start: records were deleted. Beyond the end: the log lost its tail, and nobody knows what is clean.
        let resets_checkpoint = wanted < start || wanted > self.log_end_offset;
        let first_dirty = if resets_checkpoint { start } else { wanted };
        let mut first_uncleanable = self.last_stable_offset.min(self.active());
        if self.min_lag_ms > 0 {
            for at in self.sealed_from(first_dirty) {
                if largest_timestamp(at)? > now.saturating_sub(self.min_lag_ms) {
                    first_uncleanable = first_uncleanable.min(self.segments[at].base_offset);
                    break;
                }
            }
        }
        Ok(OffsetsToClean { first_dirty, first_uncleanable: first_uncleanable.max(first_dirty), resets_checkpoint })
    }

    #[must_use]
    pub fn dirtiness(&self, offsets: &OffsetsToClean) -> Dirtiness {
        let sealed = self.sealed_from(offsets.first_uncleanable);
        let first_uncleanable_segment =
            self.segments.get(sealed.start).map_or_else(|| self.active(), |segment| segment.base_offset);
        let bytes = |from: usize, to: Offset| -> u64 {
            let segments = self.segments.iter().skip(from);
            segments.take_while(|segment| segment.base_offset < to).map(|segment| segment.bytes).sum()
        };
        let from = offsets.first_dirty.min(first_uncleanable_segment);
        let cleanable_bytes =
            if from == first_uncleanable_segment { 0 } else { bytes(self.floor(from), first_uncleanable_segment) };
        Dirtiness { first_uncleanable_segment, clean_bytes: bytes(0, offsets.first_dirty), cleanable_bytes }
    }

    /// How long the log's oldest dirty records have waited beyond `max.compaction.lag.ms`; 0 if they have not.
    /// `first_timestamp` is asked of sealed segments by index: the largest timestamp of the first batch.
    pub fn compaction_delay_ms<E>(
        &self,
        first_dirty: Offset,
        now: Timestamp,
        first_timestamp: &mut dyn FnMut(usize) -> Result<Timestamp, E>,
    ) -> Result<i64, E> {
        let clean_until = now.saturating_sub(self.max_lag_ms.max(0));
        if clean_until <= 0 {
            return Ok(0);
        }
        let mut earliest = i64::MAX;
        for at in self.sealed_from(first_dirty) {
            let timestamp = first_timestamp(at)?;
            if timestamp > 0 {
                earliest = earliest.min(timestamp);
            }
        }
        Ok(if earliest < clean_until { clean_until - earliest } else { 0 })
    }
}

/// Whether the log is dirty enough, or has waited too long.
#[must_use]
pub fn needs_cleaning(dirtiness: &Dirtiness, min_dirty_ratio: f64, delay_ms: i64) -> bool {
    dirtiness.total_bytes() > 0
        && ((delay_ms > 0 && dirtiness.cleanable_bytes > 0) || dirtiness.ratio() > min_dirty_ratio)
}

/// A segment as grouping sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentSize {
    pub base_offset: Offset,
    pub bytes: u64,
    pub index_bytes: u64,
    pub time_index_bytes: u64,
}

/// Neighbours that fit into one segment: by bytes, by index bytes, and so that every offset can still be written as an
/// int32 relative to the first. `first_uncleanable` is where the last one ends at most.
#[must_use]
pub fn group_segments(
    segments: &[SegmentSize],
    bytes_max: u64,
    index_bytes_max: u64,
    first_uncleanable: Offset,
) -> Vec<std::ops::Range<usize>> {
    let mut groups = Vec::new();
    let mut start = 0;
    while start < segments.len() {
        let first = segments[start];
        let (mut bytes, mut index_bytes, mut time_index_bytes) =
            (first.bytes, first.index_bytes, first.time_index_bytes);
        let mut end = start + 1;
        while let Some(next) = segments.get(end) {
            // Where the next one begins is the last offset this one can have; finding the true one would cost a scan.
            let last_offset = segments.get(end + 1).map_or(first_uncleanable, |after| after.base_offset) - 1;
            let fits = bytes + next.bytes <= bytes_max
                && index_bytes + next.index_bytes <= index_bytes_max
                && time_index_bytes + next.time_index_bytes <= index_bytes_max
                && (next.bytes == 0 || last_offset - first.base_offset <= i64::from(i32::MAX));
            if !fits {
                break;
            }
            bytes += next.bytes;
            index_bytes += next.index_bytes;
            time_index_bytes += next.time_index_bytes;
            end += 1;
        }
        groups.push(start..end);
        start = end;
    }
    groups
}
