//! From what is known to what brokers are told.

use std::sync::Arc;

use indexmap::IndexSet;

use super::ControllerContext;
use crate::{
    common::{BrokerId, TopicPartition},
    controller::output::LeaderAndIsrPartition,
    metadata::{PartitionImage, TopicImage},
};

impl ControllerContext {
    /// What `broker` must know of those of `partitions` that it hosts.
    #[must_use]
    pub fn leader_and_isr(
        &self,
        broker: BrokerId,
        partitions: &[TopicPartition],
        is_new: bool,
    ) -> Vec<LeaderAndIsrPartition> {
        let one = |tp: &TopicPartition| {
            let topic = self.topics.get(&tp.topic).filter(|_| !self.deleting.contains(&tp.topic))?;
            let partition = topic.partitions.get(&tp.partition)?;
            let replicas = &partition.assignment.replicas;
            let current = partition.state.as_ref().filter(|_| replicas.contains(&broker))?;
            Some(LeaderAndIsrPartition {
                topic_partition: tp.clone(),
                topic_id: topic.id,
                controller_epoch: current.state.controller_epoch,
                leader: current.state.leader,
                leader_epoch: current.state.leader_epoch,
                partition_epoch: current.version,
                isr: current.state.isr.clone(),
                replicas: replicas.clone(),
                adding_replicas: partition.assignment.adding.clone(),
                removing_replicas: partition.assignment.removing.clone(),
                leader_recovery_state: current.state.leader_recovery_state,
                is_new,
            })
        };
        partitions.iter().filter_map(one).collect()
    }

    /// The images of `topics`; those without any leader ever, and those being deleted, are not shown.
    #[must_use]
    pub fn topic_images<'a>(&self, topics: impl IntoIterator<Item = &'a Arc<str>>) -> Vec<Arc<TopicImage>> {
        topics.into_iter().filter_map(|topic| self.topic_image(topic)).collect()
    }

    /// Topics with a replica on one of `brokers`.
    #[must_use]
    pub fn topics_on(&self, brokers: &IndexSet<BrokerId>) -> Vec<Arc<str>> {
        let hosted = self.topics.iter().filter(|(_, topic)| {
            let mut replicas = topic.partitions.values().flat_map(|partition| &partition.assignment.replicas);
            replicas.any(|replica| brokers.contains(replica))
        });
        hosted.map(|(name, _)| Arc::clone(name)).collect()
    }

    fn topic_image(&self, name: &Arc<str>) -> Option<Arc<TopicImage>> {
        let topic = self.topics.get(name).filter(|_| !self.deleting.contains(name))?;
        if topic.partitions.values().all(|partition| partition.state.is_none()) {
            return None;
        }
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        // An image has no gaps; an assignment has none either unless somebody wrote it by hand.
        for (expected, (number, partition)) in (0..).zip(&topic.partitions) {
            if expected != *number {
                break;
            }
            let replicas = &partition.assignment.replicas;
            let state = partition.state.as_ref();
            partitions.push(PartitionImage {
                partition: *number,
                leader: state.map_or(super::partition_states::NO_LEADER, |current| current.state.leader),
                leader_epoch: state.map_or(0, |current| current.state.leader_epoch),
                partition_epoch: state.map_or(0, |current| current.version),
                isr: state.map_or_else(Vec::new, |current| current.state.isr.clone()),
                replicas: replicas.clone(),
                offline_replicas: replicas.iter().copied().filter(|replica| !self.is_live(*replica)).collect(),
            });
        }
        Some(Arc::new(TopicImage { name: Arc::clone(name), id: topic.id, partitions }))
    }
}
