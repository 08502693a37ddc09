//! Stops hosting a partition (`ReplicaManager.stopReplicas`).

use super::{ReplicaManager, partitions::HostedPartition};
use crate::common::{ErrorCode, TopicPartition};

impl ReplicaManager {
    /// StopReplica. With `delete` the log is renamed away.
    pub fn stop_replica(&self, tp: &TopicPartition, delete: bool) -> ErrorCode {
        match self.partitions.get(&tp.topic, tp.partition) {
            Some(HostedPartition::Offline) => return ErrorCode::KafkaStorageError,
            // Nothing is fetched for a replica of a single broker: there is nothing to stop.
            Some(HostedPartition::Online(_)) if !delete => return ErrorCode::None,
            _ => {}
        }
        if !delete {
            return ErrorCode::None;
        }
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
