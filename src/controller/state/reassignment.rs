//! Partitions on their way to other brokers (KIP-455).
//!
//! While a partition is moved, its replicas are the union of old and new: the new ones copy, and once all of them are in
//! sync the old ones go. Where it goes is in the assignment's node, so that any controller can go on.

use indexmap::IndexSet;

use super::ControllerContext;
use crate::{
    common::{BrokerId, ErrorCode, TopicPartition},
    controller::command::{ApiError, OngoingReassignment},
    coordination::znode::topic::ReplicaAssignment,
};

impl ReplicaAssignment {
    /// Where it came from.
    #[must_use]
    pub fn origin(&self) -> Vec<BrokerId> {
        without(&self.replicas, &self.adding)
    }

    /// Where it goes.
    #[must_use]
    pub fn target(&self) -> Vec<BrokerId> {
        without(&self.replicas, &self.removing)
    }

    /// On the way from where it was first to `target`; what an earlier reassignment had added and is not wanted any more
    /// is dropped at once.
    #[must_use]
    pub fn reassign_to(&self, target: &[BrokerId]) -> Self {
        let origin = self.origin();
        let union: IndexSet<BrokerId> = target.iter().chain(&origin).copied().collect();
        let replicas: Vec<BrokerId> = union.into_iter().collect();
        Self { adding: without(&replicas, &origin), removing: without(&replicas, target), replicas }
    }
}

fn without(all: &[BrokerId], some: &[BrokerId]) -> Vec<BrokerId> {
    all.iter().copied().filter(|id| !some.contains(id)).collect()
}

impl ControllerContext {
    #[must_use]
    pub fn is_being_reassigned(&self, tp: &TopicPartition) -> bool {
        self.partition(tp).is_some_and(|partition| partition.assignment.is_being_reassigned())
    }

    #[must_use]
    pub fn has_reassignment(&self, topic: &str) -> bool {
        let topic = self.topics.get(topic);
        topic.is_some_and(|topic| topic.partitions.values().any(|it| it.assignment.is_being_reassigned()))
    }

    /// All that are going on.
    #[must_use]
    pub fn reassigning(&self) -> Vec<TopicPartition> {
        self.all_partitions().into_iter().filter(|tp| self.is_being_reassigned(tp)).collect()
    }

    /// Whether all new replicas are in sync.
    #[must_use]
    pub fn is_reassignment_complete(&self, tp: &TopicPartition) -> bool {
        self.partition(tp).is_some_and(|partition| {
            let isr = partition.state.as_ref().map(|current| &current.state.isr);
            !partition.assignment.is_being_reassigned()
                || isr.is_some_and(|isr| partition.assignment.target().iter().all(|id| isr.contains(id)))
        })
    }

    /// The assignment that an admin's wish makes; `None` as target takes a reassignment back.
    pub fn plan_reassignment(
        &self,
        tp: &TopicPartition,
        target: Option<&[BrokerId]>,
    ) -> Result<ReplicaAssignment, ApiError> {
        let unknown = || ApiError::new(ErrorCode::UnknownTopicOrPartition, "The partition does not exist.");
        let none = ReplicaAssignment::default();
        let current = self.partition(tp).map_or(&none, |partition| &partition.assignment);
        if let Some(target) = target {
            self.check_target(current, target)?;
        }
        let origin;
        let target = match target {
            Some(target) => target,
            None if current.is_being_reassigned() => {
                origin = current.origin();
                &origin
            }
            None => return Err(ErrorCode::NoReassignmentInProgress.into()),
        };
        if self.is_queued_for_deletion(&tp.topic) || current.replicas.is_empty() {
            return Err(unknown());
        }
        Ok(current.reassign_to(target))
    }

    fn check_target(&self, current: &ReplicaAssignment, target: &[BrokerId]) -> Result<(), ApiError> {
        let invalid = |message: String| Err(ApiError::new(ErrorCode::InvalidReplicaAssignment, message));
        if target.is_empty() {
            return invalid("Empty replica list specified in partition reassignment.".to_owned());
        }
        if target.iter().collect::<IndexSet<_>>().len() != target.len() {
            let list = list(target);
            return invalid(format!("Duplicate replica ids in partition reassignment replica list: {list}"));
        }
        if target.iter().any(|id| *id < 0) {
            return invalid(format!("Invalid broker id in replica list: {}", list(target)));
        }
        let adding = current.reassign_to(target).adding;
        if adding.iter().all(|id| self.is_live(*id)) {
            return Ok(());
        }
        let live: Vec<BrokerId> = self.brokers.keys().copied().filter(|id| self.is_live(*id)).collect();
        invalid(format!(
            "Replica assignment has brokers that are not alive. Replica list: {}, live broker list: Set({})",
            list(&adding),
            joined(&live)
        ))
    }

    /// Those of `partitions`, or of all, that are on their way.
    #[must_use]
    pub fn ongoing(&self, partitions: Option<&[TopicPartition]>) -> Vec<OngoingReassignment> {
        let named = partitions.map_or_else(|| self.reassigning(), <[TopicPartition]>::to_vec);
        let show = |tp: TopicPartition| {
            let assignment = &self.partition(&tp)?.assignment;
            assignment.is_being_reassigned().then(|| OngoingReassignment {
                replicas: assignment.replicas.clone(),
                adding: assignment.adding.clone(),
                removing: assignment.removing.clone(),
                topic_partition: tp,
            })
        };
        named.into_iter().filter_map(show).collect()
    }
}

/// As Scala prints a list; scripts of admins have seen it so.
fn list(ids: &[BrokerId]) -> String {
    format!("ArrayBuffer({})", joined(ids))
}

fn joined(ids: &[BrokerId]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
