//! Rolling to a new segment, producer snapshots, and flushing (classes `LocalLog.roll`, `UnifiedLog.flush`).

use std::{
    fs, io,
    path::Path,
    sync::{Arc, atomic::Ordering},
};

use super::{
    UnifiedLog,
    producer_state::ProducerState,
    segment::{RollParams, SNAPSHOT_SUFFIX, Segment, file_path, flush_dir, mark_deleted},
};
use crate::{
    common::{Offset, Timestamp},
    config::topic::LogConfig,
    storage::StorageError,
};

/// What an append is about to add.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    pub first_offset: Offset,
    pub last_offset: Offset,
    pub max_timestamp: Timestamp,
    pub bytes: usize,
}

impl UnifiedLog {
    /// The segment to append to.
    pub(super) fn maybe_roll(
        &self,
        extent: &Extent,
        now: Timestamp,
        config: &LogConfig,
        producers: &mut ProducerState,
    ) -> Result<Arc<Segment>, StorageError> {
        let active = Arc::clone(self.segments.read().active());
        let params = RollParams {
            bytes: extent.bytes,
            max_timestamp: extent.max_timestamp,
            last_offset: extent.last_offset,
            now,
        };
        let due = active.should_roll(&self.dir.load(), config, &params).map_err(|error| self.io(error))?;
        if due { self.roll_locked(extent.first_offset, now, producers) } else { Ok(active) }
    }

    /// Starts a new segment at the log end.
    pub fn roll(&self) -> Result<(), StorageError> {
        let mut producers = self.state.lock();
        self.check_usable()?;
        self.roll_locked(0, self.context.clock.now_ms(), &mut producers).map(drop)
    }

    /// Starts a new segment at the log end, or at `expected` if that is beyond it.
    pub(super) fn roll_locked(
        &self,
        expected: Offset,
        now: Timestamp,
        producers: &mut ProducerState,
    ) -> Result<Arc<Segment>, StorageError> {
        let config = self.config.load();
        let dir = self.dir.load();
        let base_offset = expected.max(self.log_end_offset());
        let old = Arc::clone(self.segments.read().active());
        let replaces = old.base_offset() == base_offset;
        if replaces && old.size() > 0 || old.base_offset() > base_offset {
            let error = io::Error::other(format!("cannot roll to {base_offset}: segment {} exists", old.base_offset()));
            return Err(self.io(error));
        }
        if replaces {
            // An empty active segment is made anew; its files would have the same names.
            let deleted = mark_deleted(&dir, base_offset, false).map_err(|error| self.io(error))?;
            self.context.deferred.delete(now + config.file_delete_delay_ms, deleted);
        } else {
            old.seal(&dir).map_err(|error| self.io(error))?;
        }
        let segment = Segment::create(&dir, base_offset, &config, now).map_err(|error| self.io(error))?;
        {
            let mut tail = self.tail.lock();
            let mut segments = self.segments.write();
            if replaces && segments.len() == 1 {
                segments.replace_all(Arc::clone(&segment));
            } else {
                if replaces {
                    segments.remove_above(base_offset - 1);
                }
                segments.push(Arc::clone(&segment));
            }
            let end = tail.end.offset;
            tail.move_end(end, base_offset, 0);
            let high_watermark = tail.high_watermark.offset;
            if high_watermark >= end {
                tail.high_watermark = tail.place(high_watermark);
            }
        }
        if !replaces {
            self.context.open_files.opened(&old);
        }
        producers.set_map_end_offset(base_offset);
        self.take_snapshot(producers, false)?;
        self.context.deferred.flush(self.topic_partition.clone(), base_offset);
        tracing::debug!(partition = %self.topic_partition, base_offset, "rolled a new segment");
        Ok(segment)
    }

    /// Writes the producer snapshot if the state moved since the last one.
    pub(super) fn take_snapshot(&self, producers: &mut ProducerState, sync: bool) -> Result<(), StorageError> {
        write_snapshot(&self.dir.load(), producers, sync).map_err(|error| self.io(error))
    }

    /// Makes everything durable.
    pub fn flush(&self) -> Result<(), StorageError> {
        self.flush_up_to(self.log_end_offset())
    }

    /// Makes everything below `offset` durable and moves the recovery point there. A failed sync is final: the
    /// kernel may have dropped the pages, so that a second one would succeed without them.
    pub fn flush_up_to(&self, offset: Offset) -> Result<(), StorageError> {
        self.check_usable()?;
        let _flushers = self.flush_lock.lock();
        let from = self.recovery_point();
        let offset = offset.min(self.log_end_offset());
        if offset <= from {
            return Ok(());
        }
        let dir = self.dir.load();
        let (segments, active) = {
            let segments = self.segments.read();
            let due: Vec<_> =
                segments.from_offset(from).iter().filter(|one| one.base_offset() < offset).cloned().collect();
            (due, segments.active().base_offset())
        };
        let mut new_files = from == 0;
        for segment in &segments {
            let sealed = segment.base_offset() != active;
            segment.flush(&dir, sealed, &self.context).map_err(|error| self.fatal(error))?;
            if sealed {
                sync_snapshot(&dir, segment.base_offset()).map_err(|error| self.fatal(error))?;
            }
            new_files |= segment.base_offset() >= from;
        }
        if new_files {
            flush_dir(&dir).map_err(|error| self.fatal(error))?;
        }
        // Not told by the offsets: a follower's log may begin anywhere before its first flush.
        if !self.name_is_durable.load(Ordering::Acquire) {
            flush_dir(&self.parent_dir).map_err(|error| self.fatal(error))?;
            self.name_is_durable.store(true, Ordering::Release);
        }
        // A truncation may have moved the end, and with it the recovery point, back meanwhile.
        let reached = offset.min(self.log_end_offset());
        let _ = self.recovery_point.compare_exchange(from, reached, Ordering::AcqRel, Ordering::Acquire);
        self.last_flush_ms.store(self.context.clock.now_ms(), Ordering::Release);
        Ok(())
    }

    /// `flush.ms`
    pub fn flush_if_older(&self, now: Timestamp) -> Result<(), StorageError> {
        let waited = now - self.last_flush_ms.load(Ordering::Acquire);
        if waited >= self.config.load().flush_ms { self.flush() } else { Ok(()) }
    }
}

/// Writes the snapshot that is due, if one is.
pub(super) fn write_snapshot(dir: &Path, producers: &mut ProducerState, sync: bool) -> io::Result<()> {
    let Some(offset) = producers.due_snapshot() else { return Ok(()) };
    let path = file_path(dir, offset, SNAPSHOT_SUFFIX);
    fs::write(&path, producers.encode())?;
    if sync {
        fs::File::open(&path)?.sync_all()?;
    }
    producers.snapshot_written(offset);
    Ok(())
}

fn sync_snapshot(dir: &Path, offset: Offset) -> io::Result<()> {
    match fs::File::open(file_path(dir, offset, SNAPSHOT_SUFFIX)) {
        Ok(file) => file.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}
