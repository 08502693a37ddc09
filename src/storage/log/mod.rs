//! One partition's log (class `UnifiedLog`).

pub mod validate;

use bytes::BytesMut;

use super::StorageError;
use crate::{
    common::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp},
    config::topic::LogConfig,
    protocol::chunk::FileRegion,
};

/// Who appends: decides validation and who may write transaction markers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendOrigin {
    Client,
    Coordinator,
    Replication,
}

/// How far a reader may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchIsolation {
    LogEnd,
    HighWatermark,
    TxnCommitted,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffsetAndEpoch {
    pub offset: Offset,
    pub leader_epoch: LeaderEpoch,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppendInfo {
    pub first_offset: Offset,
    pub last_offset: Offset,
    /// −1 unless the topic's timestamps are LogAppendTime.
    pub log_append_time: Timestamp,
    pub log_start_offset: Offset,
    pub record_count: i32,
    pub bytes: usize,
    /// True when records had to be converted between formats (metrics).
    pub converted: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbortedTxn {
    pub producer_id: ProducerId,
    pub first_offset: Offset,
}

/// What a read found: a region of whole batches, except that the first one may be cut by `max_bytes` when the
/// caller asked for at least one message and it still does not fit (`min_one_message == false`: nothing then).
#[derive(Debug, Clone)]
pub struct FetchData {
    /// `None`: nothing at this offset yet.
    pub region: Option<FileRegion>,
    /// Offset the region's first batch begins at (≤ the fetch offset).
    pub base_offset: Offset,
    /// Set only for `FetchIsolation::TxnCommitted`.
    pub aborted: Option<Vec<AbortedTxn>>,
    pub high_watermark: Offset,
    pub last_stable_offset: Offset,
    pub log_start_offset: Offset,
    pub log_end_offset: Offset,
}

/// What DescribeProducers tells of one producer id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerSnapshot {
    pub producer_id: ProducerId,
    pub producer_epoch: ProducerEpoch,
    pub last_sequence: i32,
    pub last_timestamp: Timestamp,
    pub coordinator_epoch: i32,
    pub current_txn_start_offset: Offset,
}

/// A timestamp lookup's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimestampAndOffset {
    pub timestamp: Timestamp,
    pub offset: Offset,
    pub leader_epoch: LeaderEpoch,
}

/// A partition's log. All methods take `&self`; one lock inside orders appends, reads of sealed data do not hold it
/// across I/O.
pub struct UnifiedLog {}

#[allow(unused_variables)]
impl UnifiedLog {
    /// Validates, assigns offsets, appends. `records` is the produce request's record set, still unshared, so that
    /// base offset and leader epoch are patched in place. The high watermark is not moved: that is the leader's job.
    pub fn append_as_leader(
        &self,
        records: BytesMut,
        leader_epoch: LeaderEpoch,
        origin: AppendOrigin,
        now: Timestamp,
    ) -> Result<AppendInfo, StorageError> {
        todo!()
    }

    /// Appends batches that already have offsets (replication).
    pub fn append_as_follower(&self, records: BytesMut, now: Timestamp) -> Result<AppendInfo, StorageError> {
        todo!()
    }

    /// Region of whole batches from the one that holds `start_offset`, at most `max_bytes` long, never past what
    /// `isolation` allows. With `min_one_message` the first batch is returned whole even if larger than `max_bytes`.
    pub fn read(
        &self,
        start_offset: Offset,
        max_bytes: usize,
        isolation: FetchIsolation,
        min_one_message: bool,
    ) -> Result<FetchData, StorageError> {
        todo!()
    }

    pub fn log_start_offset(&self) -> Offset {
        todo!()
    }
    pub fn log_end_offset(&self) -> Offset {
        todo!()
    }
    pub fn high_watermark(&self) -> Offset {
        todo!()
    }
    /// Moves the high watermark (clamped to [log start, log end]) and returns what it is now.
    pub fn update_high_watermark(&self, offset: Offset) -> Offset {
        todo!()
    }
    pub fn last_stable_offset(&self) -> Offset {
        todo!()
    }
    pub fn latest_epoch(&self) -> Option<LeaderEpoch> {
        todo!()
    }
    /// Notes that `epoch` begins at the log end (becoming leader).
    pub fn assign_epoch_start(&self, epoch: LeaderEpoch) -> Result<(), StorageError> {
        todo!()
    }
    /// OffsetForLeaderEpoch: the end offset of the largest epoch ≤ `epoch`. `None` if unknown.
    pub fn end_offset_for_epoch(&self, epoch: LeaderEpoch) -> Option<OffsetAndEpoch> {
        todo!()
    }
    /// ListOffsets by time: first offset whose timestamp is ≥ `timestamp`, below nothing (caller clamps).
    pub fn offset_for_timestamp(&self, timestamp: Timestamp) -> Result<Option<TimestampAndOffset>, StorageError> {
        todo!()
    }
    /// ListOffsets −3 (KIP-734): the record with the greatest timestamp.
    pub fn offset_of_max_timestamp(&self) -> Result<Option<TimestampAndOffset>, StorageError> {
        todo!()
    }
    /// DeleteRecords: moves the log start offset up (never past the high watermark); segments wholly below go.
    pub fn advance_log_start_offset(&self, offset: Offset, now: Timestamp) -> Result<Offset, StorageError> {
        todo!()
    }
    pub fn truncate_to(&self, offset: Offset) -> Result<bool, StorageError> {
        todo!()
    }
    pub fn truncate_fully_and_start_at(&self, offset: Offset) -> Result<(), StorageError> {
        todo!()
    }
    pub fn size_bytes(&self) -> u64 {
        todo!()
    }
    pub fn active_producers(&self) -> Vec<ProducerSnapshot> {
        todo!()
    }
    pub fn topic_id(&self) -> Option<uuid::Uuid> {
        todo!()
    }
    pub fn config(&self) -> std::sync::Arc<LogConfig> {
        todo!()
    }
    pub fn update_config(&self, config: std::sync::Arc<LogConfig>) {
        todo!()
    }
    pub fn flush(&self) -> Result<(), StorageError> {
        todo!()
    }
}
