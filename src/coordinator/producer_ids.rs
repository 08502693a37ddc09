//! Producer ids for everybody who asks (classes `ProducerIdManager`, `RPCProducerIdManager`): handed out of a block of
//! 1000 that the controller gave to this broker alone (AllocateProducerIds, KIP-730).

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use kafka_protocol::messages::{AllocateProducerIdsRequest, AllocateProducerIdsResponse, BrokerId as WireBrokerId};
use parking_lot::Mutex;
use tokio::{sync::Notify, time::sleep};

use crate::{
    client::ControllerChannel,
    common::{BrokerId, ErrorCode, ProducerId},
    coordination::ClusterStore,
    metadata::MetadataCache,
};

/// How long a producer waits for a block before it is told to come again.
const ALLOCATION_TIMEOUT: Duration = Duration::from_secs(5);
/// Before a controller that refused is asked again (`RPCProducerIdManager.RETRY_BACKOFF_MS`).
const RETRY_BACKOFF: Duration = Duration::from_millis(50);

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

/// Where blocks come from: the controller, and the store itself if this broker is the controller. The block's node is
/// written by compare-and-set, so a mistake about who is controller costs nothing.
pub struct BlockSource {
    pub broker_id: BrokerId,
    pub broker_epoch: Arc<AtomicI64>,
    pub metadata: Arc<MetadataCache>,
    pub cluster: Arc<ClusterStore>,
    pub controller: ControllerChannel,
    /// Protocol 3.0: the controller allocates. Before, every broker does so itself (class `ZkProducerIdManager`).
    pub asks_controller: bool,
}

impl BlockSource {
    /// First id and length of a block; `Err` says why not, for one log line.
    async fn allocate(&self) -> Result<(ProducerId, i32), String> {
        let controller = self.metadata.load().controller;
        if !self.asks_controller || controller.is_none_or(|id| id == self.broker_id) {
            let allocated = self.cluster.allocate_producer_id_block(self.broker_id).await;
            return allocated.map_err(|fault| fault.to_string());
        }
        let request = AllocateProducerIdsRequest::default()
            .with_broker_id(WireBrokerId(self.broker_id))
            .with_broker_epoch(self.broker_epoch.load(Ordering::Acquire));
        let elsewhere = |answer: &AllocateProducerIdsResponse| answer.error_code == ErrorCode::NotController.code();
        let asked = self.controller.send(&request, 0, true, ALLOCATION_TIMEOUT, elsewhere).await;
        let answer = asked.map_err(|fault| fault.to_string())?;
        match ErrorCode::from_code(answer.error_code) {
            ErrorCode::None => Ok((answer.producer_id_start.0, answer.producer_id_len)),
            refusal => Err(format!("the controller answered {refusal}")),
        }
    }
}

/// Hands out producer ids. One per broker.
pub struct ProducerIdManager {
    source: BlockSource,
    blocks: Mutex<Blocks>,
    /// Held while the controller is asked: those who come meanwhile wait for the same block.
    allocating: tokio::sync::Mutex<()>,
    /// Wakes whoever minds the blocks, see [`Self::run`].
    wanted: Notify,
}

impl ProducerIdManager {
    #[must_use]
    pub fn new(source: BlockSource) -> Self {
        Self { source, blocks: Mutex::default(), allocating: tokio::sync::Mutex::new(()), wanted: Notify::new() }
    }

    /// A producer id that nobody else has or had. COORDINATOR_LOAD_IN_PROGRESS, on which clients try again, while no
    /// block can be had.
    pub async fn next_id(&self) -> Result<ProducerId, ErrorCode> {
        let (id, wants_block) = self.blocks.lock().claim();
        match id {
            Some(id) => {
                if wants_block {
                    self.wanted.notify_one();
                }
                Ok(id)
            }
            None => {
                let waited = tokio::time::timeout(ALLOCATION_TIMEOUT, self.first_of_block()).await;
                waited.unwrap_or(Err(ErrorCode::CoordinatorLoadInProgress))
            }
        }
    }

    async fn first_of_block(&self) -> Result<ProducerId, ErrorCode> {
        let _turn = self.allocating.lock().await;
        if let (Some(id), _) = self.blocks.lock().claim() {
            return Ok(id);
        }
        self.allocate().await;
        self.blocks.lock().claim().0.ok_or(ErrorCode::CoordinatorLoadInProgress)
    }

    /// Fetches the next block whenever the present one runs low. Runs for ever; ids are had without it too, but then
    /// each thousandth producer waits for the controller.
    pub async fn run(&self) {
        loop {
            self.wanted.notified().await;
            while !self.prefetch().await {
                sleep(RETRY_BACKOFF).await;
            }
        }
    }

    /// False if a block is still wanted.
    async fn prefetch(&self) -> bool {
        let _turn = self.allocating.lock().await;
        self.blocks.lock().following.is_some() || self.allocate().await
    }

    async fn allocate(&self) -> bool {
        match self.source.allocate().await {
            Ok((first, length)) => {
                self.blocks.lock().add(Block::new(first, length));
                true
            }
            Err(fault) => {
                tracing::warn!(%fault, "no block of producer ids");
                false
            }
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
