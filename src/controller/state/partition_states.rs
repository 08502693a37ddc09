//! Who leads a partition (classes `PartitionStateMachine`, `Election`).

use std::sync::Arc;

use super::{ControllerContext, PartitionContext};
use crate::{
    common::{BrokerId, TopicPartition},
    coordination::{
        cluster_store::{NewPartitionState, PartitionStateUpdate},
        znode::partition_state::PartitionState,
    },
};

/// "No leader" in a state.
pub const NO_LEADER: BrokerId = -1;
/// Leader epoch of a new partition (`LeaderAndIsr.InitialLeaderEpoch`).
const INITIAL_LEADER_EPOCH: i32 = 0;

/// First leaders of the partitions of `topics` that have none yet: the first live replica leads, and all live ones are
/// in sync, as the log is empty everywhere. Without a live replica a partition has to wait for a broker.
#[must_use]
pub fn new_partitions(context: &ControllerContext, topics: &[Arc<str>]) -> Vec<NewPartitionState> {
    let mut new = Vec::new();
    for name in topics.iter().filter(|name| !context.deleting.contains(*name)) {
        let Some(topic) = context.topics.get(name) else { continue };
        for (number, partition) in topic.partitions.iter().filter(|(_, partition)| partition.state.is_none()) {
            let live = live(context, &partition.assignment.replicas);
            let Some(leader) = live.first() else { continue };
            new.push(NewPartitionState {
                topic_partition: TopicPartition::new(Arc::clone(name), *number),
                state: PartitionState::new(*leader, INITIAL_LEADER_EPOCH, live, context.epoch),
            });
        }
    }
    new
}

/// New states of partitions whose leader, or whose in-sync replicas, are not all alive any more.
///
/// Only an in-sync replica may lead. If none is alive there is no leader, and the set is kept: it says whom to wait for.
#[must_use]
pub fn elections(context: &ControllerContext) -> Vec<PartitionStateUpdate> {
    updates(context, |partition, state| {
        let live_isr = live(context, &state.isr);
        if context.is_live(state.leader) {
            return (live_isr.len() < state.isr.len()).then_some((state.leader, live_isr));
        }
        let leader = partition.assignment.replicas.iter().find(|replica| live_isr.contains(replica));
        match leader {
            Some(leader) => Some((*leader, live_isr)),
            None if state.leader != NO_LEADER => Some((NO_LEADER, state.isr.clone())),
            None => None,
        }
    })
}

/// A new leader epoch for every partition that `broker` leads.
///
/// For a broker that starts again after a crash and still leads what it led, because no other one could: its log may
/// have lost a tail that a consumer or follower has seen, and new records will take those offsets. The epoch between
/// them lets such a reader notice and truncate (KIP-101, KIP-320). After a clean stop nothing is lost, the log goes on
/// where it was, and the epoch may stay: with ten thousand partitions that saves as many writes at each start.
#[must_use]
pub fn restarts(context: &ControllerContext, broker: BrokerId) -> Vec<PartitionStateUpdate> {
    updates(context, |_, state| (state.leader == broker).then(|| (broker, state.isr.clone())))
}

fn updates(
    context: &ControllerContext,
    decide: impl Fn(&PartitionContext, &PartitionState) -> Option<(BrokerId, Vec<BrokerId>)>,
) -> Vec<PartitionStateUpdate> {
    let mut updates = Vec::new();
    for (name, topic) in context.topics.iter().filter(|(name, _)| !context.deleting.contains(*name)) {
        for (number, partition) in &topic.partitions {
            let Some(current) = &partition.state else { continue };
            let Some((leader, isr)) = decide(partition, &current.state) else { continue };
            let mut state =
                PartitionState::new(leader, current.state.leader_epoch.saturating_add(1), isr, context.epoch);
            state.leader_recovery_state = current.state.leader_recovery_state;
            updates.push(PartitionStateUpdate {
                topic_partition: TopicPartition::new(Arc::clone(name), *number),
                state,
                expected_version: current.version,
            });
        }
    }
    updates
}

fn live(context: &ControllerContext, replicas: &[BrokerId]) -> Vec<BrokerId> {
    replicas.iter().copied().filter(|replica| context.is_live(*replica)).collect()
}
