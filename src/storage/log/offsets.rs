//! Log start, high watermark, last stable offset, log end, and where they lie (class `LogOffsetMetadata`).

use std::{collections::VecDeque, sync::atomic::Ordering, time::UNIX_EPOCH};

use super::{
    OffsetAndEpoch, ProducerSnapshot, TimestampAndOffset, UnifiedLog,
    file_records::{BatchScanner, read_batch},
    producer_state::ProducerState,
    segment::{LOG_SUFFIX, Segment},
};
use crate::{
    common::{LeaderEpoch, Offset, Timestamp, ids::NO_LEADER_EPOCH},
    protocol::records::batch::BatchHeader,
    storage::{StorageError, checkpoint::Durability},
};

/// Batches whose position is remembered, so that consumers at the tail cost no search.
const RECENT_MAX: usize = 16;

/// An offset and, once it was needed, where its batch begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffsetMetadata {
    pub offset: Offset,
    pub place: Option<Place>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub segment: Offset,
    pub position: u64,
}

#[derive(Debug, Clone, Copy)]
struct RecentBatch {
    base_offset: Offset,
    last_offset: Offset,
    position: u64,
}

/// A batch found without looking at the file.
#[derive(Debug, Clone, Copy)]
pub struct TailBatch {
    pub base_offset: Offset,
    pub position: u64,
    pub size: u64,
}

/// The log's end as readers see it: one consistent view, changed under one short lock.
#[derive(Debug)]
pub struct Tail {
    pub end: OffsetMetadata,
    pub high_watermark: OffsetMetadata,
    pub first_unstable: Option<OffsetMetadata>,
    active: Offset,
    end_position: u64,
    recent: VecDeque<RecentBatch>,
}

impl Tail {
    #[must_use]
    pub fn new(end: Offset, active: Offset, position: u64, high_watermark: Offset) -> Self {
        let mut tail = Self {
            end: OffsetMetadata { offset: end, place: None },
            high_watermark: OffsetMetadata { offset: high_watermark, place: None },
            first_unstable: None,
            active,
            end_position: 0,
            recent: VecDeque::new(),
        };
        tail.move_end(end, active, position);
        tail.high_watermark = tail.place(high_watermark);
        tail
    }

    /// A roll, a truncation: the end is somewhere else now.
    pub fn move_end(&mut self, end: Offset, active: Offset, position: u64) {
        self.end = OffsetMetadata { offset: end, place: Some(Place { segment: active, position }) };
        self.active = active;
        self.end_position = position;
        self.recent.clear();
    }

    pub fn appended(&mut self, batches: &[BatchHeader]) {
        for batch in batches {
            if self.recent.len() == RECENT_MAX {
                self.recent.pop_front();
            }
            let (base_offset, last_offset) = (batch.base_offset, batch.last_offset());
            self.recent.push_back(RecentBatch { base_offset, last_offset, position: self.end_position });
            self.end_position += batch.size as u64;
            self.end.offset = last_offset + 1;
        }
        self.end.place = Some(Place { segment: self.active, position: self.end_position });
    }

    /// The batch that holds `offset`, if it is a recent one. Legacy messages have only their last offset.
    #[must_use]
    pub fn find(&self, offset: Offset) -> Option<TailBatch> {
        let at = self.recent.partition_point(|batch| batch.last_offset < offset);
        let found = self.recent.get(at)?;
        if at == 0 && offset < found.base_offset {
            return None;
        }
        let end = self.recent.get(at + 1).map_or(self.end_position, |next| next.position);
        Some(TailBatch { base_offset: found.base_offset, position: found.position, size: end - found.position })
    }

    #[must_use]
    pub fn active(&self) -> Offset {
        self.active
    }

    /// `offset` with its place, as far as it is known without a search.
    #[must_use]
    pub fn place(&self, offset: Offset) -> OffsetMetadata {
        if offset == self.end.offset {
            return self.end;
        }
        let place = self.find(offset).map(|batch| Place { segment: self.active, position: batch.position });
        OffsetMetadata { offset, place }
    }
}

impl UnifiedLog {
    #[must_use]
    pub fn log_start_offset(&self) -> Offset {
        self.log_start_offset.load(Ordering::Acquire)
    }

    #[must_use]
    pub fn log_end_offset(&self) -> Offset {
        self.log_end_offset.load(Ordering::Acquire)
    }

    #[must_use]
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark.load(Ordering::Acquire)
    }

    #[must_use]
    pub fn recovery_point(&self) -> Offset {
        self.recovery_point.load(Ordering::Acquire)
    }

    /// Moves the high watermark (clamped to [log start, log end]) and returns what it is now.
    pub fn update_high_watermark(&self, offset: Offset) -> Offset {
        let now = self.set_high_watermark(offset);
        if self.awaits_high_watermark.load(Ordering::Acquire) {
            let mut producers = self.state.lock();
            producers.release_transactions_below(now);
            self.publish_unstable(&producers);
        }
        now
    }

    /// The same, for callers that hold the writers' lock.
    pub(super) fn update_high_watermark_locked(&self, offset: Offset, producers: &mut ProducerState) {
        let now = self.set_high_watermark(offset);
        producers.release_transactions_below(now);
        self.publish_unstable(producers);
    }

    fn set_high_watermark(&self, offset: Offset) -> Offset {
        let mut tail = self.tail.lock();
        let clamped = offset.min(tail.end.offset).max(self.log_start_offset());
        tail.high_watermark = tail.place(clamped);
        self.high_watermark.store(clamped, Ordering::Release);
        clamped
    }

    /// Tells readers where the log stops being stable.
    pub(super) fn publish_unstable(&self, producers: &ProducerState) {
        self.awaits_high_watermark.store(producers.has_unreplicated(), Ordering::Release);
        let first = producers.first_unstable_offset().map(|first| first.max(self.log_start_offset()));
        let known = self.first_unstable_offset.load(Ordering::Acquire);
        if first.unwrap_or(i64::MAX) != known {
            let mut tail = self.tail.lock();
            tail.first_unstable = first.map(|offset| tail.place(offset));
            self.first_unstable_offset.store(first.unwrap_or(i64::MAX), Ordering::Release);
        }
    }

    #[must_use]
    pub fn last_stable_offset(&self) -> Offset {
        self.first_unstable_offset.load(Ordering::Acquire).min(self.high_watermark())
    }

    #[must_use]
    pub fn latest_epoch(&self) -> Option<LeaderEpoch> {
        self.epochs.lock().latest().map(|entry| entry.epoch)
    }

    /// The epoch that the record at `offset` was, or would have been, written in.
    #[must_use]
    pub fn epoch_for_offset(&self, offset: Offset) -> Option<LeaderEpoch> {
        self.epochs.lock().epoch_for_offset(offset)
    }

    /// The oldest epoch known, if it covers the log start (for ListOffsets "earliest").
    #[must_use]
    pub fn earliest_epoch(&self) -> Option<LeaderEpoch> {
        let start = self.log_start_offset();
        self.epochs.lock().earliest().filter(|entry| entry.start_offset <= start).map(|entry| entry.epoch)
    }

    /// Notes that `epoch` begins at the log end (becoming leader). Written with the epoch's first record.
    pub fn assign_epoch_start(&self, epoch: LeaderEpoch) -> Result<(), StorageError> {
        let _writers = self.state.lock();
        self.check_usable()?;
        self.epochs.lock().begin(epoch, self.log_end_offset());
        Ok(())
    }

    /// The epoch of an empty log's first records can be told from them, so its file need not be durable at once.
    pub(super) fn assign_epoch(&self, epoch: LeaderEpoch, start_offset: Offset) -> Result<(), StorageError> {
        let mut epochs = self.epochs.lock();
        if !epochs.assign(epoch, start_offset) {
            return Ok(());
        }
        let empty = self.log_end_offset() == self.log_start_offset();
        let durability = if empty { Durability::Later } else { Durability::Synced };
        epochs.write(&self.dir.load(), durability).map_err(|error| self.io(error))
    }

    /// OffsetForLeaderEpoch: the end offset of the largest epoch ≤ `epoch`. `None` if unknown.
    #[must_use]
    pub fn end_offset_for_epoch(&self, epoch: LeaderEpoch) -> Option<OffsetAndEpoch> {
        self.epochs.lock().end_offset_for(epoch, self.log_end_offset())
    }

    #[must_use]
    pub fn active_producers(&self) -> Vec<ProducerSnapshot> {
        self.state.lock().active()
    }

    /// Forgets producers that wrote nothing for `producer.id.expiration.ms`.
    pub fn expire_producers(&self, now: Timestamp) {
        let mut producers = self.state.lock();
        if !producers.is_empty() {
            producers.expire(now, self.context.producer_id_expiration_ms);
        }
    }

    /// Base offset of each segment and when its file was last written (Unix milliseconds, 0 if that is not known): what
    /// ListOffsets version 0 looks times up in.
    pub fn segments_changed(&self) -> Vec<(Offset, Timestamp)> {
        let dir = self.dir.load();
        let changed = |segment: &Segment| {
            let time = std::fs::metadata(segment.path(&dir, LOG_SUFFIX)).and_then(|file| file.modified());
            let since = time.ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            since.map_or(0, |since| Timestamp::try_from(since.as_millis()).unwrap_or(Timestamp::MAX))
        };
        let segments: Vec<_> = self.segments.read().iter().cloned().collect();
        segments.iter().map(|segment| (segment.base_offset(), changed(segment))).collect()
    }

    /// ListOffsets by time: first offset whose timestamp is ≥ `timestamp`, below nothing (caller clamps).
    pub fn offset_for_timestamp(&self, timestamp: Timestamp) -> Result<Option<TimestampAndOffset>, StorageError> {
        self.check_usable()?;
        let dir = self.dir.load();
        let segments: Vec<_> = self.segments.read().iter().cloned().collect();
        for segment in segments {
            let largest = segment.largest_timestamp(&dir).map_err(|error| self.io(error))?;
            if largest >= timestamp {
                return self.search_segment(&segment, timestamp);
            }
        }
        Ok(None)
    }

    fn search_segment(
        &self,
        segment: &std::sync::Arc<super::segment::Segment>,
        timestamp: Timestamp,
    ) -> Result<Option<TimestampAndOffset>, StorageError> {
        let dir = self.dir.load();
        let start = self.log_start_offset();
        let file = segment.file(&dir, &self.context).map_err(|error| self.io(error))?;
        let hint = segment.lookup_timestamp(&dir, timestamp).map_err(|error| self.io(error))?;
        let from = hint.offset.max(start);
        let from = segment.lookup(&dir, &file, from).map_err(|error| self.io(error))?;
        let mut batches = BatchScanner::new(&file, from.position, segment.size());
        while let Some(batch) = batches.next_batch().map_err(|error| self.io(error))? {
            if batch.header.max_timestamp < timestamp || batch.header.last_offset() < start {
                continue;
            }
            let bytes = read_batch(&file, &batch).map_err(|error| self.io(error))?;
            let found = self.first_record(&bytes, |offset, at| at >= timestamp && offset >= start)?;
            if let Some((offset, timestamp)) = found {
                return Ok(Some(TimestampAndOffset { timestamp, offset, leader_epoch: epoch_of(&batch.header) }));
            }
        }
        Ok(None)
    }

    /// ListOffsets −3 (KIP-734): the record with the greatest timestamp.
    pub fn offset_of_max_timestamp(&self) -> Result<Option<TimestampAndOffset>, StorageError> {
        self.check_usable()?;
        let dir = self.dir.load();
        let segments: Vec<_> = self.segments.read().iter().cloned().collect();
        let mut best = None;
        for segment in segments {
            let max = segment.max_timestamp(&dir).map_err(|error| self.io(error))?;
            if best
                .as_ref()
                .is_none_or(|(_, known): &(_, super::time_index::TimestampOffset)| max.timestamp > known.timestamp)
            {
                best = Some((segment, max));
            }
        }
        let Some((segment, max)) = best.filter(|(_, max)| max.timestamp >= 0) else { return Ok(None) };
        let file = segment.file(&dir, &self.context).map_err(|error| self.io(error))?;
        let from = segment.lookup(&dir, &file, max.offset).map_err(|error| self.io(error))?;
        let mut batches = BatchScanner::new(&file, from.position, segment.size());
        while let Some(batch) = batches.next_batch().map_err(|error| self.io(error))? {
            if batch.header.max_timestamp != max.timestamp {
                continue;
            }
            let bytes = read_batch(&file, &batch).map_err(|error| self.io(error))?;
            let found = self.first_record(&bytes, |_, at| at == max.timestamp)?;
            return Ok(found.map(|(offset, timestamp)| TimestampAndOffset {
                timestamp,
                offset,
                leader_epoch: epoch_of(&batch.header),
            }));
        }
        Ok(None)
    }

    fn first_record(
        &self,
        batch: &[u8],
        wanted: impl Fn(Offset, Timestamp) -> bool,
    ) -> Result<Option<(Offset, Timestamp)>, StorageError> {
        let mut found = None;
        let walked = crate::protocol::records::iter::for_each_record(batch, &mut |offset, timestamp| {
            if wanted(offset, timestamp) {
                found = Some((offset, timestamp));
                return std::ops::ControlFlow::Break(());
            }
            std::ops::ControlFlow::Continue(())
        });
        match walked {
            Ok(()) => Ok(found),
            Err(what) => Err(StorageError::Corrupt { dir: self.dir.load().to_path_buf(), what }),
        }
    }
}

fn epoch_of(header: &BatchHeader) -> LeaderEpoch {
    header.leader_epoch.max(NO_LEADER_EPOCH)
}
