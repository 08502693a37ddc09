//! More partitions for a topic (`ZkAdminManager.createPartitions`).

use std::collections::BTreeSet;

use futures::future::join_all;

use super::{Admin, AdminError, has_leaders, topics::MAX_PARTITIONS};
use crate::{
    common::{BrokerId, ErrorCode},
    coordination::{
        CoordinationError,
        znode::topic::{ReplicaAssignment, TopicAssignment},
    },
    metadata::placement::{self, PlacementBroker, Start},
};

/// A topic and how many partitions it shall have.
#[derive(Debug, Clone)]
pub struct MorePartitions {
    pub topic: String,
    /// In all.
    pub count: i32,
    /// Replicas of the new ones; `None` for automatic placement.
    pub assignments: Option<Vec<Vec<BrokerId>>>,
}

impl Admin {
    /// Adds partitions and waits until they have leaders in the image, or `timeout_ms` passes. Answers are in order.
    pub async fn create_partitions(
        &self,
        topics: Vec<MorePartitions>,
        timeout_ms: i32,
        validate_only: bool,
    ) -> Vec<Result<(), AdminError>> {
        let mut results = join_all(topics.iter().map(|topic| self.add_partitions(topic, validate_only))).await;
        if validate_only {
            return results;
        }
        let waiting: Vec<&MorePartitions> =
            topics.iter().zip(&results).filter(|(_, result)| result.is_ok()).map(|(topic, _)| topic).collect();
        let count = |topic: &MorePartitions| usize::try_from(topic.count).unwrap_or(0);
        if !waiting.is_empty() && timeout_ms > 0 {
            let all = |image: &_| waiting.iter().all(|topic| has_leaders(image, &topic.topic, count(topic)));
            self.image_shows(timeout_ms, all).await;
        }
        let image = self.metadata.image();
        for (topic, result) in topics.iter().zip(&mut results) {
            if result.is_ok() && (timeout_ms <= 0 || !has_leaders(&image, &topic.topic, count(topic))) {
                *result = Err(AdminError::timed_out());
            }
        }
        results
    }

    async fn add_partitions(&self, more: &MorePartitions, validate_only: bool) -> Result<(), AdminError> {
        // Kafka's controller refuses before anything else is looked at.
        if self.cluster.is_marked_for_deletion(&more.topic).await? {
            return Err(AdminError::new(ErrorCode::InvalidTopicException, "The topic is queued for deletion."));
        }
        loop {
            let mut found = self.cluster.topic_assignments(&[more.topic.as_str()], false).await?;
            let Some(found) = found.pop() else {
                let why = format!("The topic '{}' does not exist.", more.topic);
                return Err(AdminError::new(ErrorCode::UnknownTopicOrPartition, why));
            };
            let grown = grow(found.assignment, more, &self.placement_brokers())?;
            if validate_only {
                return Ok(());
            }
            match self.cluster.set_topic_assignment(&more.topic, &grown, Some(found.version)).await {
                // Changed under our hands: look again.
                Err(CoordinationError::BadVersion(_)) => {}
                other => return other.map_err(AdminError::from),
            }
        }
    }
}

/// The assignment with new partitions, or why not; checks in Kafka's order.
fn grow(
    mut current: TopicAssignment,
    more: &MorePartitions,
    brokers: &[PlacementBroker],
) -> Result<TopicAssignment, AdminError> {
    if current.partitions.values().any(ReplicaAssignment::is_being_reassigned) {
        let why = format!("A partition reassignment is in progress for the topic '{}'.", more.topic);
        return Err(AdminError::new(ErrorCode::ReassignmentInProgress, why));
    }
    let old = i32::try_from(current.partitions.len()).unwrap_or(i32::MAX);
    let count = more.count;
    if count < old {
        let why = format!("Topic currently has {old} partitions, which is higher than the requested {count}.");
        return Err(AdminError::new(ErrorCode::InvalidPartitions, why));
    }
    if count == old {
        return Err(AdminError::new(ErrorCode::InvalidPartitions, format!("Topic already has {old} partitions.")));
    }
    if count > MAX_PARTITIONS {
        let why = format!("Number of partitions must not be larger than {MAX_PARTITIONS}.");
        return Err(AdminError::new(ErrorCode::InvalidPartitions, why));
    }
    let Some(first) = current.partitions.get(&0).map(|assignment| assignment.replicas.clone()) else {
        let why =
            format!("Unexpected existing replica assignment for topic '{}', partition id 0 is missing.", more.topic);
        return Err(AdminError::new(ErrorCode::UnknownServerError, why));
    };
    let added = match &more.assignments {
        Some(given) => {
            check_given(given, old, count - old, first.len(), brokers)?;
            given.clone()
        }
        None => {
            let leader = first.first().copied().unwrap_or(0);
            let index = brokers.iter().position(|broker| broker.id >= leader).unwrap_or(0);
            let factor = i32::try_from(first.len()).unwrap_or(i32::MAX);
            placement::assign(brokers, count - old, factor, Start { index, shift: index }, old)
                .map_err(|(code, why)| AdminError::new(code, why))?
        }
    };
    current.partitions.extend((old..).zip(added.into_iter().map(ReplicaAssignment::of)));
    Ok(current)
}

fn check_given(
    given: &[Vec<BrokerId>],
    old: i32,
    increment: i32,
    factor: usize,
    brokers: &[PlacementBroker],
) -> Result<(), AdminError> {
    let bad = |why: String| Err(AdminError::new(ErrorCode::InvalidReplicaAssignment, why));
    let list = |ids: &mut dyn Iterator<Item = String>| ids.collect::<Vec<_>>().join(", ");
    let named: BTreeSet<BrokerId> = given.iter().flatten().copied().collect();
    let known: BTreeSet<BrokerId> = brokers.iter().map(|broker| broker.id).collect();
    let unknown: Vec<String> = named.difference(&known).map(ToString::to_string).collect();
    if !unknown.is_empty() {
        return bad(format!("Unknown broker(s) in replica assignment: {}.", unknown.join(", ")));
    }
    if usize::try_from(increment).ok() != Some(given.len()) {
        let provided = given.len();
        return bad(format!("Increasing the number of partitions by {increment} but {provided} assignments provided."));
    }
    for (partition, replicas) in (old..).zip(given) {
        if replicas.is_empty() {
            return bad(format!("Cannot have replication factor of 0 for partition id {partition}."));
        }
        if replicas.iter().collect::<BTreeSet<_>>().len() != replicas.len() {
            let ids = list(&mut replicas.iter().map(ToString::to_string));
            return bad(format!(
                "Duplicate brokers not allowed in replica assignment: {ids} for partition id {partition}."
            ));
        }
    }
    let odd: Vec<(i32, usize)> =
        (old..).zip(given.iter().map(Vec::len)).filter(|(_, replicas)| *replicas != factor).collect();
    if odd.is_empty() {
        return Ok(());
    }
    let partitions = list(&mut odd.iter().map(|(partition, _)| partition.to_string()));
    let factors = list(&mut odd.iter().map(|(_, replicas)| replicas.to_string()));
    bad(format!(
        "Inconsistent replication factor between partitions, partition 0 has {factor} while partitions \
         [{partitions}] have replication factors [{factors}], respectively."
    ))
}
