//! States of many partitions at a time (class `PartitionStateMachine`).

use std::sync::Arc;

use super::ControllerContext;
use crate::{
    common::{BrokerId, TopicPartition},
    coordination::{cluster_store::NewPartitionState, znode::partition_state::PartitionState},
};

/// Leader epoch of a new partition (`LeaderAndIsr.InitialLeaderEpoch`).
const INITIAL_LEADER_EPOCH: i32 = 0;

/// First leaders of the partitions of `topics` that have none yet: the first live replica leads, and all live ones are
/// in sync, as the log is empty everywhere. Without a live replica a partition has to wait for a broker.
#[must_use]
pub fn new_partitions(context: &ControllerContext, topics: &[Arc<str>]) -> Vec<NewPartitionState> {
    let mut new = Vec::new();
    for name in topics.iter().filter(|name| !context.is_queued_for_deletion(name)) {
        let Some(topic) = context.topics.get(name) else { continue };
        for (number, partition) in topic.partitions.iter().filter(|(_, partition)| partition.state.is_none()) {
            let topic_partition = TopicPartition::new(Arc::clone(name), *number);
            let replicas = partition.assignment.replicas.iter().copied();
            let live: Vec<BrokerId> = replicas.filter(|id| context.is_online(*id, &topic_partition)).collect();
            let Some(leader) = live.first() else { continue };
            let state = PartitionState::new(*leader, INITIAL_LEADER_EPOCH, live, context.epoch);
            new.push(NewPartitionState { topic_partition, state });
        }
    }
    new
}

/// The partitions that `broker` leads, for a new leader epoch each.
///
/// For a broker that starts again after a crash and still leads what it led, because no other one could: its log may
/// have lost a tail that a consumer or follower has seen, and new records will take those offsets. The epoch between
/// them lets such a reader notice and truncate (KIP-101, KIP-320). After a clean stop nothing is lost, the log goes on
/// where it was, and the epoch may stay: with ten thousand partitions that saves as many writes at each start.
#[must_use]
pub fn led_by(context: &ControllerContext, broker: BrokerId) -> Vec<TopicPartition> {
    let leads = |tp: &TopicPartition| {
        let state = context.partition(tp).and_then(|partition| partition.state.as_ref());
        state.is_some_and(|current| current.state.leader == broker) && !context.is_deleting(&tp.topic)
    };
    context.all_partitions().into_iter().filter(leads).collect()
}
