//! The face of the room (class `ReplicaManager`).

use std::sync::Arc;

use bytes::BytesMut;
use uuid::Uuid;

use crate::{
    common::{BrokerId, Clock, ErrorCode, LeaderEpoch, Offset, Timestamp, TopicPartition},
    config::topic::LogConfig,
    protocol::chunk::Records,
    storage::{AbortedTxn, AppendOrigin, FetchIsolation, LogManager, OffsetAndEpoch, UnifiedLog, error::RecordError},
};

/// What the manager needs to know of the broker's configuration.
#[derive(Debug, Clone)]
pub struct ReplicaConfig {
    pub broker_id: BrokerId,
    pub replica_lag_time_max_ms: i64,
    /// `message.max.bytes` and such are per topic, in `LogConfig`.
    pub fetch_max_bytes: i32,
}

/// One partition's records to append.
pub struct AppendRequest {
    pub topic_partition: TopicPartition,
    pub records: BytesMut,
}

/// One partition's answer (ProduceResponse's PartitionProduceResponse).
#[derive(Debug, Clone)]
pub struct AppendResult {
    pub error: ErrorCode,
    pub error_message: Option<String>,
    pub base_offset: Offset,
    pub last_offset: Offset,
    pub log_append_time: Timestamp,
    pub log_start_offset: Offset,
    pub record_errors: Vec<RecordError>,
}

/// What all partitions of one Fetch share.
#[derive(Debug, Clone)]
pub struct FetchParams {
    /// −1 for consumers; ≥ 0 followers.
    pub replica_id: BrokerId,
    pub max_wait_ms: i32,
    pub min_bytes: i32,
    pub max_bytes: i32,
    pub isolation: FetchIsolation,
    /// Fetch v ≤ 2: a first batch larger than the limit is not returned whole ("hard max bytes").
    pub hard_max_bytes: bool,
    pub client_rack: Option<String>,
}

#[derive(Debug, Clone)]
pub struct FetchPartition {
    pub topic_partition: TopicPartition,
    pub topic_id: Uuid,
    pub fetch_offset: Offset,
    pub log_start_offset: Offset,
    pub max_bytes: i32,
    /// −1: not given.
    pub current_leader_epoch: LeaderEpoch,
    pub last_fetched_epoch: LeaderEpoch,
}

#[derive(Debug, Clone)]
pub struct FetchPartitionData {
    pub error: ErrorCode,
    pub high_watermark: Offset,
    pub last_stable_offset: Offset,
    pub log_start_offset: Offset,
    pub aborted: Option<Vec<AbortedTxn>>,
    pub records: Records,
    /// Offset the records begin at, for down-conversion.
    pub records_base_offset: Offset,
    pub diverging: Option<OffsetAndEpoch>,
    pub preferred_read_replica: Option<BrokerId>,
}

#[derive(Debug, Clone, Copy)]
pub struct ListOffsetsAnswer {
    pub error: ErrorCode,
    pub timestamp: Timestamp,
    pub offset: Offset,
    pub leader_epoch: LeaderEpoch,
}

#[derive(Debug, Clone, Copy)]
pub struct DeleteRecordsResult {
    pub error: ErrorCode,
    pub low_watermark: Offset,
}

/// One partition of a LeaderAndIsr, as a value.
#[derive(Debug, Clone)]
pub struct PartitionStateChange {
    pub topic_partition: TopicPartition,
    pub topic_id: Uuid,
    pub leader: BrokerId,
    pub leader_epoch: LeaderEpoch,
    pub partition_epoch: i32,
    pub isr: Vec<BrokerId>,
    pub replicas: Vec<BrokerId>,
    pub is_new: bool,
    pub config: LogConfig,
}

/// All partitions hosted here.
pub struct ReplicaManager {}

#[allow(unused_variables, clippy::unused_async)]
impl ReplicaManager {
    #[must_use]
    pub fn new(config: ReplicaConfig, logs: Arc<LogManager>, clock: Arc<dyn Clock>) -> Arc<Self> {
        todo!()
    }

    /// Appends to local leaders; with `acks == -1` waits until all in-sync replicas have it or `timeout_ms` passes
    /// (REQUEST_TIMED_OUT). Answers are in the order of `requests`. `internal_allowed` lets coordinators write
    /// `__consumer_offsets` and `__transaction_state`.
    pub async fn append(
        &self,
        requests: Vec<AppendRequest>,
        acks: i16,
        timeout_ms: i32,
        origin: AppendOrigin,
        internal_allowed: bool,
    ) -> Vec<AppendResult> {
        todo!()
    }

    /// Reads; waits until `min_bytes` are there or `max_wait_ms` passes. Answers are in the order of `partitions`.
    pub async fn fetch(&self, params: &FetchParams, partitions: &[FetchPartition]) -> Vec<FetchPartitionData> {
        todo!()
    }

    /// The log of a partition this broker leads, else the code to answer
    /// (NOT_LEADER_OR_FOLLOWER, UNKNOWN_TOPIC_OR_PARTITION, KAFKA_STORAGE_ERROR, FENCED_/UNKNOWN_LEADER_EPOCH).
    pub fn leader_log(
        &self,
        tp: &TopicPartition,
        current_leader_epoch: LeaderEpoch,
    ) -> Result<(Arc<UnifiedLog>, LeaderEpoch), ErrorCode> {
        todo!()
    }

    /// ListOffsets of one partition. `timestamp` may be −1 latest, −2 earliest, −3 max timestamp, −4 earliest local,
    /// −5 latest tiered. `isolation` `None` = replica (log end).
    pub fn list_offsets(
        &self,
        tp: &TopicPartition,
        timestamp: Timestamp,
        isolation: Option<FetchIsolation>,
        current_leader_epoch: LeaderEpoch,
    ) -> ListOffsetsAnswer {
        todo!()
    }

    /// DeleteRecords of one partition; `offset` −1 means the high watermark.
    pub async fn delete_records(&self, tp: &TopicPartition, offset: Offset, timeout_ms: i32) -> DeleteRecordsResult {
        todo!()
    }

    /// Becomes leader (or, later, follower) of each partition. Answers are in order.
    pub fn apply_partition_states(&self, changes: Vec<PartitionStateChange>) -> Vec<ErrorCode> {
        todo!()
    }

    /// StopReplica. With `delete` the log is renamed away.
    pub fn stop_replica(&self, tp: &TopicPartition, delete: bool) -> ErrorCode {
        todo!()
    }

    /// A topic's configuration changed.
    pub fn update_topic_config(&self, topic: &str, config: &LogConfig) {
        todo!()
    }

    #[must_use]
    pub fn logs(&self) -> &Arc<LogManager> {
        todo!()
    }
}
