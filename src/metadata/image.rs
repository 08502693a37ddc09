//! An immutable picture of the cluster (class `MetadataSnapshot`). Readers hold one for a whole request.

use std::sync::Arc;

use indexmap::IndexMap;
use uuid::Uuid;

use crate::common::{BrokerId, LeaderEpoch};

/// Where a broker listens, as advertised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub listener: String,
    /// `PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`.
    pub security_protocol: String,
    pub host: String,
    pub port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerImage {
    pub id: BrokerId,
    /// czxid of its registration.
    pub epoch: i64,
    pub rack: Option<String>,
    pub endpoints: Vec<Endpoint>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionImage {
    pub partition: i32,
    /// −1: none, −2: being deleted.
    pub leader: BrokerId,
    pub leader_epoch: LeaderEpoch,
    /// ZooKeeper version of the partition's state node.
    pub partition_epoch: i32,
    pub isr: Vec<BrokerId>,
    pub replicas: Vec<BrokerId>,
    pub offline_replicas: Vec<BrokerId>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicImage {
    pub name: Arc<str>,
    /// Nil for topics created before topic ids.
    pub id: Uuid,
    /// Ordered by partition index, without gaps.
    pub partitions: Vec<PartitionImage>,
}

#[derive(Debug, Clone, Default)]
pub struct MetadataImage {
    pub cluster_id: Option<String>,
    pub controller: Option<BrokerId>,
    pub brokers: IndexMap<BrokerId, BrokerImage>,
    pub topics: IndexMap<Arc<str>, Arc<TopicImage>, ahash::RandomState>,
    pub topics_by_id: IndexMap<Uuid, Arc<str>, ahash::RandomState>,
}

impl MetadataImage {
    #[must_use]
    pub fn topic(&self, name: &str) -> Option<&Arc<TopicImage>> {
        self.topics.get(name)
    }

    #[must_use]
    pub fn topic_by_id(&self, id: Uuid) -> Option<&Arc<TopicImage>> {
        self.topics_by_id.get(&id).and_then(|name| self.topics.get(name))
    }

    #[must_use]
    pub fn partition(&self, topic: &str, partition: i32) -> Option<&PartitionImage> {
        self.topic(topic)?.partitions.get(usize::try_from(partition).ok()?)
    }
}
