//! Every topic's overrides as last read from the store, and the `LogConfig` they make with the broker's own keys.

use std::sync::Arc;

use indexmap::IndexMap;
use parking_lot::RwLock;

use crate::{
    admin::{self, TopicConfigEntry},
    config::{DynamicConfig, LogConfig, describe, topic},
    coordination::{ClusterStore, CoordinationError},
};

type Overrides = IndexMap<String, String>;

/// Cache over `/config/topics`; a topic without overrides may be absent.
pub struct TopicConfigs {
    config: Arc<DynamicConfig>,
    overrides: RwLock<IndexMap<Arc<str>, Overrides, ahash::RandomState>>,
}

impl TopicConfigs {
    pub fn new(config: Arc<DynamicConfig>) -> Self {
        Self { config, overrides: RwLock::default() }
    }

    /// What a log of `topic` obeys. Overrides that no longer parse count as absent: the topic must be served.
    pub fn log_config(&self, topic: &str) -> LogConfig {
        let overrides = self.overrides.read();
        let Some(overrides) = overrides.get(topic).filter(|overrides| !overrides.is_empty()) else {
            return self.config.snapshot().default_log_config();
        };
        let broker = self.config.snapshot();
        LogConfig::from_overrides(&broker, overrides).unwrap_or_else(|fault| {
            tracing::error!(topic, %fault, "ignoring the topic's configuration");
            broker.default_log_config()
        })
    }

    /// Reads `topics` anew, together.
    pub async fn refresh<T: AsRef<str>>(&self, cluster: &ClusterStore, topics: &[T]) -> Result<(), CoordinationError> {
        let read = cluster.topic_configs(topics).await?;
        let mut overrides = self.overrides.write();
        for (topic, config) in topics.iter().zip(read) {
            overrides.insert(topic.as_ref().into(), config);
        }
        Ok(())
    }

    pub fn knows(&self, topic: &str) -> bool {
        self.overrides.read().contains_key(topic)
    }

    pub fn forget(&self, topic: &str) {
        self.overrides.write().swap_remove(topic);
    }

    pub fn topics(&self) -> Vec<Arc<str>> {
        self.overrides.read().keys().cloned().collect()
    }
}

/// What the admin room asks of topic configurations.
pub struct ConfigRules(pub Arc<DynamicConfig>);

impl admin::TopicConfigs for ConfigRules {
    fn validate(&self, overrides: &Overrides) -> Result<(), String> {
        topic::validate(&self.0.snapshot(), overrides).map_err(|fault| fault.to_string())
    }

    fn describe(&self, overrides: &Overrides) -> Vec<TopicConfigEntry> {
        let entries = describe::describe_topic(&self.0, overrides).unwrap_or_default();
        let entry = |it: describe::ConfigEntry| TopicConfigEntry {
            name: it.name,
            value: it.value,
            read_only: it.read_only,
            source: it.source as i8,
            sensitive: it.sensitive,
        };
        entries.into_iter().map(entry).collect()
    }
}
