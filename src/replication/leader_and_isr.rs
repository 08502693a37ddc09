//! Becomes leader or follower of partitions (`ReplicaManager.becomeLeaderOrFollower`).

use std::sync::Arc;

use super::{
    PartitionStateChange, ReplicaManager,
    hosted::Partition,
    partition::{AlterPartition, Leadership, PartitionState},
    partitions::HostedPartition,
};
use crate::{
    common::{ErrorCode, TopicPartition},
    config::topic::LogConfig,
    storage::StorageError,
};

impl ReplicaManager {
    /// Becomes leader or follower of each partition. Answers are in order, one code for the whole if it comes from an
    /// old controller.
    pub fn become_leader_or_follower(
        &self,
        controller_epoch: i32,
        changes: Vec<PartitionStateChange>,
    ) -> Result<Vec<ErrorCode>, ErrorCode> {
        let mut newest = self.controller_epoch.lock();
        if controller_epoch < *newest {
            tracing::warn!(controller_epoch, newest = *newest, "LeaderAndIsr of an old controller");
            return Err(ErrorCode::StaleControllerEpoch);
        }
        *newest = controller_epoch;
        // Leaders must not go on copying; for followers the state itself fences what their old fetchers still do.
        let leads = |change: &&PartitionStateChange| change.leader == self.config.broker_id;
        self.fetchers.remove(changes.iter().filter(leads).map(|change| &change.topic_partition));
        let mut follow = Vec::new();
        let codes = changes.into_iter().map(|change| self.apply_partition_state(change, &mut follow)).collect();
        self.fetchers.remove(follow.iter().map(|partition| &partition.topic_partition));
        self.follow(&follow);
        drop(newest);
        self.fetchers.stop_idle();
        Ok(codes)
    }

    /// As [`Self::become_leader_or_follower`] of the controller that spoke last.
    pub fn apply_partition_states(&self, changes: Vec<PartitionStateChange>) -> Vec<ErrorCode> {
        let newest = *self.controller_epoch.lock();
        let count = changes.len();
        self.become_leader_or_follower(newest, changes).unwrap_or_else(|code| vec![code; count])
    }

    /// UpdateMetadata comes from the newest controller known, or else STALE_CONTROLLER_EPOCH.
    pub fn check_controller_epoch(&self, controller_epoch: i32) -> Result<(), ErrorCode> {
        let mut newest = self.controller_epoch.lock();
        if controller_epoch < *newest {
            return Err(ErrorCode::StaleControllerEpoch);
        }
        *newest = controller_epoch;
        Ok(())
    }

    fn apply_partition_state(&self, change: PartitionStateChange, follow: &mut Vec<Arc<Partition>>) -> ErrorCode {
        let tp = change.topic_partition.clone();
        let known = match self.partitions.get(&tp.topic, tp.partition) {
            Some(HostedPartition::Offline) => return ErrorCode::KafkaStorageError,
            Some(HostedPartition::Online(partition)) => {
                if let Err(code) = check_against(&partition, &change) {
                    return code;
                }
                Some(partition)
            }
            None => None,
        };
        if !change.replicas.contains(&self.config.broker_id) {
            tracing::warn!(partition = %tp, replicas = ?change.replicas, "this broker is not a replica");
            return ErrorCode::UnknownTopicOrPartition;
        }
        let partition = match known.map_or_else(|| self.host(&tp, &change), Ok) {
            Ok(partition) => partition,
            Err(failure) => return self.cannot_host(&tp, &failure),
        };
        let decision = Leadership {
            leader: change.leader,
            leader_epoch: change.leader_epoch,
            partition_epoch: change.partition_epoch,
            isr: change.isr,
            replicas: change.replicas,
        };
        let applied = partition.apply(&decision, self.clock.now_ms());
        if decision.replicas.len() > 1 {
            self.note_live_replicas(&partition);
        }
        match applied {
            // A newer decision was heard by another way (the answer to AlterPartition).
            Ok(None) => ErrorCode::None,
            Ok(Some(high_watermark)) => {
                if let Some(offset) = high_watermark {
                    self.high_watermark_moved(partition.key, offset, usize::MAX);
                }
                self.wake_all(partition.key);
                if decision.leader != self.config.broker_id {
                    follow.push(partition);
                }
                ErrorCode::None
            }
            Err(failure) => {
                tracing::error!(partition = %tp, %failure, "cannot become leader");
                self.note_failure(&tp, &failure)
            }
        }
    }

    /// Opens or creates the log; it resumes at the high watermark of the last checkpoint.
    fn host(&self, tp: &TopicPartition, change: &PartitionStateChange) -> Result<Arc<Partition>, StorageError> {
        // A second, empty log beside the one that cannot be reached would pass for all there ever was.
        if !change.is_new && self.logs.has_offline_dir() && self.logs.get(tp).is_none() {
            let message = format!("no log of {tp} while log dirs are offline");
            return Err(StorageError::refused(ErrorCode::KafkaStorageError, message));
        }
        let topic_id = (!change.topic_id.is_nil()).then_some(change.topic_id);
        let log = self.logs.get_or_create(tp, topic_id, change.config.clone())?;
        log.update_high_watermark(self.logs.checkpointed_high_watermark(tp).unwrap_or(0));
        let state = PartitionState::new(self.config.broker_id, self.config.replica_lag_time_max_ms);
        let topic_metrics = self.topic_stats.topic(&tp.topic);
        let partition = Arc::new(Partition::new(self.new_key(), tp.clone(), log, topic_metrics, state));
        self.partitions.insert(&tp.topic, tp.partition, HostedPartition::Online(Arc::clone(&partition)));
        self.resume_move(tp);
        Ok(partition)
    }

    fn cannot_host(&self, tp: &TopicPartition, failure: &StorageError) -> ErrorCode {
        tracing::error!(partition = %tp, %failure, "cannot open log");
        let code = self.note_failure(tp, failure);
        if code == ErrorCode::KafkaStorageError {
            self.partitions.insert(&tp.topic, tp.partition, HostedPartition::Offline);
        }
        code
    }

    /// A topic's configuration changed.
    pub fn update_topic_config(&self, topic: &str, config: &LogConfig) {
        let config = Arc::new(config.clone());
        let now = self.clock.now_ms();
        for partition in self.partitions.of_topic(topic) {
            partition.log().update_config(Arc::clone(&config));
            // A smaller min.insync.replicas may commit what waits.
            let moved = partition.advance_high_watermark(&partition.state(), now, config.min_insync_replicas);
            if let Some(offset) = moved {
                self.high_watermark_moved(partition.key, offset, usize::MAX);
            }
        }
    }

    /// Proposals of leaders here to drop followers that lag (`isr-expiration`); empty while replicas are alone.
    pub fn shrink_isr(&self) -> Vec<(TopicPartition, AlterPartition)> {
        let now = self.clock.now_ms();
        let shrink = |partition: &Arc<Partition>| {
            // Most partitions are whole: they are looked at without stopping their appends.
            if !partition.state().has_laggards(now, partition.offsets()) {
                return None;
            }
            let offsets = partition.offsets();
            let proposal = partition.change(|state| state.shrink_isr(now, offsets))?;
            Some((partition.topic_partition.clone(), proposal))
        };
        self.partitions.online().iter().filter_map(shrink).collect()
    }
}

/// Whether a decision is newer than what the partition knows, and about the same topic. The same epoch again brings at
/// most a topic id to a log that has none (KIP-516).
fn check_against(partition: &Partition, change: &PartitionStateChange) -> Result<(), ErrorCode> {
    let tp = &partition.topic_partition;
    let known_id = partition.log().topic_id();
    if !change.topic_id.is_nil() && known_id.is_some_and(|id| id != change.topic_id) {
        tracing::error!(partition = %tp, log = ?known_id, controller = %change.topic_id, "topic ids differ");
        return Err(ErrorCode::InconsistentTopicId);
    }
    let current = partition.state().leader_epoch();
    if change.leader_epoch > current {
        return Ok(());
    }
    if change.leader_epoch == current && known_id.is_none() && !change.topic_id.is_nil() {
        return Err(partition
            .log()
            .assign_topic_id(change.topic_id)
            .map_or_else(|failure| failure.code(), |()| ErrorCode::None));
    }
    tracing::info!(partition = %tp, epoch = change.leader_epoch, current, "leadership is known already");
    Err(ErrorCode::StaleControllerEpoch)
}
