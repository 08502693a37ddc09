//! Partitions that were there before the tree: log directories written by Apache Kafka, under a new embedded store.

use indexmap::IndexMap;
use uuid::Uuid;

use crate::{
    common::{BrokerId, LeaderEpoch, TopicPartition, topic_id},
    coordination::{
        ClusterStore, CoordinationError,
        cluster_store::{ElectedController, NewPartitionState},
        znode::{
            partition_state::PartitionState,
            topic::{ReplicaAssignment, TopicAssignment},
        },
    },
};

/// A topic as its folders tell.
#[derive(Debug, Clone)]
pub struct AdoptedTopic {
    pub name: String,
    /// From `partition.metadata`; `None` in folders from before topic ids.
    pub topic_id: Option<Uuid>,
    pub partitions: Vec<i32>,
    /// Highest in any partition's `leader-epoch-checkpoint`; 0 if there is none.
    pub latest_leader_epoch: LeaderEpoch,
    /// Overrides are lost with the old tree; internal topics need theirs (compaction).
    pub config: IndexMap<String, String>,
}

/// Writes the nodes of topics found on disk, led by this broker, keeping ids and epochs; topics already known are left
/// alone. Call after the store's paths are there and before the controller runs. The answer is the number adopted.
///
/// A partition below the highest found but not on disk lived on another broker: it is created empty, so that the
/// numbers have no gap and keys go to the partitions they went to.
pub async fn adopt_existing(
    cluster: &ClusterStore,
    broker: BrokerId,
    now: crate::common::Timestamp,
    topics: Vec<AdoptedTopic>,
) -> Result<usize, CoordinationError> {
    let known = cluster.topics(false).await?;
    let new: Vec<AdoptedTopic> = topics
        .into_iter()
        .filter(|topic| !topic.partitions.is_empty() && known.binary_search(&topic.name).is_err())
        .collect();
    if new.is_empty() {
        return Ok(0);
    }
    // States are written under a controller's guard: be controller for that long.
    let Some(elected) = cluster.elect_controller(broker, now).await? else {
        return Err(CoordinationError::Store("another broker is controller: its topics are the cluster's".into()));
    };
    for topic in &new {
        adopt(cluster, broker, elected, topic).await?;
        tracing::info!(topic = %topic.name, partitions = topic.partitions.len(), "adopted a topic found on disk");
    }
    cluster.resign_controller(elected.guard).await?;
    Ok(new.len())
}

async fn adopt(
    cluster: &ClusterStore,
    broker: BrokerId,
    elected: ElectedController,
    topic: &AdoptedTopic,
) -> Result<(), CoordinationError> {
    let highest = topic.partitions.iter().copied().max().unwrap_or(0);
    let partitions = (0..=highest).map(|partition| (partition, ReplicaAssignment::of(vec![broker]))).collect();
    let assignment = TopicAssignment { topic_id: Some(topic.topic_id.unwrap_or_else(topic_id::random)), partitions };
    cluster.create_topic(&topic.name, &topic.config, &assignment).await?;
    let epoch = topic.latest_leader_epoch.max(0);
    let mut numbers = topic.partitions.clone();
    numbers.sort_unstable();
    let states: Vec<NewPartitionState> = numbers
        .into_iter()
        .map(|partition| NewPartitionState {
            topic_partition: TopicPartition::new(topic.name.as_str(), partition),
            state: PartitionState::new(broker, epoch, vec![broker], elected.epoch),
        })
        .collect();
    cluster.create_partition_states(elected.guard, &states).await.map(drop)
}
