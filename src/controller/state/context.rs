//! The cluster as the controller knows it (class `ControllerContext`).

use std::{collections::BTreeMap, sync::Arc};

use indexmap::{IndexMap, IndexSet};
use uuid::Uuid;

use crate::{
    common::{BrokerId, TopicPartition},
    coordination::{
        cluster_store::{VersionedState, VersionedTopic},
        znode::topic::ReplicaAssignment,
    },
    metadata::BrokerImage,
};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartitionContext {
    pub assignment: ReplicaAssignment,
    /// None until a leader was chosen for the first time.
    pub state: Option<VersionedState>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TopicContext {
    /// Nil for a topic that has none.
    pub id: Uuid,
    pub partitions: BTreeMap<i32, PartitionContext>,
}

#[derive(Debug, Clone, Default)]
pub struct ControllerContext {
    /// Travels in what is written and sent; fences earlier controllers.
    pub epoch: i32,
    pub brokers: IndexMap<BrokerId, BrokerImage>,
    pub topics: IndexMap<Arc<str>, TopicContext, ahash::RandomState>,
    /// Being deleted: no leader is chosen any more, and the image does not show them.
    pub deleting: IndexSet<Arc<str>, ahash::RandomState>,
}

impl ControllerContext {
    #[must_use]
    pub fn new(epoch: i32) -> Self {
        Self { epoch, ..Self::default() }
    }

    #[must_use]
    pub fn is_live(&self, broker: BrokerId) -> bool {
        self.brokers.contains_key(&broker)
    }

    #[must_use]
    pub fn partition(&self, tp: &TopicPartition) -> Option<&PartitionContext> {
        self.topics.get(&tp.topic)?.partitions.get(&tp.partition)
    }

    /// Takes over an assignment as read. States of partitions it already had are kept, unless the topic is another
    /// one of the same name. The answer tells whether anything is new.
    pub fn put_topic(&mut self, read: &VersionedTopic) -> bool {
        let id = read.assignment.topic_id.unwrap_or_default();
        let topic = self.topics.entry(Arc::clone(&read.topic)).or_default();
        if topic.id != id && !topic.id.is_nil() {
            *topic = TopicContext::default();
        }
        let mut changed = topic.id != id || topic.partitions.is_empty();
        topic.id = id;
        for (number, assignment) in &read.assignment.partitions {
            let partition = topic.partitions.entry(*number).or_default();
            if partition.assignment != *assignment {
                partition.assignment.clone_from(assignment);
                changed = true;
            }
        }
        changed
    }

    pub fn put_state(&mut self, tp: &TopicPartition, state: VersionedState) {
        let partition = self.topics.get_mut(&tp.topic).and_then(|topic| topic.partitions.get_mut(&tp.partition));
        if let Some(partition) = partition {
            partition.state = Some(state);
        }
    }

    pub fn remove_topic(&mut self, topic: &str) {
        self.topics.swap_remove(topic);
        self.deleting.swap_remove(topic);
    }

    /// Every partition of every topic.
    #[must_use]
    pub fn all_partitions(&self) -> Vec<TopicPartition> {
        self.topics.keys().flat_map(|topic| self.partitions_of(topic)).collect()
    }

    /// Partitions of one topic, ascending.
    #[must_use]
    pub fn partitions_of(&self, topic: &Arc<str>) -> Vec<TopicPartition> {
        let numbers = self.topics.get(topic).into_iter().flat_map(|topic| topic.partitions.keys());
        numbers.map(|number| TopicPartition::new(Arc::clone(topic), *number)).collect()
    }
}
