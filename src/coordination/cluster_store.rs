//! Kafka's meaning of the znodes (class `KafkaZkClient`).

use std::sync::Arc;

use indexmap::IndexMap;

use super::{CoordinationError, ZnodeStore};

/// Kafka's operations on the tree, over whichever store there is.
pub struct ClusterStore {
    #[allow(dead_code)]
    store: Arc<dyn ZnodeStore>,
}

#[allow(unused_variables, clippy::unused_async)]
impl ClusterStore {
    #[must_use]
    pub fn new(store: Arc<dyn ZnodeStore>) -> Self {
        Self { store }
    }

    /// `/config/<entity_path>`, e.g. `topics/foo`, `brokers/1`, `brokers/<default>`; empty if there is none.
    pub async fn entity_config(&self, entity_path: &str) -> Result<IndexMap<String, String>, CoordinationError> {
        todo!()
    }

    /// Writes `/config/<entity_path>` (creating parents) and announces it under `/config/changes`.
    pub async fn set_entity_config(
        &self,
        entity_path: &str,
        config: &IndexMap<String, String>,
    ) -> Result<(), CoordinationError> {
        todo!()
    }

    /// A block of producer ids nobody else has: `(first, length)`; `/latest_producer_id_block` by compare-and-set.
    pub async fn allocate_producer_id_block(
        &self,
        broker: crate::common::BrokerId,
    ) -> Result<(i64, i32), CoordinationError> {
        todo!()
    }

    /// `/consumers/<group>/offsets/<topic>/<partition>` (OffsetFetch v0): ASCII decimal, `None` if there is no node.
    pub async fn legacy_offset(
        &self,
        group: &str,
        topic: &str,
        partition: i32,
    ) -> Result<Option<crate::common::Offset>, CoordinationError> {
        todo!()
    }

    /// Writes that node, creating its parents (OffsetCommit v0).
    pub async fn set_legacy_offset(
        &self,
        group: &str,
        topic: &str,
        partition: i32,
        offset: crate::common::Offset,
    ) -> Result<(), CoordinationError> {
        todo!()
    }
}
