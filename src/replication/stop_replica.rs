//! Stops hosting partitions (`ReplicaManager.stopReplicas`).

use super::{ReplicaManager, partitions::HostedPartition};
use crate::common::{ErrorCode, LeaderEpoch, TopicPartition, ids::NO_LEADER_EPOCH};

/// A topic that is deleted does not raise its epochs (`LeaderAndIsr.EpochDuringDelete`).
const EPOCH_DURING_DELETE: LeaderEpoch = -2;

/// One partition of a StopReplica.
#[derive(Debug, Clone)]
pub struct StopPartition {
    pub topic_partition: TopicPartition,
    /// −1: the sender says none; −2: whatever it is.
    pub leader_epoch: LeaderEpoch,
    pub delete: bool,
}

impl ReplicaManager {
    /// StopReplica: nothing is copied any more; with `delete` the log is renamed away. Answers are in order, one code for
    /// the whole if it comes from an old controller.
    pub fn stop_replicas(
        &self,
        controller_epoch: i32,
        partitions: &[StopPartition],
    ) -> Result<Vec<ErrorCode>, ErrorCode> {
        let mut newest = self.controller_epoch.lock();
        if controller_epoch < *newest {
            return Err(ErrorCode::StaleControllerEpoch);
        }
        *newest = controller_epoch;
        let mut codes: Vec<ErrorCode> = partitions.iter().map(|it| self.may_stop(it)).collect();
        let stopped = || partitions.iter().zip(&codes).filter(|(_, code)| code.is_none()).map(|(it, _)| it);
        // Before anything is taken from under them.
        self.fetchers.remove(stopped().map(|it| &it.topic_partition));
        for (it, code) in partitions.iter().zip(&mut codes).filter(|(_, code)| code.is_none()) {
            *code = self.stop_replica(&it.topic_partition, it.delete);
        }
        drop(newest);
        self.fetchers.stop_idle();
        Ok(codes)
    }

    fn may_stop(&self, it: &StopPartition) -> ErrorCode {
        let tp = &it.topic_partition;
        match self.partitions.get(&tp.topic, tp.partition) {
            Some(HostedPartition::Offline) => ErrorCode::KafkaStorageError,
            Some(HostedPartition::Online(partition)) => {
                let current = partition.state().leader_epoch();
                let says_none = matches!(it.leader_epoch, NO_LEADER_EPOCH | EPOCH_DURING_DELETE);
                if says_none || it.leader_epoch >= current { ErrorCode::None } else { ErrorCode::FencedLeaderEpoch }
            }
            None => ErrorCode::None,
        }
    }

    /// The part after the checks. Without `delete` the log stays, and whoever waits for the partition looks again.
    pub(super) fn stop_replica(&self, tp: &TopicPartition, delete: bool) -> ErrorCode {
        if !delete {
            if let Ok(partition) = self.partition(tp) {
                self.wake_all(partition.key);
            }
            return ErrorCode::None;
        }
        self.moves.remove(tp);
        if let Some((HostedPartition::Online(partition), was_last)) = self.partitions.remove(&tp.topic, tp.partition) {
            if was_last {
                self.topic_stats.remove(&tp.topic);
            }
            self.wake_all(partition.key);
        }
        // A log may be on disk without being hosted: the topic went away while this broker was down.
        if self.logs.get(tp).is_none() {
            return ErrorCode::None;
        }
        match self.logs.delete(tp, self.clock.now_ms()) {
            Ok(()) => ErrorCode::None,
            Err(failure) => {
                tracing::error!(partition = %tp, %failure, "cannot delete log");
                self.note_failure(tp, &failure)
            }
        }
    }
}
