//! The numbers that operators watch (`ControllerContext.offlinePartitionCount` and its like).

use super::{ControllerContext, election::NO_LEADER};

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Census {
    pub brokers: usize,
    pub topics: usize,
    pub partitions: usize,
    pub offline_partitions: usize,
    pub imbalanced_partitions: usize,
    pub topics_to_delete: usize,
    pub replicas_to_delete: usize,
}

impl ControllerContext {
    /// Counted anew over all partitions: ask seldom. Topics to be deleted are neither offline nor out of balance.
    #[must_use]
    pub fn census(&self) -> Census {
        let mut census = Census { brokers: self.brokers.len(), topics: self.topics.len(), ..Census::default() };
        for (name, topic) in &self.topics {
            census.partitions += topic.partitions.len();
            if self.is_queued_for_deletion(name) {
                census.topics_to_delete += 1;
                let replicas = topic.partitions.values().map(|it| it.assignment.replicas.len());
                census.replicas_to_delete += replicas.sum::<usize>();
                continue;
            }
            for partition in topic.partitions.values() {
                let Some(state) = &partition.state else { continue };
                let leader = state.state.leader;
                census.offline_partitions += usize::from(leader == NO_LEADER || !self.is_registered(leader));
                census.imbalanced_partitions += usize::from(partition.assignment.replicas.first() != Some(&leader));
            }
        }
        census
    }
}
