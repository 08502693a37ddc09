//! What the controller tells brokers (class `ControllerBrokerRequestBatch`), as values.

use tokio::sync::oneshot;
use uuid::Uuid;

use crate::{
    common::{BrokerId, ErrorCode, LeaderEpoch, TopicPartition},
    metadata::MetadataDelta,
};

/// One step of the stream. Carry them out one after another, in order: a partition's log is there before the image
/// that shows it, so that a client that sees a topic can produce to it at once.
#[derive(Debug)]
pub enum ControllerOutput {
    /// Become leader or follower of these. The reply has one code per partition, in order; nobody may want it.
    LeaderAndIsr {
        controller_id: BrokerId,
        controller_epoch: i32,
        partitions: Vec<LeaderAndIsrPartition>,
        reply: Option<oneshot::Sender<Vec<ErrorCode>>>,
    },
    /// Publish this change of the image. An empty one only wakes those who wait for a change.
    UpdateMetadata { controller_id: BrokerId, controller_epoch: i32, delta: MetadataDelta },
    /// Stop hosting these. The controller waits for the answer before it forgets a topic; a dropped `reply` counts as
    /// failure, and the deletion is tried again.
    StopReplica {
        controller_id: BrokerId,
        controller_epoch: i32,
        partitions: Vec<StopReplicaPartition>,
        reply: StopReplicaReply,
    },
}

/// One code per partition, in order. A partition that was not there is `None` (the error code): gone is gone.
pub type StopReplicaReply = oneshot::Sender<Vec<ErrorCode>>;

/// One partition of a StopReplica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopReplicaPartition {
    pub topic_partition: TopicPartition,
    /// −1: none; −2: the topic is being deleted, which raises no epoch.
    pub leader_epoch: LeaderEpoch,
    /// The log goes too.
    pub delete: bool,
}

/// One partition of a LeaderAndIsr.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaderAndIsrPartition {
    pub topic_partition: TopicPartition,
    /// Nil for topics without one.
    pub topic_id: Uuid,
    /// Of the controller that decided.
    pub controller_epoch: i32,
    /// −1: none.
    pub leader: BrokerId,
    pub leader_epoch: LeaderEpoch,
    /// Version of the partition's state node.
    pub partition_epoch: i32,
    pub isr: Vec<BrokerId>,
    pub replicas: Vec<BrokerId>,
    pub adding_replicas: Vec<BrokerId>,
    pub removing_replicas: Vec<BrokerId>,
    /// 0 recovered, 1 recovering from an unclean election (KIP-704).
    pub leader_recovery_state: i8,
    /// The partition was created just now: an existing log would be a stranger's.
    pub is_new: bool,
}
