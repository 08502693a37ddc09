//! What the driver must do after a change of state.

use crate::common::{BrokerId, LeaderEpoch, Offset};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartitionEffect {
    /// Records below are committed: tell the log, then whoever waits for it.
    HighWatermarkAdvanced(Offset),
    /// All replicas have forgotten more: look at waiting DeleteRecords.
    LowWatermarkAdvanced,
    /// Ask the controller for another ISR (KIP-497).
    AlterPartition(AlterPartition),
}

/// The ISR a leader proposes, with the epochs that fence the proposal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlterPartition {
    pub leader_epoch: LeaderEpoch,
    pub partition_epoch: i32,
    pub isr: Vec<BrokerId>,
    /// Of each member, as its fetches say; −1 where none has said so yet, and for the leader itself.
    pub broker_epochs: Vec<i64>,
}

/// What the controller has written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlterPartitionAnswer {
    pub leader_epoch: LeaderEpoch,
    pub partition_epoch: i32,
    pub isr: Vec<BrokerId>,
}

/// What came of a proposal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Altered {
    /// The ISR is what the controller says; the high watermark may move.
    Committed,
    /// It is as it was, and nobody waits for who was proposed any more: the high watermark may move.
    Refused,
    /// Nobody knows what became of it.
    TryAgain,
    /// It counts no more, or waits for a LeaderAndIsr.
    Unchanged,
}
