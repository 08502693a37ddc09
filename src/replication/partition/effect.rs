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
}
