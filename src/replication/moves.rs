//! Moves replicas between log dirs (`ReplicaManager.alterReplicaLogDirs`, class `ReplicaAlterLogDirsThread`, KIP-113): the
//! log is copied while it is used, and replaced when the copy has caught up.

use std::{path::Path, sync::Arc, sync::Weak, time::Duration};

use bytes::BytesMut;
use indexmap::IndexMap;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{ReplicaManager, hosted::Partition, partitions::HostedPartition, throttle::ReplicationQuota};
use crate::{
    common::{ErrorCode, Offset, Timestamp, TopicPartition},
    storage::{FetchIsolation, StorageError, UnifiedLog},
};

/// Bytes copied in one step.
const STEP_BYTES: usize = 1 << 20;
/// What may be missing when appends are stopped to copy the rest.
const REST_MAX: Offset = 4096;
/// Pause when every copy waits.
const IDLE: Duration = Duration::from_millis(50);

/// Copies under way.
#[derive(Default)]
pub struct Moves {
    by_partition: Mutex<IndexMap<TopicPartition, Arc<Move>, ahash::RandomState>>,
    changed: Notify,
    /// `replica.alter.log.dirs.io.max.bytes.per.second`, for all copies together.
    quota: ReplicationQuota,
}

/// One copy.
pub struct Move {
    future: Arc<UnifiedLog>,
    /// Held while records go over, and while the log they come from is cut. Taken before the partition's state.
    copying: Mutex<()>,
}

impl Moves {
    fn get(&self, tp: &TopicPartition) -> Option<Arc<Move>> {
        self.by_partition.lock().get(tp).cloned()
    }

    fn add(&self, tp: &TopicPartition, future: Arc<UnifiedLog>) {
        self.by_partition.lock().insert(tp.clone(), Arc::new(Move { future, copying: Mutex::new(()) }));
        self.changed.notify_one();
    }

    pub(super) fn remove(&self, tp: &TopicPartition) {
        self.by_partition.lock().shift_remove(tp);
    }

    fn partitions(&self) -> Vec<TopicPartition> {
        self.by_partition.lock().keys().cloned().collect()
    }
}

/// Copies until the broker is gone; appending blocks the thread it runs on.
pub async fn run(replicas: Weak<ReplicaManager>) {
    while let Some(replicas) = replicas.upgrade() {
        let partitions = replicas.moves.partitions();
        if partitions.is_empty() {
            replicas.moves.changed.notified().await;
            continue;
        }
        let mut progress = false;
        for tp in &partitions {
            progress |= replicas.advance_move(tp);
            tokio::task::yield_now().await;
        }
        if !progress {
            tokio::time::sleep(IDLE).await;
        }
    }
}

impl ReplicaManager {
    /// AlterReplicaLogDirs of one partition. One that is not hosted yet will be made there.
    pub fn alter_replica_log_dir(&self, tp: &TopicPartition, dir: &str) -> ErrorCode {
        let path = Path::new(dir);
        match self.logs.is_dir_online(path) {
            None => return ErrorCode::LogDirNotFound,
            Some(false) => return ErrorCode::KafkaStorageError,
            Some(true) => {}
        }
        let _one_at_a_time = self.controller_epoch.lock();
        let partition = match self.partitions.get(&tp.topic, tp.partition) {
            Some(HostedPartition::Offline) => return ErrorCode::KafkaStorageError,
            Some(HostedPartition::Online(partition)) => partition,
            None => {
                self.logs.prefer_dir(tp, path);
                return ErrorCode::ReplicaNotAvailable;
            }
        };
        match self.begin_move(&partition, path) {
            Ok(()) => ErrorCode::None,
            Err(failure) => {
                tracing::error!(partition = %tp, dir, %failure, "cannot move the replica");
                self.note_failure(tp, &failure)
            }
        }
    }

    fn begin_move(&self, partition: &Partition, dir: &Path) -> Result<(), StorageError> {
        let tp = &partition.topic_partition;
        if self.logs.future(tp).is_some_and(|future| future.parent_dir() != dir) {
            self.end_move(tp)?;
        }
        let log = partition.log().clone();
        if log.parent_dir() == dir || self.moves.get(tp).is_some() {
            return Ok(());
        }
        let start = first_batch_offset(&log)?;
        tracing::info!(partition = %tp, from = %log.parent_dir().display(), to = %dir.display(), "moving the replica");
        let future = self.logs.create_future(tp, dir, log.topic_id(), log.config(), start)?;
        self.moves.add(tp, future);
        Ok(())
    }

    /// Gives a move up, if there is one.
    fn end_move(&self, tp: &TopicPartition) -> Result<(), StorageError> {
        if let Some(ended) = self.moves.get(tp) {
            let _copying = ended.copying.lock();
            self.moves.remove(tp);
        }
        self.logs.remove_future(tp, self.clock.now_ms())
    }

    /// Goes on with a move that the last run of the broker did not finish.
    pub(super) fn resume_move(&self, tp: &TopicPartition) {
        if let Some(future) = self.logs.future(tp)
            && self.moves.get(tp).is_none()
        {
            tracing::info!(partition = %tp, dir = %future.parent_dir().display(), "going on with moving the replica");
            self.moves.add(tp, future);
        }
    }

    /// `replica.alter.log.dirs.io.max.bytes.per.second`; `None`: no limit.
    pub fn set_move_rate(&self, bytes_per_second: Option<i64>) {
        self.moves.quota.set_rate(bytes_per_second);
    }

    /// Copies a step; true if there is more to do at once.
    fn advance_move(&self, tp: &TopicPartition) -> bool {
        if self.moves.quota.is_exceeded(self.clock.monotonic_ms()) {
            return false;
        }
        let Some(current) = self.moves.get(tp) else { return false };
        let Ok(partition) = self.partition(tp) else {
            self.moves.remove(tp);
            return false;
        };
        match self.step(&partition, &current) {
            Ok(progress) => progress,
            Err(failure) => {
                tracing::error!(partition = %tp, %failure, "the move between log dirs is given up");
                self.moves.remove(tp);
                self.note_failure(tp, &failure);
                false
            }
        }
    }

    fn step(&self, partition: &Partition, current: &Move) -> Result<bool, StorageError> {
        let _copying = current.copying.lock();
        let now = self.clock.now_ms();
        let log = partition.log().clone();
        let start = first_batch_offset(&log)?;
        let end = current.future.log_end_offset();
        if end < start || end > log.log_end_offset() {
            current.future.truncate_fully_and_start_at(start)?;
        }
        self.copied(copy(&log, &current.future, now)?);
        if log.log_end_offset() - current.future.log_end_offset() > REST_MAX {
            return Ok(true);
        }
        // Nearly all of it is durable before appends are stopped.
        current.future.flush()?;
        self.finish_move(partition, current, now)?;
        Ok(true)
    }

    fn copied(&self, bytes: usize) {
        self.moves.quota.record(self.clock.monotonic_ms(), bytes);
    }

    /// Copies the rest while nobody appends, and puts the copy in the log's place.
    fn finish_move(&self, partition: &Partition, current: &Move, now: Timestamp) -> Result<(), StorageError> {
        let tp = &partition.topic_partition;
        let future = &current.future;
        partition.replace_log(|state, log| {
            while future.log_end_offset() < log.log_end_offset() {
                let bytes = copy(log, future, now)?;
                self.copied(bytes);
                if bytes == 0 {
                    let message = format!("{tp} cannot be copied beyond {}", future.log_end_offset());
                    return Err(StorageError::refused(ErrorCode::KafkaStorageError, message));
                }
            }
            future.update_config(log.config());
            future.update_high_watermark(log.high_watermark());
            if log.log_start_offset() > future.log_start_offset() {
                future.advance_log_start_offset(log.log_start_offset(), now)?;
            }
            if state.is_leader() {
                future.assign_epoch_start(state.leader_epoch())?;
            }
            self.logs.replace_with_future(tp, now)
        })?;
        self.moves.remove(tp);
        Ok(())
    }

    /// Runs `change`, which cuts the log, so that a copy under way does not keep what is cut off.
    pub(super) fn with_copy_cut<T>(
        &self,
        tp: &TopicPartition,
        offset: Offset,
        change: impl FnOnce() -> Result<T, super::follow::FollowerFailure>,
    ) -> Result<T, super::follow::FollowerFailure> {
        let Some(current) = self.moves.get(tp) else { return change() };
        let _copying = current.copying.lock();
        let done = change()?;
        current.future.truncate_to(offset).map_err(super::follow::FollowerFailure::Storage)?;
        Ok(done)
    }
}

/// Where the batch begins that holds the log's start: a copy has whole batches.
fn first_batch_offset(log: &UnifiedLog) -> Result<Offset, StorageError> {
    let start = log.log_start_offset();
    Ok(log.read(start, 1, FetchIsolation::LogEnd, true)?.base_offset.min(start))
}

/// Copies one step and returns its bytes; none if there was nothing to copy.
fn copy(log: &UnifiedLog, future: &UnifiedLog, now: Timestamp) -> Result<usize, StorageError> {
    use std::os::unix::fs::FileExt;
    let end = future.log_end_offset();
    if end >= log.log_end_offset() {
        return Ok(0);
    }
    // The copy of a log whose start lies within a batch is behind that start.
    let from = end.max(log.log_start_offset());
    let Some(region) = log.read(from, STEP_BYTES, FetchIsolation::LogEnd, true)?.region else { return Ok(0) };
    let mut bytes = BytesMut::zeroed(region.length);
    let read = region.file.read_exact_at(&mut bytes, region.position);
    read.map_err(|source| StorageError::Io { dir: log.parent_dir().to_owned(), source })?;
    Ok(future.append_as_follower(bytes, now)?.bytes)
}
