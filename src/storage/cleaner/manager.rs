//! Who cleans what, and how far each log is clean (class `LogCleanerManager`).

use std::{
    collections::{HashMap, HashSet},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::{Condvar, Mutex};

use super::{
    choose::{LogFacts, OffsetsToClean, SegmentFacts, needs_cleaning},
    cleaner::LogToClean,
};
use crate::{
    common::{Offset, Timestamp, TopicPartition},
    storage::{
        LogManager, UnifiedLog,
        checkpoint::offset::{self, CLEANER_OFFSET_FILE},
    },
};

/// What a cleaner does with a partition, or must not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CleaningState {
    InProgress,
    /// Somebody waits for the cleaner to stop.
    Aborted,
    /// No cleaning until it was resumed as often.
    Paused(u32),
}

/// For metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ManagerStatus {
    /// `max-dirty-percent`, of the last look.
    pub max_dirty_percent: i32,
    /// When a cleaner last looked; `time-since-last-run-ms` counts from there.
    pub last_run: Timestamp,
    /// `uncleanable-partitions-count`, over all log dirs.
    pub uncleanable_partitions: usize,
    /// `max-compaction-delay-secs`, of the last look.
    pub max_compaction_delay_ms: i64,
}

#[derive(Default)]
struct State {
    states: HashMap<TopicPartition, CleaningState>,
    /// First offsets that are not clean.
    checkpoints: HashMap<TopicPartition, Checkpoint>,
    uncleanable: HashSet<TopicPartition>,
    status: ManagerStatus,
}

struct Checkpoint {
    dir: PathBuf,
    offset: Offset,
}

#[derive(Default)]
pub struct CleanerManager {
    state: Mutex<State>,
    paused: Condvar,
}

/// A log that was looked at, and whether it is due.
struct Candidate {
    task: LogToClean,
    ratio: f64,
    is_due: bool,
    delay_ms: i64,
    resets_checkpoint: bool,
}

impl CleanerManager {
    /// Reads `cleaner-offset-checkpoint` of every log dir.
    #[must_use]
    pub fn load(logs: &LogManager) -> Self {
        let manager = Self::default();
        let mut state = manager.state.lock();
        for dir in logs.dirs.iter().filter(|dir| dir.is_online()) {
            let entries = offset::read(&dir.path.join(CLEANER_OFFSET_FILE)).unwrap_or_else(|error| {
                tracing::warn!(dir = %dir.path.display(), %error, "unreadable cleaner checkpoint: logs count as dirty");
                HashMap::new()
            });
            for (tp, offset) in entries {
                if logs.get(&tp).is_some_and(|log| log.parent_dir() == dir.path) {
                    state.checkpoints.insert(tp, Checkpoint { dir: dir.path.clone(), offset });
                }
            }
        }
        drop(state);
        manager
    }

    /// The dirtiest of the compacted logs that are due, marked as in progress.
    pub fn grab_filthiest(&self, logs: &LogManager, now: Timestamp) -> Option<LogToClean> {
        let compacted = compacted(logs);
        let mut state = self.state.lock();
        state.status.last_run = now;
        let mut filthiest: Option<Candidate> = None;
        let (mut max_ratio, mut max_delay) = (0.0f64, 0);
        for log in compacted {
            let tp = log.topic_partition();
            if state.states.contains_key(tp) || state.uncleanable.contains(tp) {
                continue;
            }
            let candidate = match state.candidate(&log, now) {
                Ok(candidate) => candidate,
                Err(_) if !log.is_usable() => continue,
                Err(error) => {
                    tracing::warn!(partition = %tp, %error, "cannot tell what to clean; marking it as uncleanable");
                    state.uncleanable.insert(tp.clone());
                    continue;
                }
            };
            if candidate.resets_checkpoint {
                state.set_checkpoint(&log, candidate.task.first_dirty);
            }
            max_ratio = max_ratio.max(candidate.ratio);
            max_delay = max_delay.max(candidate.delay_ms);
            if candidate.is_due && filthiest.as_ref().is_none_or(|best| candidate.ratio > best.ratio) {
                filthiest = Some(candidate);
            }
        }
        state.status.max_dirty_percent = (max_ratio * 100.0) as i32;
        state.status.max_compaction_delay_ms = max_delay;
        let found = filthiest?.task;
        state.states.insert(found.log.topic_partition().clone(), CleaningState::InProgress);
        Some(found)
    }

    /// The cleaning ended: well, with everything below `end` clean, or not (`None`).
    pub fn done_cleaning(&self, logs: &LogManager, task: &LogToClean, end: Option<Offset>) {
        let tp = task.log.topic_partition();
        // A log of the same name may have taken its place.
        let is_current = logs.get(tp).is_some_and(|log| Arc::ptr_eq(&log, &task.log));
        let mut state = self.state.lock();
        if state.states.get(tp) == Some(&CleaningState::Aborted) {
            state.states.insert(tp.clone(), CleaningState::Paused(1));
            self.paused.notify_all();
            return;
        }
        state.states.remove(tp);
        if let Some(end) = end.filter(|_| is_current) {
            state.set_checkpoint(&task.log, end);
        }
    }

    /// Whether somebody wants the cleaning of `tp` to stop.
    #[must_use]
    pub fn is_aborted(&self, tp: &TopicPartition) -> bool {
        self.state.lock().states.get(tp) == Some(&CleaningState::Aborted)
    }

    /// Whether retention may look at the log: nobody cleans it and nobody paused it.
    #[must_use]
    pub fn is_idle(&self, tp: &TopicPartition) -> bool {
        let state = self.state.lock();
        !state.states.contains_key(tp) && !state.uncleanable.contains(tp)
    }

    /// Stops the cleaning of `tp`, waits until it has stopped, and allows no other until [`resume`](Self::resume).
    pub fn abort_and_pause(&self, tp: &TopicPartition) {
        let mut state = self.state.lock();
        let next = match state.states.get(tp) {
            None => CleaningState::Paused(1),
            Some(CleaningState::Paused(count)) => CleaningState::Paused(count + 1),
            Some(CleaningState::InProgress | CleaningState::Aborted) => CleaningState::Aborted,
        };
        state.states.insert(tp.clone(), next);
        let mut joined = false;
        while state.states.get(tp) == Some(&CleaningState::Aborted) {
            joined = true;
            self.paused.wait(&mut state);
        }
        // Two may have waited for one cleaner: each has its own pause.
        if joined && !state.states.contains_key(tp) {
            state.states.insert(tp.clone(), CleaningState::Paused(1));
        }
    }

    /// Undoes one pause.
    pub fn resume(&self, tp: &TopicPartition) {
        let mut state = self.state.lock();
        match state.states.get(tp) {
            Some(CleaningState::Paused(count)) if *count > 1 => {
                let left = CleaningState::Paused(count - 1);
                state.states.insert(tp.clone(), left);
            }
            Some(CleaningState::Paused(_)) => drop(state.states.remove(tp)),
            _ => {}
        }
    }

    pub fn mark_uncleanable(&self, tp: &TopicPartition) {
        self.state.lock().uncleanable.insert(tp.clone());
    }

    /// A log was deleted, or its log dir failed: nothing is known of the next one of that name.
    pub fn forget(&self, tp: &TopicPartition, dir: &Path) {
        let mut state = self.state.lock();
        state.uncleanable.remove(tp);
        if state.checkpoints.remove(tp).is_some() {
            state.write(dir);
        }
    }

    /// Drops what is remembered of logs that are gone.
    pub fn forget_missing(&self, logs: &LogManager) {
        let mut state = self.state.lock();
        if !state.uncleanable.is_empty() {
            state.uncleanable.retain(|tp| logs.get(tp).is_some());
        }
    }

    #[must_use]
    pub fn status(&self) -> ManagerStatus {
        let state = self.state.lock();
        ManagerStatus { uncleanable_partitions: state.uncleanable.len(), ..state.status }
    }

    /// First offset of `tp` that is not known to be clean.
    #[must_use]
    pub fn checkpoint(&self, tp: &TopicPartition) -> Option<Offset> {
        self.state.lock().checkpoints.get(tp).map(|checkpoint| checkpoint.offset)
    }

    #[must_use]
    pub fn is_uncleanable(&self, tp: &TopicPartition) -> bool {
        self.state.lock().uncleanable.contains(tp)
    }
}

impl State {
    fn candidate(&mut self, log: &Arc<UnifiedLog>, now: Timestamp) -> io::Result<Candidate> {
        let truncations = log.truncations();
        let checkpoint = self.checkpoint_of(log);
        let config = log.config();
        let dir = log.dir();
        // The stable offset first: segments rolled after it was read are beyond it.
        let (log_start_offset, last_stable_offset) = (log.log_start_offset(), log.last_stable_offset());
        let segments = log.segment_list();
        let sizes: Vec<SegmentFacts> =
            segments.iter().map(|one| SegmentFacts { base_offset: one.base_offset(), bytes: one.size() }).collect();
        let facts = LogFacts {
            log_start_offset,
            log_end_offset: log.log_end_offset(),
            last_stable_offset,
            segments: &sizes,
            min_lag_ms: config.min_compaction_lag_ms,
            max_lag_ms: config.max_compaction_lag_ms,
        };
        let offsets: OffsetsToClean =
            facts.offsets_to_clean(checkpoint, now, &mut |at| segments[at].largest_timestamp(&dir))?;
        let delay_ms =
            facts.compaction_delay_ms(offsets.first_dirty, now, &mut |at| segments[at].first_batch_timestamp(&dir))?;
        let dirtiness = facts.dirtiness(&offsets);
        if offsets.resets_checkpoint && !config.cleanup_delete {
            tracing::warn!(log = %log.name(), ?checkpoint, first_dirty = offsets.first_dirty, "the cleaner checkpoint does not fit the log");
        }
        Ok(Candidate {
            task: LogToClean {
                log: Arc::clone(log),
                first_dirty: offsets.first_dirty,
                first_uncleanable: dirtiness.first_uncleanable_segment,
                first_segment: sizes.first().map_or(log_start_offset, |first| first.base_offset),
                truncations,
            },
            ratio: dirtiness.ratio(),
            is_due: needs_cleaning(&dirtiness, config.min_cleanable_dirty_ratio, delay_ms),
            delay_ms,
            resets_checkpoint: offsets.resets_checkpoint,
        })
    }

    /// The checkpoint, lowered to where the log was truncated to since it was written.
    fn checkpoint_of(&mut self, log: &UnifiedLog) -> Option<Offset> {
        let known = self.checkpoints.get_mut(log.topic_partition())?;
        if let Some(truncated_to) = log.take_truncated_to() {
            known.offset = known.offset.min(truncated_to);
        }
        Some(known.offset)
    }

    fn set_checkpoint(&mut self, log: &UnifiedLog, offset: Offset) {
        let dir = log.parent_dir();
        self.checkpoints.insert(log.topic_partition().clone(), Checkpoint { dir: dir.to_owned(), offset });
        self.write(dir);
    }

    /// Rewrites one log dir's file. A failure costs only that more is cleaned again after a restart.
    fn write(&self, dir: &Path) {
        let mut entries: Vec<_> = self
            .checkpoints
            .iter()
            .filter(|(_, checkpoint)| checkpoint.dir == dir)
            .map(|(tp, checkpoint)| (tp.clone(), checkpoint.offset))
            .collect();
        entries.sort_unstable();
        if let Err(error) = offset::write(&dir.join(CLEANER_OFFSET_FILE), &entries) {
            tracing::error!(dir = %dir.display(), %error, "cannot write the cleaner checkpoint");
        }
    }
}

/// All logs with `cleanup.policy` compact.
#[must_use]
pub fn compacted(logs: &LogManager) -> Vec<Arc<UnifiedLog>> {
    logs.logs.read().values().filter(|log| log.config().cleanup_compact).cloned().collect()
}
