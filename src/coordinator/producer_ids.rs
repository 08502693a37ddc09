//! Producer ids for everybody who asks (classes `ProducerIdManager`, `RPCProducerIdManager`): handed out of a block of
//! 1000 that the coordination store gave to this broker alone.

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{
    common::{BrokerId, ErrorCode, ProducerId},
    coordination::ClusterStore,
};

/// A block that is used up to here is followed by the next one.
const PREFETCH_PERCENT: i64 = 90;

/// Ids `next..end`, of a block that began at `first`. Blocks are never given back: an id is used once or not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Block {
    first: ProducerId,
    next: ProducerId,
    end: ProducerId,
}

impl Block {
    fn new(first: ProducerId, length: i32) -> Self {
        Self { first, next: first, end: first.saturating_add(i64::from(length.max(0))) }
    }

    fn is_mostly_used(&self) -> bool {
        (self.next - self.first) * 100 >= (self.end - self.first) * PREFETCH_PERCENT
    }
}

/// The block in use and the one after it.
#[derive(Debug, Default)]
struct Blocks {
    current: Option<Block>,
    following: Option<Block>,
}

impl Blocks {
    /// The next id if there is one, and whether another block is wanted.
    fn claim(&mut self) -> (Option<ProducerId>, bool) {
        if self.current.is_none_or(|block| block.next >= block.end) {
            self.current = self.following.take();
        }
        let Some(block) = self.current.as_mut().filter(|block| block.next < block.end) else { return (None, true) };
        let id = block.next;
        block.next += 1;
        (Some(id), block.is_mostly_used() && self.following.is_none())
    }

    fn add(&mut self, block: Block) {
        match self.current {
            Some(current) if current.next < current.end => self.following = Some(block),
            _ => self.current = Some(block),
        }
    }
}

/// Hands out producer ids. One per broker.
pub struct ProducerIdManager {
    broker_id: BrokerId,
    blocks: Mutex<Blocks>,
    /// Held while the store is asked: those who come meanwhile wait for the same block.
    allocating: tokio::sync::Mutex<()>,
    /// Wakes whoever minds the blocks, see [`Self::run`].
    wanted: Notify,
}

impl ProducerIdManager {
    #[must_use]
    pub fn new(broker_id: BrokerId) -> Self {
        Self { broker_id, blocks: Mutex::default(), allocating: tokio::sync::Mutex::new(()), wanted: Notify::new() }
    }

    /// A producer id that nobody else has or had. COORDINATOR_LOAD_IN_PROGRESS, on which clients try again, while no
    /// block can be had.
    pub async fn next_id(&self, cluster: &ClusterStore) -> Result<ProducerId, ErrorCode> {
        let (id, wants_block) = self.blocks.lock().claim();
        match id {
            Some(id) => {
                if wants_block {
                    self.wanted.notify_one();
                }
                Ok(id)
            }
            None => {
                let _turn = self.allocating.lock().await;
                if let (Some(id), _) = self.blocks.lock().claim() {
                    return Ok(id);
                }
                self.allocate(cluster).await;
                self.blocks.lock().claim().0.ok_or(ErrorCode::CoordinatorLoadInProgress)
            }
        }
    }

    /// Fetches the next block whenever the present one runs low. Runs for ever; ids are had without it too, but then
    /// each thousandth producer waits for the store.
    pub async fn run(&self, cluster: &ClusterStore) {
        loop {
            self.wanted.notified().await;
            let _turn = self.allocating.lock().await;
            let is_low = self.blocks.lock().following.is_none();
            if is_low {
                self.allocate(cluster).await;
            }
        }
    }

    async fn allocate(&self, cluster: &ClusterStore) {
        match cluster.allocate_producer_id_block(self.broker_id).await {
            Ok((first, length)) => self.blocks.lock().add(Block::new(first, length)),
            Err(fault) => tracing::warn!(%fault, "no block of producer ids"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_run_through_blocks_without_gap_or_repeat() {
        let mut blocks = Blocks::default();
        assert_eq!(blocks.claim(), (None, true));
        blocks.add(Block::new(1_000, 10));
        let ids: Vec<_> = (0..8).map(|_| blocks.claim()).collect();
        assert!(ids.iter().all(|(_, wants_block)| !wants_block));
        assert_eq!(blocks.claim(), (Some(1_008), true), "nine of ten are used");
        blocks.add(Block::new(5_000, 10));
        assert_eq!(blocks.claim(), (Some(1_009), false));
        assert_eq!(blocks.claim(), (Some(5_000), false));
    }
}
