//! Transactions: partitions join, offsets join, the outcome, its markers, and looking at all that.

pub mod add_offsets_to_txn;
pub mod add_partitions_to_txn;
pub mod describe_transactions;
pub mod end_txn;
pub mod list_transactions;
#[cfg(test)]
mod tests;
pub mod txn_offset_commit;
pub mod verify;
pub mod write_txn_markers;

use crate::common::ErrorCode;

/// Versions below 2 know no PRODUCER_FENCED; INVALID_PRODUCER_EPOCH makes their clients do the same.
fn told_to(version: i16, error: ErrorCode) -> ErrorCode {
    if version < 2 && error == ErrorCode::ProducerFenced { ErrorCode::InvalidProducerEpoch } else { error }
}
