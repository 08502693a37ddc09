//! When a topic may be forgotten (class `TopicDeletionManager`).

use std::sync::Arc;

use super::ControllerContext;
use crate::common::{BrokerId, ErrorCode, TopicPartition};

impl ControllerContext {
    /// Marks a topic as being deleted. `false` if it already was, or is not known.
    pub fn begin_deletion(&mut self, topic: &str) -> bool {
        let Some((name, _)) = self.topics.get_key_value(topic) else { return false };
        let name = Arc::clone(name);
        self.deleting.insert(name)
    }

    /// Replicas of a topic on one broker, to be stopped and deleted.
    #[must_use]
    pub fn replicas_on(&self, topic: &Arc<str>, broker: BrokerId) -> Vec<TopicPartition> {
        let hosted = |tp: &TopicPartition| {
            self.partition(tp).is_some_and(|partition| partition.assignment.replicas.contains(&broker))
        };
        self.partitions_of(topic).into_iter().filter(hosted).collect()
    }

    /// Whether every broker with a replica of the topic is alive. One that is not would bring its replica back to
    /// life later, so the topic is kept until it could be told.
    #[must_use]
    pub fn is_eligible_for_deletion(&self, topic: &str) -> bool {
        self.topics.get(topic).is_some_and(|topic| {
            let mut replicas = topic.partitions.values().flat_map(|partition| &partition.assignment.replicas);
            replicas.all(|replica| self.is_live(*replica))
        })
    }
}

/// Whether brokers stopped and deleted all they were asked to; `expected` guards against a short answer.
#[must_use]
pub fn all_stopped(expected: usize, answers: &[ErrorCode]) -> bool {
    answers.len() == expected && answers.iter().all(|code| code.is_none())
}
