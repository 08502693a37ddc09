//! The cluster as the controller knows it (class `ControllerContext`).

use std::{collections::BTreeMap, sync::Arc};

use indexmap::{IndexMap, IndexSet};
use uuid::Uuid;

use super::deletion::Deletion;
use crate::{
    common::{BrokerId, TopicPartition},
    coordination::{
        cluster_store::{VersionedState, VersionedTopic},
        znode::topic::{ReplicaAssignment, TopicAssignment},
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
    /// Of the node that the assignment was read from or written to.
    pub version: i32,
}

#[derive(Debug, Clone, Default)]
pub struct ControllerContext {
    /// Travels in what is written and sent; fences earlier controllers.
    pub epoch: i32,
    /// All that are registered, with their epochs.
    pub brokers: IndexMap<BrokerId, BrokerImage>,
    /// Those of them that asked to leave: no leader is moved to them any more.
    pub shutting_down: IndexSet<BrokerId>,
    /// Replicas whose log dir has failed, by broker.
    pub offline_replicas: IndexMap<BrokerId, IndexSet<TopicPartition>>,
    pub topics: IndexMap<Arc<str>, TopicContext, ahash::RandomState>,
    /// Being deleted: no leader is chosen any more, and the image does not show them.
    pub deleting: IndexMap<Arc<str>, Deletion, ahash::RandomState>,
    /// To be deleted once their reassignment is done.
    pub deletion_waits: IndexSet<Arc<str>>,
    /// Whether the brokers know of recovering leaders (KIP-704, protocol 3.2).
    pub leader_recovery: bool,
}

impl ControllerContext {
    #[must_use]
    pub fn new(epoch: i32) -> Self {
        Self { epoch, leader_recovery: true, ..Self::default() }
    }

    /// Registered, though it may be on its way out.
    #[must_use]
    pub fn is_registered(&self, broker: BrokerId) -> bool {
        self.brokers.contains_key(&broker)
    }

    /// Registered and about to stay.
    #[must_use]
    pub fn is_live(&self, broker: BrokerId) -> bool {
        self.is_registered(broker) && !self.shutting_down.contains(&broker)
    }

    /// A replica that could lead.
    #[must_use]
    pub fn is_online(&self, broker: BrokerId, tp: &TopicPartition) -> bool {
        self.is_live(broker) && !self.is_on_failed_dir(broker, tp)
    }

    /// A replica that still does its work, though its broker may be shutting down.
    #[must_use]
    pub fn is_working(&self, broker: BrokerId, tp: &TopicPartition) -> bool {
        self.is_registered(broker) && !self.is_on_failed_dir(broker, tp)
    }

    fn is_on_failed_dir(&self, broker: BrokerId, tp: &TopicPartition) -> bool {
        self.offline_replicas.get(&broker).is_some_and(|replicas| replicas.contains(tp))
    }

    #[must_use]
    pub fn is_deleting(&self, topic: &str) -> bool {
        self.deleting.contains_key(topic)
    }

    /// Deletion was asked for, whether or not it has begun.
    #[must_use]
    pub fn is_queued_for_deletion(&self, topic: &str) -> bool {
        self.is_deleting(topic) || self.deletion_waits.contains(topic)
    }

    #[must_use]
    pub fn partition(&self, tp: &TopicPartition) -> Option<&PartitionContext> {
        self.topics.get(&tp.topic)?.partitions.get(&tp.partition)
    }

    fn partition_mut(&mut self, tp: &TopicPartition) -> Option<&mut PartitionContext> {
        self.topics.get_mut(&tp.topic)?.partitions.get_mut(&tp.partition)
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
        topic.version = read.version;
        for (number, assignment) in &read.assignment.partitions {
            let partition = topic.partitions.entry(*number).or_default();
            if partition.assignment != *assignment {
                partition.assignment.clone_from(assignment);
                changed = true;
            }
        }
        changed
    }

    /// A topic's assignment as it would be written.
    #[must_use]
    pub fn topic_assignment(&self, topic: &Arc<str>) -> Option<VersionedTopic> {
        let found = self.topics.get(topic)?;
        let partitions = found.partitions.iter().map(|(number, it)| (*number, it.assignment.clone())).collect();
        let assignment = TopicAssignment { topic_id: (!found.id.is_nil()).then_some(found.id), partitions };
        Some(VersionedTopic { topic: Arc::clone(topic), assignment, version: found.version })
    }

    pub fn put_state(&mut self, tp: &TopicPartition, state: VersionedState) {
        if let Some(partition) = self.partition_mut(tp) {
            partition.state = Some(state);
        }
    }

    pub fn put_assignment(&mut self, tp: &TopicPartition, assignment: ReplicaAssignment) {
        if let Some(partition) = self.partition_mut(tp) {
            partition.assignment = assignment;
        }
    }

    pub fn remove_topic(&mut self, topic: &str) {
        self.topics.swap_remove(topic);
        self.deleting.swap_remove(topic);
        self.deletion_waits.swap_remove(topic);
        self.offline_replicas.values_mut().for_each(|replicas| replicas.retain(|tp| &*tp.topic != topic));
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

    /// Partitions with a replica on one of `brokers`.
    #[must_use]
    pub fn partitions_on(&self, brokers: &IndexSet<BrokerId>) -> Vec<TopicPartition> {
        let hosted = |tp: &TopicPartition| {
            self.partition(tp).is_some_and(|it| it.assignment.replicas.iter().any(|id| brokers.contains(id)))
        };
        self.all_partitions().into_iter().filter(hosted).collect()
    }

    /// The name of the topic with an id. Rare enough to be searched for.
    #[must_use]
    pub fn topic_name(&self, id: Uuid) -> Option<Arc<str>> {
        if id.is_nil() {
            return None;
        }
        self.topics.iter().find(|(_, topic)| topic.id == id).map(|(name, _)| Arc::clone(name))
    }
}
