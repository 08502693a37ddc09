//! Cutting the log's end off (class `UnifiedLog.truncateTo`).

use std::{
    io,
    sync::{Arc, atomic::Ordering},
};

use super::{
    UnifiedLog,
    producer_state::ProducerState,
    recover::rebuild_producers,
    segment::{Segment, TXN_INDEX_SUFFIX, mark_deleted},
    transaction_index,
};
use crate::{
    common::{ErrorCode, Offset},
    storage::{StorageError, checkpoint::Durability},
};

impl UnifiedLog {
    /// Removes everything from `offset` on; false if there was nothing.
    pub fn truncate_to(&self, offset: Offset) -> Result<bool, StorageError> {
        if offset < 0 {
            let message = format!("Cannot truncate partition {} to the negative offset {offset}", self.topic_partition);
            return Err(StorageError::refused(ErrorCode::OffsetOutOfRange, message));
        }
        let _files = self.flush_lock.lock();
        let mut producers = self.state.lock();
        self.check_usable()?;
        if offset >= self.log_end_offset() {
            let end = self.log_end_offset();
            self.forget_epochs(|epochs| epochs.truncate_from_end(end))?;
            return Ok(false);
        }
        tracing::info!(partition = %self.topic_partition, offset, "truncating");
        if self.segments.read().first().base_offset() > offset {
            self.start_over(offset, &mut producers)?;
            return Ok(true);
        }
        let now = self.context.clock.now_ms();
        self.note_truncation(offset);
        // A batch goes as a whole: the new end may lie below `offset`.
        let removed = self.segments.write().remove_above(offset);
        self.discard(&removed, now, &mut producers)?;
        let active = Arc::clone(self.segments.read().active());
        self.cut(&active, offset).map_err(|error| self.fatal(error))?;
        self.set_end(offset, &active);
        self.forget_epochs(|epochs| epochs.truncate_from_end(offset))?;
        self.log_start_offset.fetch_min(offset, Ordering::AcqRel);
        self.reload_producers(offset, &mut producers)?;
        self.update_high_watermark_locked(self.high_watermark(), &mut producers);
        Ok(true)
    }

    /// Removes everything; the next offset is `offset`.
    pub fn truncate_fully_and_start_at(&self, offset: Offset) -> Result<(), StorageError> {
        let _files = self.flush_lock.lock();
        let mut producers = self.state.lock();
        self.check_usable()?;
        self.start_over(offset, &mut producers)
    }

    fn start_over(&self, offset: Offset, producers: &mut ProducerState) -> Result<(), StorageError> {
        let now = self.context.clock.now_ms();
        let dir = self.dir.load();
        let config = self.config.load();
        self.note_truncation(offset.min(self.log_start_offset()));
        let old: Vec<Arc<Segment>> = self.segments.read().iter().cloned().collect();
        self.discard(&old, now, producers)?;
        for stale in std::mem::take(&mut producers.snapshots) {
            let deleted = mark_deleted(&dir, stale, true).map_err(|error| self.io(error))?;
            self.context.deferred.delete(now + config.file_delete_delay_ms, deleted);
        }
        let segment = Segment::create(&dir, offset, &config, now).map_err(|error| self.fatal(error))?;
        self.segments.write().replace_all(Arc::clone(&segment));
        self.log_start_offset.store(offset, Ordering::Release);
        self.set_end(offset, &segment);
        self.forget_epochs(super::leader_epochs::LeaderEpochs::clear)?;
        producers.restart_at(offset);
        self.update_high_watermark_locked(offset, producers);
        self.recovery_point.store(offset, Ordering::Release);
        Ok(())
    }

    fn cut(&self, segment: &Arc<Segment>, offset: Offset) -> io::Result<()> {
        let dir = self.dir.load();
        let file = segment.open_active(&dir)?;
        let found = segment.locate(&dir, &file, offset, segment.size())?;
        let position = found.map_or(segment.size(), |batch| batch.position);
        segment.truncate(&dir, offset, position, self.context.clock.now_ms())?;
        if segment.has_txn_index() {
            transaction_index::truncate_to(&segment.path(&dir, TXN_INDEX_SUFFIX), segment.base_offset(), offset)?;
        }
        Ok(())
    }

    fn set_end(&self, offset: Offset, active: &Segment) {
        let mut tail = self.tail.lock();
        tail.move_end(offset, active.base_offset(), active.size());
        let high_watermark = tail.high_watermark.offset.min(offset);
        tail.high_watermark = tail.place(high_watermark);
        tail.first_unstable = None;
        self.first_unstable_offset.store(i64::MAX, Ordering::Release);
        self.high_watermark.store(high_watermark, Ordering::Release);
        self.log_end_offset.store(offset, Ordering::Release);
        self.recovery_point.fetch_min(offset, Ordering::AcqRel);
    }

    fn forget_epochs(
        &self,
        change: impl FnOnce(&mut super::leader_epochs::LeaderEpochs) -> bool,
    ) -> Result<(), StorageError> {
        let mut epochs = self.epochs.lock();
        if change(&mut epochs) {
            epochs.write(&self.dir.load(), Durability::Synced).map_err(|error| self.io(error))?;
        }
        Ok(())
    }

    fn reload_producers(&self, end: Offset, producers: &mut ProducerState) -> Result<(), StorageError> {
        let segments: Vec<Arc<Segment>> = self.segments.read().iter().cloned().collect();
        let dir = self.dir.load();
        let start = self.log_start_offset();
        rebuild_producers(&dir, &segments, start, end, producers, &self.topic_partition, &self.context)
            .map_err(|error| self.io(error))?;
        self.publish_unstable(producers);
        Ok(())
    }
}
