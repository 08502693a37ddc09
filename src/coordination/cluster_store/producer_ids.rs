//! Blocks of producer ids (class `ZkProducerIdManager`).

use super::ClusterStore;
use crate::coordination::{
    CoordinationError,
    znode::{paths, producer_ids::ProducerIdBlock},
};

/// Ids handed out at a time.
const BLOCK_SIZE: i64 = 1000;

impl ClusterStore {
    /// A block of producer ids nobody else has: `(first, length)`; `/latest_producer_id_block` by compare-and-set.
    pub async fn allocate_producer_id_block(
        &self,
        broker: crate::common::BrokerId,
    ) -> Result<(i64, i32), CoordinationError> {
        loop {
            let (data, stat) = self.store.get(paths::PRODUCER_ID_BLOCK, false).await?;
            // Starting over after a garbled node would hand out ids twice.
            let first = if data.is_empty() { 0 } else { ProducerIdBlock::decode(&data)?.last.saturating_add(1) };
            let Some(last) = first.checked_add(BLOCK_SIZE - 1).filter(|last| *last < i64::MAX) else {
                return Err(CoordinationError::Store("all producer ids are used up".into()));
            };
            let block = ProducerIdBlock { broker, first, last };
            match self.store.set(paths::PRODUCER_ID_BLOCK, block.encode(), Some(stat.version)).await {
                Ok(_) => return Ok((first, i32::try_from(BLOCK_SIZE).unwrap_or(i32::MAX))),
                Err(CoordinationError::BadVersion(_)) => {}
                Err(fault) => return Err(fault),
            }
        }
    }
}
