//! Kafka's meaning of the znodes (class `KafkaZkClient`), one file per family.
//!
//! Written for a store across a network: reads go out together, writes in multis. `guard` is the version of
//! `/controller_epoch` that a controller won with; a write under a guard fails with [`is_controller_moved`] once
//! another controller has won.

mod admin;
mod brokers;
mod configs;
mod controller;
mod legacy_offsets;
mod partitions;
mod producer_ids;
mod topics;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;

pub use self::{
    configs::ConfigChange,
    controller::ElectedController,
    partitions::{NewPartitionState, PartitionStateUpdate, VersionedState},
    topics::VersionedTopic,
};
use super::{
    CoordinationError, CreateMode, MultiOp, Stat, ZnodeStore,
    znode::{cluster, paths},
};
use crate::common::topic_id;

/// Steps in one multi: ZooKeeper refuses a request above 1 MB.
const MULTI_STEPS: usize = 2000;

/// Kafka's operations on the tree, over whichever store there is.
pub struct ClusterStore {
    store: Arc<dyn ZnodeStore>,
}

/// A guarded write failed because this broker is not the controller any more.
#[must_use]
pub fn is_controller_moved(fault: &CoordinationError) -> bool {
    matches!(fault, CoordinationError::BadVersion(path) | CoordinationError::NoNode(path) if path == paths::CONTROLLER_EPOCH)
}

impl ClusterStore {
    #[must_use]
    pub fn new(store: Arc<dyn ZnodeStore>) -> Self {
        Self { store }
    }

    /// The session beneath: watches and its end are listened to there.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn ZnodeStore> {
        &self.store
    }

    /// What every broker expects to be there; at each start.
    pub async fn create_persistent_paths(&self) -> Result<(), CoordinationError> {
        let found = join_all(paths::PERSISTENT.iter().map(|path| self.store.exists(path, false))).await;
        for (path, found) in paths::PERSISTENT.iter().zip(found) {
            if found?.is_some() {
                continue;
            }
            match self.create_recursive(path, Bytes::new()).await {
                // Brokers that start together create them together.
                Ok(()) | Err(CoordinationError::NodeExists(_)) => {}
                Err(fault) => return Err(fault),
            }
        }
        Ok(())
    }

    pub async fn cluster_id(&self) -> Result<Option<String>, CoordinationError> {
        match self.get(paths::CLUSTER_ID).await? {
            Some((data, _)) => Ok(Some(cluster::decode(&data)?)),
            None => Ok(None),
        }
    }

    /// The cluster's id. If the tree has none yet it gets `adopt` (what a log directory's `meta.properties` says), or
    /// a random one.
    pub async fn cluster_id_or_create(&self, adopt: Option<String>) -> Result<String, CoordinationError> {
        if let Some(id) = self.cluster_id().await? {
            return Ok(id);
        }
        let id = adopt.unwrap_or_else(|| topic_id::to_base64(topic_id::random()));
        match self.create_recursive(paths::CLUSTER_ID, cluster::encode(&id)).await {
            Ok(()) => Ok(id),
            // Another broker was faster.
            Err(CoordinationError::NodeExists(_)) => self.cluster_id().await.map(|won| won.unwrap_or(id)),
            Err(fault) => Err(fault),
        }
    }

    /// `None` if there is no such node.
    async fn get(&self, path: &str) -> Result<Option<(Bytes, Stat)>, CoordinationError> {
        absent_as_none(self.store.get(path, false).await)
    }

    /// All nodes, read together; `None` for those that are not there.
    async fn get_all(&self, paths: &[String], watch: bool) -> Result<Vec<Option<(Bytes, Stat)>>, CoordinationError> {
        let reads = paths.iter().map(|path| self.store.get(path, watch));
        join_all(reads).await.into_iter().map(absent_as_none).collect()
    }

    /// Names of the children; none if the node itself is not there.
    async fn children(&self, path: &str, watch: bool) -> Result<Vec<String>, CoordinationError> {
        Ok(absent_as_none(self.store.children(path, watch).await)?.map_or_else(Vec::new, |(names, _)| names))
    }

    /// Creates a node, and its parents as empty nodes where they are missing.
    async fn create_recursive(&self, path: &str, data: Bytes) -> Result<(), CoordinationError> {
        match self.store.create(path, data.clone(), CreateMode::Persistent).await {
            Ok(_) => return Ok(()),
            Err(CoordinationError::NoNode(_)) => {}
            Err(fault) => return Err(fault),
        }
        for (at, _) in path.match_indices('/').skip(1) {
            match self.store.create(&path[..at], Bytes::new(), CreateMode::Persistent).await {
                Ok(_) | Err(CoordinationError::NodeExists(_)) => {}
                Err(fault) => return Err(fault),
            }
        }
        self.store.create(path, data, CreateMode::Persistent).await.map(drop)
    }

    /// Overwrites a node, or creates it with its parents.
    async fn set_or_create(&self, path: &str, data: Bytes) -> Result<(), CoordinationError> {
        match self.store.set(path, data.clone(), None).await {
            Err(CoordinationError::NoNode(_)) => {}
            other => return other.map(drop),
        }
        match self.create_recursive(path, data.clone()).await {
            Err(CoordinationError::NodeExists(_)) => self.store.set(path, data, None).await.map(drop),
            other => other,
        }
    }

    /// Deletes nodes, children before parents as listed, a missing one being as good as deleted.
    async fn delete_all(&self, guard: Option<i32>, paths: &[String]) -> Result<(), CoordinationError> {
        for chunk in paths.chunks(MULTI_STEPS) {
            let steps = |paths: &[String]| {
                let deletes = paths.iter().map(|path| MultiOp::Delete { path: path.clone(), version: None });
                guard.map(guard_step).into_iter().chain(deletes).collect::<Vec<_>>()
            };
            match self.store.multi(steps(chunk)).await {
                Ok(_) => continue,
                Err(CoordinationError::NoNode(path)) if path != paths::CONTROLLER_EPOCH => {}
                Err(fault) => return Err(fault),
            }
            for path in chunk {
                match self.store.multi(steps(std::slice::from_ref(path))).await {
                    Ok(_) => {}
                    Err(CoordinationError::NoNode(path)) if path != paths::CONTROLLER_EPOCH => {}
                    Err(fault) => return Err(fault),
                }
            }
        }
        Ok(())
    }
}

fn guard_step(version: i32) -> MultiOp {
    MultiOp::Check { path: paths::CONTROLLER_EPOCH.into(), version: Some(version) }
}

fn create_step(path: String, data: Bytes) -> MultiOp {
    MultiOp::Create { path, data, mode: CreateMode::Persistent }
}

fn absent_as_none<T>(answer: Result<T, CoordinationError>) -> Result<Option<T>, CoordinationError> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(CoordinationError::NoNode(_)) => Ok(None),
        Err(fault) => Err(fault),
    }
}
