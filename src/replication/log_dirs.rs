//! What is in which log dir (`ReplicaManager.describeLogDirs`).

use super::{ReplicaManager, partitions::HostedPartition};
use crate::common::{ErrorCode, TopicPartition};

/// One log dir, for DescribeLogDirs.
#[derive(Debug, Clone)]
pub struct LogDirInfo {
    pub error: ErrorCode,
    /// Absolute path.
    pub path: String,
    pub total_bytes: i64,
    pub usable_bytes: i64,
    pub partitions: Vec<LogDirPartition>,
}

#[derive(Debug, Clone)]
pub struct LogDirPartition {
    pub topic_partition: TopicPartition,
    pub size_bytes: i64,
    /// How far the replica is behind the high watermark (or a future replica behind the current one); −1: unknown.
    pub offset_lag: i64,
    pub is_future: bool,
}

impl ReplicaManager {
    /// A log dir went offline with these partitions: they answer KAFKA_STORAGE_ERROR from now on, and whoever waits for
    /// them looks again (`ReplicaManager.handleLogDirFailure`). To be called again for the same ones does no harm.
    pub fn log_dir_failed(&self, lost: &[TopicPartition]) {
        for tp in lost {
            let Some(HostedPartition::Online(partition)) = self.partitions.get(&tp.topic, tp.partition) else {
                continue;
            };
            self.partitions.insert(&tp.topic, tp.partition, HostedPartition::Offline);
            self.wake_all(partition.key);
            if self.partitions.of_topic(&tp.topic).is_empty() {
                self.topic_stats.remove(&tp.topic);
            }
        }
    }

    /// Nothing is copied to these any more: their log dir is gone. Not for those who hold a fetcher's lock.
    pub fn stop_following(&self, lost: &[TopicPartition]) {
        self.fetchers.remove(lost);
        self.fetchers.stop_idle();
    }

    /// All log dirs, with those partitions that `wanted` says yes to.
    pub fn describe_log_dirs(&self, wanted: impl Fn(&TopicPartition) -> bool) -> Vec<LogDirInfo> {
        let describe = |dir: crate::storage::manager::LogDirDescription| {
            let path = dir.path.display().to_string();
            if !dir.online {
                return LogDirInfo {
                    error: ErrorCode::KafkaStorageError,
                    path,
                    total_bytes: -1,
                    usable_bytes: -1,
                    partitions: Vec::new(),
                };
            }
            let partitions = dir
                .replicas
                .into_iter()
                .filter(|replica| wanted(&replica.topic_partition))
                .map(|replica| LogDirPartition {
                    size_bytes: i64::try_from(replica.size_bytes).unwrap_or(i64::MAX),
                    offset_lag: self.offset_lag(&replica.topic_partition, replica.log_end_offset, replica.is_future),
                    is_future: replica.is_future,
                    topic_partition: replica.topic_partition,
                })
                .collect();
            LogDirInfo {
                error: ErrorCode::None,
                path,
                total_bytes: dir.total_bytes,
                usable_bytes: dir.usable_bytes,
                partitions,
            }
        };
        self.logs.describe().into_iter().map(describe).collect()
    }

    fn offset_lag(&self, tp: &TopicPartition, log_end_offset: i64, is_future: bool) -> i64 {
        match self.local_log(&tp.topic, tp.partition) {
            Some(log) if is_future => log.log_end_offset() - log_end_offset,
            Some(log) => (log.high_watermark() - log_end_offset).max(0),
            None => -1,
        }
    }
}
