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
    /// Becomes leader (or, later, follower) of each partition. Answers are in order.
    pub fn apply_partition_states(&self, changes: Vec<PartitionStateChange>) -> Vec<ErrorCode> {
        changes.into_iter().map(|change| self.apply_partition_state(change)).collect()
    }

    fn apply_partition_state(&self, change: PartitionStateChange) -> ErrorCode {
        let tp = change.topic_partition.clone();
        if !change.replicas.contains(&self.config.broker_id) {
            tracing::warn!(partition = %tp, replicas = ?change.replicas, "this broker is not a replica");
            return ErrorCode::UnknownTopicOrPartition;
        }
        let partition = match self.partitions.get(&tp.topic, tp.partition) {
            Some(HostedPartition::Offline) => return ErrorCode::KafkaStorageError,
            Some(HostedPartition::Online(partition)) => {
                if !change.topic_id.is_nil() && partition.log.topic_id().is_some_and(|id| id != change.topic_id) {
                    tracing::error!(partition = %tp, "topic id is not the one of the log");
                    return ErrorCode::InconsistentTopicId;
                }
                partition
            }
            None => match self.host(&tp, &change) {
                Ok(partition) => partition,
                Err(failure) => return self.cannot_host(&tp, &failure),
            },
        };
        let decision = Leadership {
            leader: change.leader,
            leader_epoch: change.leader_epoch,
            partition_epoch: change.partition_epoch,
            isr: change.isr,
            replicas: change.replicas,
        };
        match partition.apply(&decision, self.clock.now_ms()) {
            Ok(None) => ErrorCode::StaleControllerEpoch,
            Ok(Some(high_watermark)) => {
                if let Some(offset) = high_watermark {
                    self.high_watermark_moved(partition.key, offset, usize::MAX);
                }
                self.wake_all(partition.key);
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
            partition.log.update_config(Arc::clone(&config));
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
            let offsets = partition.offsets();
            let proposal = partition.change(|state| state.shrink_isr(now, offsets))?;
            self.metrics.isr_shrinks.mark(1);
            Some((partition.topic_partition.clone(), proposal))
        };
        self.partitions.online().iter().filter_map(shrink).collect()
    }
}
