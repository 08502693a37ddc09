//! Blocks of producer ids (class `ZkProducerIdManager`).

use super::ClusterStore;
use crate::coordination::{
    CoordinationError, CreateMode,
    znode::{paths, producer_ids::ProducerIdBlock},
};

/// Ids handed out at a time.
const BLOCK_SIZE: i64 = 1000;

impl ClusterStore {
    /// A block of producer ids nobody else has: `(first, length)`; `/latest_producer_id_block` by compare-and-set. The
    /// first block creates the node, unless a broker of Kafka's has created it without data.
    pub async fn allocate_producer_id_block(
        &self,
        broker: crate::common::BrokerId,
    ) -> Result<(i64, i32), CoordinationError> {
        loop {
            let found = self.get(paths::PRODUCER_ID_BLOCK).await?;
            let first = match &found {
                None => 0,
                Some((data, _)) if data.is_empty() => 0,
                // Starting over after a garbled node would hand out ids twice.
                Some((data, _)) => ProducerIdBlock::decode(data)?.last.saturating_add(1),
            };
            let Some(last) = first.checked_add(BLOCK_SIZE - 1).filter(|last| *last < i64::MAX) else {
                return Err(CoordinationError::Store("all producer ids are used up".into()));
            };
            let (path, data) = (paths::PRODUCER_ID_BLOCK, ProducerIdBlock { broker, first, last }.encode());
            let written = match found {
                None => self.store.create(path, data, CreateMode::Persistent).await.map(drop),
                Some((_, stat)) => self.store.set(path, data, Some(stat.version)).await.map(drop),
            };
            match written {
                Ok(()) => return Ok((first, i32::try_from(BLOCK_SIZE).unwrap_or(i32::MAX))),
                // Somebody was faster.
                Err(CoordinationError::BadVersion(_) | CoordinationError::NodeExists(_)) => {}
                Err(fault) => return Err(fault),
            }
        }
    }
}
