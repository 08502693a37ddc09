//! A partition with its log: drives the pure state of `partition` (class `Partition`).

use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::BytesMut;
use parking_lot::{Mutex, RwLock, RwLockReadGuard};

use super::{
    delayed::PartitionKey,
    partition::{Leadership, LogOffsets, PartitionState},
};
use crate::{
    common::{ErrorCode, LeaderEpoch, Offset, Timestamp, TopicPartition},
    metrics::BrokerTopicMetrics,
    storage::{AppendInfo, AppendOrigin, StorageError, UnifiedLog, Verification},
};

/// A partition hosted on this broker.
pub struct Partition {
    pub key: PartitionKey,
    pub topic_partition: TopicPartition,
    /// Another one after a move between log dirs, which happens under the state's lock held alone.
    log: ArcSwap<UnifiedLog>,
    pub topic_metrics: Arc<BrokerTopicMetrics>,
    /// Appends and reads hold it shared, so that leadership does not change under them.
    state: RwLock<PartitionState>,
    /// Orders advances of the high watermark: appends run side by side, and a later one may finish first.
    advance: Mutex<()>,
}

/// Why a leader did not append.
pub enum AppendFailure {
    /// NOT_LEADER_OR_FOLLOWER, NOT_ENOUGH_REPLICAS.
    Refused(ErrorCode),
    Storage(StorageError),
}

impl Partition {
    #[must_use]
    pub fn new(
        key: PartitionKey,
        topic_partition: TopicPartition,
        log: Arc<UnifiedLog>,
        topic_metrics: Arc<BrokerTopicMetrics>,
        state: PartitionState,
    ) -> Self {
        let log = ArcSwap::new(log);
        Self { key, topic_partition, log, topic_metrics, state: RwLock::new(state), advance: Mutex::new(()) }
    }

    /// The log as it is now. What must not go into a log that is being replaced takes the state's lock first.
    pub fn log(&self) -> arc_swap::Guard<Arc<UnifiedLog>> {
        self.log.load()
    }

    /// Runs `replace` while nobody appends or reads; the log it returns is the partition's from then on.
    pub fn replace_log<E>(
        &self,
        replace: impl FnOnce(&PartitionState, &Arc<UnifiedLog>) -> Result<Arc<UnifiedLog>, E>,
    ) -> Result<(), E> {
        let state = self.state.write();
        let next = replace(&state, &self.log.load())?;
        self.log.store(next);
        Ok(())
    }

    pub fn state(&self) -> RwLockReadGuard<'_, PartitionState> {
        self.state.read()
    }

    pub fn change<T>(&self, change: impl FnOnce(&mut PartitionState) -> T) -> T {
        change(&mut self.state.write())
    }

    /// The log's offsets now, read so that start ≤ high watermark ≤ end holds even while an append runs.
    #[must_use]
    pub fn offsets(&self) -> LogOffsets {
        let log = self.log();
        let log_start_offset = log.log_start_offset();
        let high_watermark = log.high_watermark();
        LogOffsets { log_start_offset, high_watermark, log_end_offset: log.log_end_offset() }
    }

    /// Appends if this broker leads and, for acks=all, enough replicas are in sync. The second value is the new high
    /// watermark if it moved.
    pub fn append_as_leader(
        &self,
        records: BytesMut,
        acks: i16,
        origin: AppendOrigin,
        verification: Verification,
        now: Timestamp,
    ) -> Result<(AppendInfo, Option<Offset>), AppendFailure> {
        let state = self.state.read();
        if !state.is_leader() {
            return Err(AppendFailure::Refused(ErrorCode::NotLeaderOrFollower));
        }
        let log = self.log();
        let min_insync_replicas = log.config().min_insync_replicas;
        if acks == -1 && state.is_under_min_isr(min_insync_replicas) {
            return Err(AppendFailure::Refused(ErrorCode::NotEnoughReplicas));
        }
        let appended = log.append_verified(records, state.leader_epoch(), origin, verification, now);
        let info = appended.map_err(AppendFailure::Storage)?;
        let high_watermark = self.advance_high_watermark(&state, now, min_insync_replicas);
        Ok((info, high_watermark))
    }

    /// Moves the high watermark as far as the ISR allows; the new one if it moved.
    pub fn advance_high_watermark(
        &self,
        state: &PartitionState,
        now: Timestamp,
        min_insync_replicas: i32,
    ) -> Option<Offset> {
        let _ordered = self.advance.lock();
        let candidate = state.high_watermark_after(now, self.offsets(), min_insync_replicas)?;
        Some(self.log().update_high_watermark(candidate))
    }

    /// Becomes what the controller decided. `None`: it is an old decision. Else the new high watermark if it moved.
    pub fn apply(&self, decision: &Leadership, now: Timestamp) -> Result<Option<Option<Offset>>, StorageError> {
        let mut state = self.state.write();
        let log_end_offset = self.log().log_end_offset();
        let Some(is_new_epoch) = state.apply(now, decision, log_end_offset) else { return Ok(None) };
        if !state.is_leader() {
            return Ok(Some(None));
        }
        if is_new_epoch {
            self.log().assign_epoch_start(decision.leader_epoch)?;
        }
        let min_insync_replicas = self.log().config().min_insync_replicas;
        Ok(Some(self.advance_high_watermark(&state, now, min_insync_replicas)))
    }

    /// `Ok` with the epoch if the caller may use the log. `only_leader`: followers may not answer.
    pub fn check(&self, current_leader_epoch: LeaderEpoch, only_leader: bool) -> Result<LeaderEpoch, ErrorCode> {
        let state = self.state.read();
        if only_leader {
            state.check_leader(current_leader_epoch)
        } else {
            state.check_epoch(current_leader_epoch).map(|()| state.leader_epoch())
        }
    }

    #[must_use]
    pub fn low_watermark(&self) -> Offset {
        self.state.read().low_watermark(self.log().log_start_offset())
    }
}
