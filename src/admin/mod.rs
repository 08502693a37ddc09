//! What the admin APIs check and write (class `ZkAdminManager`), in values without version numbers.
//!
//! Writes go to the tree; the controller hears of them as of any other change, and the answer waits until the image
//! shows its work.

pub mod auto_create;
pub mod configs;
pub mod partitions;
pub mod topics;

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use futures::StreamExt;
use indexmap::{IndexMap, IndexSet};
use parking_lot::Mutex;

pub use self::{
    partitions::MorePartitions,
    topics::{CreatedTopic, NewTopic},
};
use crate::{
    common::ErrorCode,
    coordination::{ClusterStore, CoordinationError},
    metadata::{MetadataCache, MetadataImage},
};

/// The keys that creating and deleting topics obey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminConfig {
    /// `num.partitions`
    pub num_partitions: i32,
    /// `default.replication.factor`
    pub default_replication_factor: i16,
    /// `auto.create.topics.enable`
    pub auto_create_topics_enable: bool,
    /// `delete.topic.enable`
    pub delete_topic_enable: bool,
    /// `offsets.topic.num.partitions`
    pub offsets_topic_num_partitions: i32,
    /// `offsets.topic.replication.factor`
    pub offsets_topic_replication_factor: i16,
    /// `offsets.topic.segment.bytes`
    pub offsets_topic_segment_bytes: i32,
    /// `transaction.state.log.num.partitions`
    pub transaction_topic_num_partitions: i32,
    /// `transaction.state.log.replication.factor`
    pub transaction_topic_replication_factor: i16,
    /// `transaction.state.log.segment.bytes`
    pub transaction_topic_segment_bytes: i32,
    /// `transaction.state.log.min.isr`
    pub transaction_topic_min_isr: i32,
    /// New topics get an id (`inter.broker.protocol.version` 2.8, KIP-516).
    pub topic_ids: bool,
}

impl Default for AdminConfig {
    fn default() -> Self {
        Self {
            num_partitions: 1,
            default_replication_factor: 1,
            auto_create_topics_enable: true,
            delete_topic_enable: true,
            offsets_topic_num_partitions: 50,
            offsets_topic_replication_factor: 3,
            offsets_topic_segment_bytes: 100 << 20,
            transaction_topic_num_partitions: 50,
            transaction_topic_replication_factor: 3,
            transaction_topic_segment_bytes: 100 << 20,
            transaction_topic_min_isr: 2,
            topic_ids: true,
        }
    }
}

/// What this room must know of topic configurations; whoever owns the keys implements it.
pub trait TopicConfigs: Send + Sync + 'static {
    /// Whether a topic may have these overrides; `Err` says why not, in Kafka's words (class `LogConfig`).
    fn validate(&self, overrides: &IndexMap<String, String>) -> Result<(), String>;

    /// All settings of a topic with these overrides, as a CreateTopics response shows them (KIP-525).
    fn describe(&self, overrides: &IndexMap<String, String>) -> Vec<TopicConfigEntry> {
        let _ = overrides;
        Vec::new()
    }
}

impl<F: Fn(&IndexMap<String, String>) -> Result<(), String> + Send + Sync + 'static> TopicConfigs for F {
    fn validate(&self, overrides: &IndexMap<String, String>) -> Result<(), String> {
        self(overrides)
    }
}

/// One setting of a created topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicConfigEntry {
    pub name: String,
    /// None if sensitive.
    pub value: Option<String>,
    pub read_only: bool,
    /// `DescribeConfigsResponse.ConfigSource`: 1 topic, 2 dynamic broker, 3 dynamic default, 4 static, 5 default.
    pub source: i8,
    pub sensitive: bool,
}

/// A refusal: what travels, and its explanation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminError {
    pub code: ErrorCode,
    pub message: Option<String>,
}

impl AdminError {
    fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: Some(message.into()) }
    }

    fn timed_out() -> Self {
        Self { code: ErrorCode::RequestTimedOut, message: None }
    }
}

impl From<CoordinationError> for AdminError {
    fn from(fault: CoordinationError) -> Self {
        tracing::error!(%fault, "an admin request failed");
        Self { code: ErrorCode::UnknownServerError, message: None }
    }
}

/// The admin operations of this broker.
pub struct Admin {
    cluster: Arc<ClusterStore>,
    metadata: Arc<MetadataCache>,
    config: ArcSwap<AdminConfig>,
    topic_configs: Arc<dyn TopicConfigs>,
    /// Topics being created for clients that asked for their metadata: once at a time is enough.
    creating: Mutex<IndexSet<String>>,
}

impl Admin {
    #[must_use]
    pub fn new(
        cluster: Arc<ClusterStore>,
        metadata: Arc<MetadataCache>,
        config: AdminConfig,
        topic_configs: Arc<dyn TopicConfigs>,
    ) -> Self {
        let creating = Mutex::new(IndexSet::new());
        Self { cluster, metadata, config: ArcSwap::from_pointee(config), topic_configs, creating }
    }

    #[must_use]
    pub fn config(&self) -> Arc<AdminConfig> {
        self.config.load_full()
    }

    /// A dynamic configuration changed.
    pub fn reconfigure(&self, config: AdminConfig) {
        self.config.store(Arc::new(config));
    }

    /// Waits until the image is as wanted; `false` if it is not after `timeout_ms`.
    async fn image_shows(&self, timeout_ms: i32, wanted: impl Fn(&MetadataImage) -> bool) -> bool {
        let mut changes = self.metadata.subscribe();
        let wait = async {
            while !wanted(&self.metadata.image()) {
                if changes.next().await.is_none() {
                    return;
                }
            }
        };
        let patience = Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0));
        tokio::time::timeout(patience, wait).await.is_ok()
    }
}

/// Whether the image has a leader for partitions `0..count` of a topic.
fn has_leaders(image: &MetadataImage, topic: &str, count: usize) -> bool {
    image.topic(topic).is_some_and(|topic| {
        topic.partitions.len() >= count && topic.partitions.iter().take(count).all(|partition| partition.leader >= 0)
    })
}
