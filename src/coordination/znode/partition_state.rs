//! `/brokers/topics/<t>/partitions/<p>/state`: leader and in-sync replicas (class `TopicPartitionStateZNode`).

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{BadZnode, json, parse};
use crate::common::{BrokerId, LeaderEpoch};

/// The field order is Kafka's; `leader_recovery_state` is there only after an unclean election (KIP-704).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionState {
    pub controller_epoch: i32,
    /// −1: none.
    pub leader: BrokerId,
    #[serde(default = "version")]
    version: i32,
    #[serde(default, skip_serializing_if = "is_recovered")]
    pub leader_recovery_state: i8,
    pub leader_epoch: LeaderEpoch,
    pub isr: Vec<BrokerId>,
}

fn version() -> i32 {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_recovered(state: &i8) -> bool {
    *state == 0
}

impl PartitionState {
    #[must_use]
    pub fn new(leader: BrokerId, leader_epoch: LeaderEpoch, isr: Vec<BrokerId>, controller_epoch: i32) -> Self {
        Self { controller_epoch, leader, version: version(), leader_recovery_state: 0, leader_epoch, isr }
    }

    #[must_use]
    pub fn encode(&self) -> Bytes {
        json(self)
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, BadZnode> {
        parse("partition state", bytes)
    }
}
