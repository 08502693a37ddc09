//! All logs of a broker, over all its log dirs (class `LogManager`).

use std::{path::PathBuf, sync::Arc};

use uuid::Uuid;

use super::{StorageError, UnifiedLog};
use crate::{
    common::{BrokerId, Clock, Timestamp, TopicPartition},
    config::topic::LogConfig,
};

/// What the manager needs to know of the broker's configuration.
#[derive(Debug, Clone)]
pub struct LogManagerConfig {
    pub log_dirs: Vec<PathBuf>,
    /// `num.recovery.threads.per.data.dir`
    pub recovery_threads_per_dir: usize,
    /// `producer.id.expiration.ms`
    pub producer_id_expiration_ms: i64,
    /// `log.flush.offset.checkpoint.interval.ms` and friends are the task table's business.
    pub default_log_config: LogConfig,
}

/// What `meta.properties` says (version 0, the only one ZooKeeper mode accepts).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DirIdentity {
    pub broker_id: Option<BrokerId>,
    pub cluster_id: Option<String>,
}

/// One partition in one log dir, for DescribeLogDirs.
#[derive(Debug, Clone)]
pub struct LogDirReplica {
    pub topic_partition: TopicPartition,
    pub size_bytes: u64,
    pub log_end_offset: i64,
    pub is_future: bool,
}

#[derive(Debug, Clone)]
pub struct LogDirDescription {
    pub path: PathBuf,
    /// False once an I/O error took it offline.
    pub online: bool,
    pub total_bytes: i64,
    pub usable_bytes: i64,
    pub replicas: Vec<LogDirReplica>,
}

pub struct LogManager {}

#[allow(unused_variables)]
impl LogManager {
    /// Creates and locks the log dirs and reads their `meta.properties`; loads nothing yet.
    pub fn open(config: LogManagerConfig, clock: Arc<dyn Clock>) -> Result<Self, StorageError> {
        todo!()
    }
    /// Identity agreed on by all dirs (`Err` if they disagree).
    pub fn identity(&self) -> Result<DirIdentity, StorageError> {
        todo!()
    }
    /// Writes `meta.properties` where it is missing.
    pub fn write_identity(&self, broker_id: BrokerId, cluster_id: &str) -> Result<(), StorageError> {
        todo!()
    }
    /// Loads every log in parallel; `topic_config` gives each topic's configuration. Recovers from the recovery point
    /// unless the last stop was clean. Returns whether all dirs were stopped cleanly.
    pub fn load(&self, topic_config: &(dyn Fn(&str) -> LogConfig + Sync)) -> Result<bool, StorageError> {
        todo!()
    }
    pub fn get(&self, tp: &TopicPartition) -> Option<Arc<UnifiedLog>> {
        todo!()
    }
    pub fn get_or_create(
        &self,
        tp: &TopicPartition,
        topic_id: Option<Uuid>,
        config: LogConfig,
    ) -> Result<Arc<UnifiedLog>, StorageError> {
        todo!()
    }
    pub fn all(&self) -> Vec<(TopicPartition, Arc<UnifiedLog>)> {
        todo!()
    }
    /// Renames the directory to `…-delete` now and removes it after `file.delete.delay.ms`.
    pub fn delete(&self, tp: &TopicPartition, now: Timestamp) -> Result<(), StorageError> {
        todo!()
    }
    /// High watermark as of the last checkpoint (`replication-offset-checkpoint`), read at load.
    pub fn checkpointed_high_watermark(&self, tp: &TopicPartition) -> Option<i64> {
        todo!()
    }
    pub fn describe(&self) -> Vec<LogDirDescription> {
        todo!()
    }
    /// A log's dir failed: take it offline, return the partitions that went with it.
    pub fn mark_offline(&self, dir: &std::path::Path) -> Vec<TopicPartition> {
        todo!()
    }

    // The task table's entries.
    pub fn delete_old_segments(&self, now: Timestamp) {
        todo!()
    }
    pub fn flush_dirty_logs(&self, now: Timestamp) {
        todo!()
    }
    pub fn checkpoint_recovery_points(&self) {
        todo!()
    }
    pub fn checkpoint_log_start_offsets(&self) {
        todo!()
    }
    pub fn checkpoint_high_watermarks(&self) {
        todo!()
    }
    pub fn delete_pending(&self, now: Timestamp) {
        todo!()
    }
    pub fn expire_producers(&self, now: Timestamp) {
        todo!()
    }
    /// Flushes and closes all logs, writes checkpoints and `.kafka_cleanshutdown`.
    pub fn shutdown(&self, broker_epoch: i64) {
        todo!()
    }
}
