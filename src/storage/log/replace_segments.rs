//! Putting compacted segments in the place of others (`LocalLog.replaceSegments`), so that a crash at any moment leaves
//! either the old ones or the new ones.
//!
//! The order of names, each a rename: the new segments become `.swap`, the last one first; from then on the next start
//! finishes the job. The old ones become `.deleted`, the new ones lose their suffix. The directory is synced between
//! the first step and the second, so that a power cut cannot keep the second without the first.

use std::{
    collections::HashMap,
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

use super::{
    UnifiedLog,
    segment::{SNAPSHOT_SUFFIX, Segment, file_path, flush_dir},
    segment_files::Stage,
    transaction_index::AbortedEntry,
};
use crate::{
    common::{Offset, ProducerEpoch, ProducerId, Timestamp},
    storage::{StorageError, checkpoint::with_suffix},
};

/// Counts what changes a log other than by appending.
#[derive(Debug)]
pub struct Rewrites {
    /// Swaps of segments: a read that saw one begin must look again.
    swaps: AtomicU64,
    /// Truncations below the active segment: what was read for cleaning before one is void.
    truncations: AtomicU64,
    /// Where the active segment began after the lowest of them: nothing above is clean any more.
    truncated_to: AtomicI64,
}

impl Default for Rewrites {
    fn default() -> Self {
        Self { swaps: 0.into(), truncations: 0.into(), truncated_to: i64::MAX.into() }
    }
}

impl Rewrites {
    pub(super) fn swaps(&self) -> u64 {
        self.swaps.load(Ordering::Acquire)
    }
}

/// The newest thing known of a producer: its last data batch, or only its epoch when a marker was last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastRecord {
    pub last_data_offset: Option<Offset>,
    pub producer_epoch: ProducerEpoch,
}

pub type LastRecords = HashMap<ProducerId, LastRecord, ahash::RandomState>;

impl UnifiedLog {
    /// Swaps `new` in for `old` if the log still consists of those and was not truncated since `truncations` were
    /// counted. `Ok(false)` otherwise; the new segments' files are then still there.
    pub fn replace_segments(
        &self,
        new: &[Arc<Segment>],
        old: &[Arc<Segment>],
        truncations: u64,
    ) -> Result<bool, StorageError> {
        self.replace_step_by_step(new, old, truncations, &mut |_| {})
    }

    /// As [`replace_segments`](Self::replace_segments); `renamed` hears of every rename, as a crash would.
    pub(in crate::storage) fn replace_step_by_step(
        &self,
        new: &[Arc<Segment>],
        old: &[Arc<Segment>],
        truncations: u64,
        renamed: &mut dyn FnMut(&Path),
    ) -> Result<bool, StorageError> {
        // Keeps retention and truncation out: a finished swap must not bring back what they removed.
        let _files = self.flush_lock.lock();
        if self.check_usable().is_err() || self.truncations() != truncations || !self.holds(old) {
            return Ok(false);
        }
        let dir = self.dir.load_full();
        for segment in new.iter().rev() {
            segment.rename_to(&dir, Stage::Swap, renamed).map_err(|error| self.io(error))?;
        }
        flush_dir(&dir).map_err(|error| self.io(error))?;
        self.swap_in(new, old, &dir, renamed)?;
        flush_dir(&dir).map_err(|error| self.io(error))?;
        Ok(true)
    }

    fn holds(&self, old: &[Arc<Segment>]) -> bool {
        let segments = self.segments.read();
        let active = segments.active();
        old.iter().all(|one| !Arc::ptr_eq(one, active) && segments.iter().any(|segment| Arc::ptr_eq(one, segment)))
    }

    fn swap_in(
        &self,
        new: &[Arc<Segment>],
        old: &[Arc<Segment>],
        dir: &Path,
        renamed: &mut dyn FnMut(&Path),
    ) -> Result<(), StorageError> {
        let mut producers = self.state.lock();
        self.check_usable()?;
        {
            let mut segments = self.segments.write();
            self.rewrites.swaps.fetch_add(1, Ordering::AcqRel);
            segments.replace(new, old);
        }
        let mut deleted = Vec::new();
        let mut note = |path: &Path| {
            deleted.push(path.to_owned());
            renamed(path);
        };
        for segment in old {
            segment.rename_to(dir, Stage::Deleted, &mut note).map_err(|error| self.fatal(error))?;
            segment.close_file();
            let base_offset = segment.base_offset();
            if !new.iter().any(|one| one.base_offset() == base_offset) && producers.snapshots.remove(&base_offset) {
                delete_snapshot(dir, base_offset, &mut note).map_err(|error| self.fatal(error))?;
            }
        }
        for segment in new {
            segment.rename_to(dir, Stage::Live, renamed).map_err(|error| self.fatal(error))?;
            self.context.open_files.opened(segment);
        }
        let due = self.context.clock.now_ms().saturating_add(self.config.load().file_delete_delay_ms);
        self.context.deferred.delete(due, deleted);
        Ok(())
    }

    /// Truncations so far that went below the active segment.
    #[must_use]
    pub fn truncations(&self) -> u64 {
        self.rewrites.truncations.load(Ordering::Acquire)
    }

    /// The offset above which nothing is clean because of truncations since the last call; `None` if there were none.
    #[must_use]
    pub fn take_truncated_to(&self) -> Option<Offset> {
        let lowest = self.rewrites.truncated_to.swap(i64::MAX, Ordering::AcqRel);
        (lowest != i64::MAX).then_some(lowest)
    }

    /// The log is about to be cut at `offset`.
    pub(super) fn note_truncation(&self, offset: Offset) {
        let segments = self.segments.read();
        if offset >= segments.active().base_offset() {
            return;
        }
        let begin = segments.floor(offset).map_or(offset, |segment| segment.base_offset());
        self.rewrites.truncated_to.fetch_min(begin, Ordering::AcqRel);
        self.rewrites.truncations.fetch_add(1, Ordering::AcqRel);
    }

    /// False once the log was deleted, closed, or its disk failed.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.check_usable().is_ok()
    }

    /// All segments as they are now, the active one last.
    #[must_use]
    pub fn segment_list(&self) -> Vec<Arc<Segment>> {
        self.segments.read().iter().cloned().collect()
    }

    /// Segments with offsets in `from..to`, whole.
    #[must_use]
    pub fn segments_between(&self, from: Offset, to: Offset) -> Vec<Arc<Segment>> {
        self.segments.read().between(from, to).to_vec()
    }

    /// Aborted transactions that overlap `from..to`.
    pub fn collect_aborted(&self, from: Offset, to: Offset) -> io::Result<Vec<AbortedEntry>> {
        let dir = self.dir.load();
        let mut found = Vec::new();
        let segments: Vec<_> = self.segments.read().from_offset(from).to_vec();
        for segment in segments {
            for entry in segment.aborted_entries(&dir)? {
                if entry.last_offset >= from && entry.first_offset < to {
                    found.push(entry);
                }
                if entry.last_stable_offset >= to {
                    return Ok(found);
                }
            }
        }
        Ok(found)
    }

    /// The last record of every producer that is not forgotten yet: the batches that hold them must stay.
    #[must_use]
    pub fn last_records_of_active_producers(&self) -> LastRecords {
        let producers = self.state.lock();
        producers
            .last_data_offsets()
            .map(|(id, producer_epoch, last_data_offset)| (id, LastRecord { last_data_offset, producer_epoch }))
            .collect()
    }

    /// The file of one of this log's segments.
    pub fn open_segment(&self, segment: &Arc<Segment>) -> io::Result<Arc<std::fs::File>> {
        segment.file(&self.dir.load(), &self.context)
    }

    /// Wall-clock time as this log's context has it.
    #[must_use]
    pub fn now_ms(&self) -> Timestamp {
        self.context.clock.now_ms()
    }
}

fn delete_snapshot(dir: &Path, base_offset: Offset, note: &mut dyn FnMut(&Path)) -> io::Result<()> {
    let path = file_path(dir, base_offset, SNAPSHOT_SUFFIX);
    let deleted = with_suffix(&path, super::segment::DELETED_SUFFIX);
    match std::fs::rename(&path, &deleted) {
        Ok(()) => note(&deleted),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(())
}
