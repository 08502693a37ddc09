//! When a topic may be forgotten (class `TopicDeletionManager`): once every replica has said that it is gone. A broker
//! that is down would bring its replica back to life later, so the topic is kept until it could be told.

use std::sync::Arc;

use indexmap::IndexSet;

use super::ControllerContext;
use crate::common::{BrokerId, ErrorCode, TopicPartition};

/// How far the deletion of a topic is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Deletion {
    /// Told to delete, and not heard of since.
    asked: IndexSet<(BrokerId, i32)>,
    deleted: IndexSet<(BrokerId, i32)>,
}

impl ControllerContext {
    /// Marks a topic as being deleted, with all the replicas it has and was to have if it is being reassigned. `false` if
    /// it already was, or is not known.
    pub fn begin_deletion(&mut self, topic: &str) -> bool {
        let Some((name, _)) = self.topics.get_key_value(topic).filter(|_| !self.is_deleting(topic)) else {
            return false;
        };
        let name = Arc::clone(name);
        self.deletion_waits.swap_remove(topic);
        self.deleting.insert(name, Deletion::default());
        true
    }

    /// A wish that a new controller finds. As in Kafka, it waits there for the end of a reassignment that goes on.
    pub fn adopt_deletion(&mut self, topic: &str) {
        match self.topics.get_key_value(topic) {
            Some((name, _)) if self.has_reassignment(topic) => {
                self.deletion_waits.insert(Arc::clone(name));
            }
            _ => {
                self.begin_deletion(topic);
            }
        }
    }

    /// Topics that waited for the end of a reassignment and need wait no longer.
    #[must_use]
    pub fn deletions_ready(&self) -> Vec<Arc<str>> {
        self.deletion_waits.iter().filter(|topic| !self.has_reassignment(topic)).cloned().collect()
    }

    /// Replicas of a dying topic to be told now. From here on they count as told.
    pub fn replicas_to_delete(&mut self, topic: &Arc<str>) -> Vec<(BrokerId, TopicPartition)> {
        let hosted: Vec<(BrokerId, TopicPartition)> = self
            .replicas_of(topic)
            .into_iter()
            .filter(|(broker, tp)| self.is_registered(*broker) && self.is_untold(*broker, tp))
            .collect();
        if let Some(deletion) = self.deleting.get_mut(topic) {
            deletion.asked.extend(hosted.iter().map(|(broker, tp)| (*broker, tp.partition)));
        }
        hosted
    }

    fn is_untold(&self, broker: BrokerId, tp: &TopicPartition) -> bool {
        let replica = (broker, tp.partition);
        let deletion = self.deleting.get(&tp.topic);
        deletion.is_some_and(|it| !it.asked.contains(&replica) && !it.deleted.contains(&replica))
    }

    /// What a broker answered. One that failed is told again when there is a reason to hope.
    pub fn replica_deletion_answered(&mut self, broker: BrokerId, tp: &TopicPartition, code: ErrorCode) {
        let Some(deletion) = self.deleting.get_mut(&tp.topic) else { return };
        let replica = (broker, tp.partition);
        if deletion.asked.swap_remove(&replica) && code.is_none() {
            deletion.deleted.insert(replica);
        }
    }

    /// No answer will come from a broker that is gone.
    pub(super) fn deletion_broker_failed(&mut self, broker: BrokerId) {
        self.deleting.values_mut().for_each(|deletion| deletion.asked.retain(|(id, _)| *id != broker));
    }

    /// Whether no replica is left.
    #[must_use]
    pub fn is_deleted(&self, topic: &Arc<str>) -> bool {
        self.deleting.get(topic).is_some_and(|deletion| {
            let replicas = self.replicas_of(topic);
            replicas.iter().all(|(broker, tp)| deletion.deleted.contains(&(*broker, tp.partition)))
        })
    }

    /// Whether an answer is still to come.
    #[must_use]
    pub fn waits_for_deletion_answers(&self, topic: &str) -> bool {
        self.deleting.get(topic).is_some_and(|deletion| !deletion.asked.is_empty())
    }

    /// A partition that never had a leader was never on any broker.
    fn replicas_of(&self, topic: &Arc<str>) -> Vec<(BrokerId, TopicPartition)> {
        let mut replicas = Vec::new();
        for (number, partition) in self.topics.get(topic).into_iter().flat_map(|topic| &topic.partitions) {
            if partition.state.is_some() {
                let tp = TopicPartition::new(Arc::clone(topic), *number);
                replicas.extend(partition.assignment.replicas.iter().map(|broker| (*broker, tp.clone())));
            }
        }
        replicas
    }
}
