//! What may go: by time, by size, below the log start (class `UnifiedLog.deleteOldSegments`), and DeleteRecords.

use std::sync::{Arc, atomic::Ordering};

use super::{
    UnifiedLog,
    producer_state::ProducerState,
    segment::{Segment, mark_deleted},
};
use crate::{
    common::{ErrorCode, Offset, Timestamp},
    storage::{StorageError, checkpoint::Durability},
};

impl UnifiedLog {
    /// Applies retention; returns how many segments went. Files are renamed now and deleted `file.delete.delay.ms` later.
    pub fn delete_old_segments(&self, now: Timestamp) -> Result<usize, StorageError> {
        let config = self.config.load_full();
        let mut deleted = self.delete_below_log_start(now)?;
        if config.cleanup_delete {
            if config.retention_bytes >= 0 {
                let mut excess = i64::try_from(self.size_bytes()).unwrap_or(i64::MAX) - config.retention_bytes;
                deleted += self.delete_while(now, |segment, _| {
                    let size = i64::try_from(segment.size()).unwrap_or(i64::MAX);
                    let goes = excess - size >= 0;
                    excess -= if goes { size } else { 0 };
                    Ok(goes)
                })?;
            }
            if config.retention_ms >= 0 {
                let dir = self.dir.load();
                deleted += self.delete_while(now, |segment, _| {
                    Ok(now.saturating_sub(segment.largest_timestamp(&dir)?) > config.retention_ms)
                })?;
            }
        }
        Ok(deleted)
    }

    fn delete_below_log_start(&self, now: Timestamp) -> Result<usize, StorageError> {
        let start = self.log_start_offset();
        self.delete_while(now, |_, next| Ok(next.is_some_and(|next| next.base_offset() <= start)))
    }

    /// Deletes segments from the oldest on while `goes` says so, never beyond the high watermark.
    fn delete_while(
        &self,
        now: Timestamp,
        mut goes: impl FnMut(&Segment, Option<&Segment>) -> std::io::Result<bool>,
    ) -> Result<usize, StorageError> {
        let _files = self.flush_lock.lock();
        let mut producers = self.state.lock();
        self.check_usable()?;
        let segments: Vec<Arc<Segment>> = self.segments.read().iter().cloned().collect();
        let mut count = 0;
        for (at, segment) in segments.iter().enumerate() {
            let next = segments.get(at + 1).map(|next| &**next);
            let end = next.map_or_else(|| self.log_end_offset(), Segment::base_offset);
            let empty_active = next.is_none() && segment.size() == 0;
            if empty_active || self.high_watermark() < end || !goes(segment, next).map_err(|error| self.io(error))? {
                break;
            }
            count += 1;
        }
        if count > 0 {
            self.delete_first(count, count == segments.len(), now, &mut producers)?;
        }
        Ok(count)
    }

    fn delete_first(
        &self,
        count: usize,
        all: bool,
        now: Timestamp,
        producers: &mut ProducerState,
    ) -> Result<(), StorageError> {
        if all {
            self.roll_locked(0, now, producers)?;
        }
        let removed = self.segments.write().remove_front(count);
        let new_start = self.segments.read().first().base_offset();
        self.increment_log_start(new_start, producers)?;
        self.discard(&removed, now, producers)
    }

    /// Renames the files of segments that are no longer in the list and has them deleted later.
    pub(super) fn discard(
        &self,
        removed: &[Arc<Segment>],
        now: Timestamp,
        producers: &mut ProducerState,
    ) -> Result<(), StorageError> {
        let dir = self.dir.load();
        let mut paths = Vec::new();
        for segment in removed {
            segment.close_file();
            producers.snapshots.remove(&segment.base_offset());
            paths.extend(mark_deleted(&dir, segment.base_offset(), true).map_err(|error| self.io(error))?);
        }
        let offsets: Vec<_> = removed.iter().map(|segment| segment.base_offset()).collect();
        tracing::info!(partition = %self.topic_partition, ?offsets, "deleting segments");
        self.context.deferred.delete(now.saturating_add(self.config.load().file_delete_delay_ms), paths);
        Ok(())
    }

    /// DeleteRecords: moves the log start offset up (never past the high watermark); segments wholly below go.
    pub fn advance_log_start_offset(&self, offset: Offset, now: Timestamp) -> Result<Offset, StorageError> {
        {
            let mut producers = self.state.lock();
            self.check_usable()?;
            let high_watermark = self.high_watermark();
            if offset > high_watermark {
                let message = format!(
                    "Cannot increment the log start offset to {offset} of partition {} since it is larger than the high watermark {high_watermark}",
                    self.topic_partition
                );
                return Err(StorageError::refused(ErrorCode::OffsetOutOfRange, message));
            }
            self.increment_log_start(offset, &mut producers)?;
        }
        self.delete_below_log_start(now)?;
        Ok(self.log_start_offset())
    }

    fn increment_log_start(&self, offset: Offset, producers: &mut ProducerState) -> Result<(), StorageError> {
        if offset <= self.log_start_offset() {
            return Ok(());
        }
        self.log_start_offset.store(offset, Ordering::Release);
        if self.high_watermark() < offset {
            self.update_high_watermark_locked(offset, producers);
        }
        self.recovery_point.fetch_max(offset, Ordering::AcqRel);
        {
            let mut epochs = self.epochs.lock();
            if epochs.truncate_from_start(offset) {
                epochs.write(&self.dir.load(), Durability::Synced).map_err(|error| self.io(error))?;
            }
        }
        producers.on_log_start_incremented(offset);
        self.publish_unstable(producers);
        tracing::info!(partition = %self.topic_partition, log_start_offset = offset, "moved the log start");
        Ok(())
    }
}
