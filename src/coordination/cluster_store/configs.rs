//! Overrides of topics, brokers, clients and users, and how a change is announced.

use bytes::Bytes;
use futures::future::join_all;
use indexmap::IndexMap;

use super::ClusterStore;
use crate::{
    common::Timestamp,
    coordination::{
        CoordinationError, CreateMode,
        znode::{config, notification, paths},
    },
};

/// An announcement under `/config/changes`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigChange {
    /// Rises by announcement.
    pub sequence: u64,
    /// e.g. `topics/foo`.
    pub entity_path: String,
}

/// Announcements older than this have been heard by all who live (`ZkNodeChangeNotificationListener`).
const CHANGE_EXPIRATION_MS: i64 = 15 * 60 * 1000;

impl ClusterStore {
    /// `/config/<entity_path>`, e.g. `topics/foo`, `brokers/1`, `brokers/<default>`; empty if there is none.
    pub async fn entity_config(&self, entity_path: &str) -> Result<IndexMap<String, String>, CoordinationError> {
        let found = self.get(&paths::config(entity_path)).await?;
        Ok(found.map_or_else(IndexMap::new, |(data, _)| lenient(entity_path, &data)))
    }

    /// Overrides of many topics, read together; answers in order.
    pub async fn topic_configs<T: AsRef<str>>(
        &self,
        topics: &[T],
    ) -> Result<Vec<IndexMap<String, String>>, CoordinationError> {
        let paths: Vec<String> = topics.iter().map(|topic| paths::topic_config(topic.as_ref())).collect();
        let found = self.get_all(&paths, false).await?;
        let decode = |(path, found): (&String, Option<(Bytes, _)>)| {
            found.map_or_else(IndexMap::new, |(data, _)| lenient(path, &data))
        };
        Ok(paths.iter().zip(found).map(decode).collect())
    }

    /// Writes `/config/<entity_path>` (creating parents) and announces it under `/config/changes`.
    pub async fn set_entity_config(
        &self,
        entity_path: &str,
        config: &IndexMap<String, String>,
    ) -> Result<(), CoordinationError> {
        self.set_or_create(&paths::config(entity_path), config::encode(config)).await?;
        let announcement = format!("{}/{}", paths::CONFIG_CHANGES, paths::CONFIG_CHANGE_PREFIX);
        let data = notification::encode(entity_path);
        match self.store.create(&announcement, data.clone(), CreateMode::PersistentSequential).await {
            Err(CoordinationError::NoNode(_)) => {}
            other => return other.map(drop),
        }
        self.ensure(paths::CONFIG_CHANGES).await?;
        self.store.create(&announcement, data, CreateMode::PersistentSequential).await.map(drop)
    }

    /// Announcements after `seen`, in order; `watch` waits for the next (ChildrenChanged of `/config/changes`).
    pub async fn config_changes(&self, seen: Option<u64>, watch: bool) -> Result<Vec<ConfigChange>, CoordinationError> {
        let names = self.children(paths::CONFIG_CHANGES, watch).await?;
        let mut sequences: Vec<(u64, String)> = names
            .iter()
            .filter_map(|name| Some((sequence_of(name)?, format!("{}/{name}", paths::CONFIG_CHANGES))))
            .filter(|(sequence, _)| seen.is_none_or(|seen| *sequence > seen))
            .collect();
        sequences.sort_unstable();
        let (sequences, paths): (Vec<u64>, Vec<String>) = sequences.into_iter().unzip();
        let mut changes = Vec::with_capacity(paths.len());
        for ((sequence, path), found) in sequences.into_iter().zip(&paths).zip(self.get_all(&paths, false).await?) {
            let Some((data, _)) = found else { continue };
            match notification::decode(&data) {
                Ok(entity_path) => changes.push(ConfigChange { sequence, entity_path }),
                Err(fault) => tracing::warn!(%path, %fault, "ignoring an announcement"),
            }
        }
        Ok(changes)
    }

    /// Removes announcements older than 15 minutes; any broker may.
    pub async fn purge_config_changes(&self, now: Timestamp) -> Result<(), CoordinationError> {
        let names = self.children(paths::CONFIG_CHANGES, false).await?;
        let paths: Vec<String> = names.iter().map(|name| format!("{}/{name}", paths::CONFIG_CHANGES)).collect();
        let stats = join_all(paths.iter().map(|path| self.store.exists(path, false))).await;
        let mut old = Vec::new();
        for (path, stat) in paths.into_iter().zip(stats) {
            if stat?.is_some_and(|stat| now - stat.ctime_ms > CHANGE_EXPIRATION_MS) {
                old.push(path);
            }
        }
        self.delete_all(None, &old).await
    }
}

fn sequence_of(name: &str) -> Option<u64> {
    name.strip_prefix(paths::CONFIG_CHANGE_PREFIX)?.parse().ok()
}

/// Kafka takes an unreadable configuration for an empty one.
fn lenient(entity: &str, data: &[u8]) -> IndexMap<String, String> {
    config::decode(data).unwrap_or_else(|fault| {
        tracing::warn!(%entity, %fault, "ignoring a configuration");
        IndexMap::new()
    })
}
