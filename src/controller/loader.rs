//! Reads what a new controller must know (`KafkaController.initializeControllerContext`), in as few round trips as the
//! number of topics allows, and with every watch armed before its node is read.

use std::sync::Arc;

use super::state::ControllerContext;
use crate::{
    common::topic_id,
    coordination::{
        ClusterStore, CoordinationError,
        cluster_store::{ElectedController, VersionedTopic},
    },
};

/// The cluster as the tree has it, with every watch armed.
pub async fn load(
    cluster: &ClusterStore,
    elected: ElectedController,
    topic_ids: bool,
) -> Result<ControllerContext, CoordinationError> {
    let mut context = ControllerContext::new(elected.epoch);
    let brokers = cluster.brokers(true).await?;
    context.brokers = brokers.into_iter().map(|broker| (broker.id, broker)).collect();
    let names = cluster.topics(true).await?;
    for topic in read_topics(cluster, elected.guard, &names, topic_ids).await? {
        context.put_topic(&topic);
    }
    let partitions = context.all_partitions();
    for (tp, state) in partitions.iter().zip(cluster.partition_states(&partitions).await?) {
        if let Some(state) = state {
            context.put_state(tp, state);
        }
    }
    Ok(context)
}

/// Assignments of topics, watched. Those from before topic ids get one, as every topic has one since protocol 2.8.
pub async fn read_topics<T: AsRef<str>>(
    cluster: &ClusterStore,
    guard: i32,
    names: &[T],
    topic_ids: bool,
) -> Result<Vec<VersionedTopic>, CoordinationError> {
    let mut topics = cluster.topic_assignments(names, true).await?;
    let mut changed = Vec::new();
    for topic in topics.iter_mut().filter(|topic| topic_ids && topic.assignment.topic_id.is_none()) {
        topic.assignment.topic_id = Some(topic_id::random());
        changed.push(topic.clone());
        topic.version += 1;
    }
    if !changed.is_empty() {
        cluster.set_topic_assignments(guard, &changed).await?;
    }
    Ok(topics)
}

/// Names that can be shared from here on.
#[must_use]
pub fn shared(names: Vec<String>) -> Vec<Arc<str>> {
    names.into_iter().map(Arc::from).collect()
}
