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
    /// Become leader or follower of these.
    LeaderAndIsr { controller_epoch: i32, partitions: Vec<LeaderAndIsrPartition> },
    /// Publish this change of the image. An empty one only wakes those who wait for a change.
    UpdateMetadata(MetadataDelta),
    /// Stop hosting these, and delete their logs if `delete`. The controller waits for the answer before it forgets a
    /// topic; a dropped `reply` counts as failure, and the deletion is tried again at the next start.
    StopReplica { controller_epoch: i32, delete: bool, partitions: Vec<TopicPartition>, reply: StopReplicaReply },
}

/// One code per partition, in order. A partition that was not there is `None` (the error code): gone is gone.
pub type StopReplicaReply = oneshot::Sender<Vec<ErrorCode>>;

/// One partition of a LeaderAndIsr.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaderAndIsrPartition {
    pub topic_partition: TopicPartition,
    /// Nil for topics without one.
    pub topic_id: Uuid,
    /// −1: none.
    pub leader: BrokerId,
    pub leader_epoch: LeaderEpoch,
    /// Version of the partition's state node.
    pub partition_epoch: i32,
    pub isr: Vec<BrokerId>,
    pub replicas: Vec<BrokerId>,
    /// The partition was created just now: an existing log would be a stranger's.
    pub is_new: bool,
}
