//! One partition's log (class `UnifiedLog`).

pub mod append;
pub mod context;
pub mod file_records;
pub mod index;
pub mod index_rebuild;
pub mod leader_epochs;
mod listing;
pub mod offset_index;
pub mod offsets;
pub mod producer_append;
pub mod producer_state;
pub mod read;
pub mod recover;
pub mod replace_segments;
pub mod retention;
pub mod roll;
pub mod segment;
pub mod segment_files;
pub mod segments;
pub mod time_index;
pub mod transaction_index;
pub mod truncate;
pub mod unified_log;
pub mod validate;

#[cfg(test)]
mod tests;

pub use unified_log::{SegmentInfo, UnifiedLog};

use crate::{
    common::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp},
    protocol::chunk::FileRegion,
};

/// Who appends: decides validation and who may write transaction markers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendOrigin {
    Client,
    Coordinator,
    Replication,
}

/// Whether a producer's first write into a transaction was checked with the transaction's coordinator (class
/// `VerificationGuard`, KIP-890): a record that comes late, behind the transaction's marker, would hang for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verification {
    /// `transaction.partition.verification.enable` is off, or no transaction is begun.
    #[default]
    NotRequired,
    /// The transaction had begun when it was asked for: only an ongoing one may be continued.
    Ongoing,
    /// The coordinator was asked under this number. A marker written since makes it worthless.
    Guard(u64),
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
    /// The first batch is larger than `max_bytes` and was left out.
    pub first_entry_incomplete: bool,
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
