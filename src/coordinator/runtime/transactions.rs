//! The face handlers see (class `TransactionCoordinator`): finds the shard of a transactional id, and answers for shards
//! that are not here or still loading.

use std::sync::Arc;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use super::{
    ports::{Ports, ReplicaPorts},
    shards::{Plan, Shards},
};
use crate::{
    common::{
        Clock, ErrorCode, LeaderEpoch, ProducerEpoch, ProducerId, TopicPartition, topic_name::TRANSACTION_STATE_TOPIC,
    },
    coordinator::{
        codec::STRING_BYTES_MAX,
        machine::StepOf,
        transaction::{
            InitProducerId, TransactionConfig, TransactionDescription, TransactionFilter, TransactionOverview,
            TransactionShard,
            command::{Now, Reply, ReplyTo, SendMarkers},
        },
    },
    replication::ReplicaManager,
};

/// A log write counts when all in-sync replicas have it (`TransactionLog.EnforcedRequiredAcks`).
const ACKS: i16 = -1;

/// All transactional ids this broker coordinates. Cheap to share; every method takes `&self`.
pub struct TransactionCoordinator {
    config: Arc<TransactionConfig>,
    /// One per partition of `__transaction_state`.
    shards: Arc<Shards<TransactionShard>>,
    /// Until somebody takes it, see [`Self::markers_to_send`].
    markers: Mutex<Option<mpsc::UnboundedReceiver<SendMarkers>>>,
}

impl TransactionCoordinator {
    /// `partitions`: how many `__transaction_state` has, or will have when it is created.
    #[must_use]
    pub fn new(
        config: TransactionConfig,
        replicas: Arc<ReplicaManager>,
        clock: Arc<dyn Clock>,
        partitions: i32,
    ) -> Arc<Self> {
        let timeout_ms = config.request_timeout_ms;
        Self::with_ports(config, Arc::new(ReplicaPorts { replicas, acks: ACKS, timeout_ms }), clock, partitions)
    }

    /// Over any log.
    #[must_use]
    pub fn with_ports(
        config: TransactionConfig,
        ports: Arc<dyn Ports>,
        clock: Arc<dyn Clock>,
        partitions: i32,
    ) -> Arc<Self> {
        let config = Arc::new(config);
        let shared = Arc::clone(&config);
        let (effects, markers) = mpsc::unbounded_channel();
        let shards = Arc::new(Shards::new(Plan {
            topic: TRANSACTION_STATE_TOPIC,
            partitions,
            new_machine: Box::new(move || TransactionShard::new(Arc::clone(&shared))),
            load_buffer_bytes: config.load_buffer_bytes,
            loads_committed: true,
            ports,
            clock,
            effects,
        }));
        Arc::new(Self { config, shards, markers: Mutex::new(Some(markers)) })
    }

    /// What the one who writes markers is to write; `None` for the second who asks.
    pub fn markers_to_send(&self) -> Option<mpsc::UnboundedReceiver<SendMarkers>> {
        self.markers.lock().take()
    }

    /// The partition of `__transaction_state` a transactional id lives in.
    #[must_use]
    pub fn partition_for(&self, transactional_id: &str) -> i32 {
        self.shards.partition_for(transactional_id)
    }

    /// `fresh_id` gives a producer id that nobody has; asked only if one is needed.
    pub async fn init_producer_id<'f>(
        &self,
        cmd: InitProducerId,
        fresh_id: impl Fn() -> BoxFuture<'f, Result<ProducerId, ErrorCode>>,
    ) -> Result<(ProducerId, ProducerEpoch), ErrorCode> {
        check_id(&cmd.transactional_id)?;
        if !(1..=self.config.max_timeout_ms).contains(&cmd.timeout_ms) {
            return Err(ErrorCode::InvalidTransactionTimeout);
        }
        let id = Arc::clone(&cmd.transactional_id);
        let mut fresh = None;
        loop {
            match self.ask(&id, |shard, now, to| shard.init(now, &cmd, fresh, to)).await? {
                Reply::Initialized { producer_id, producer_epoch } => return Ok((producer_id, producer_epoch)),
                Reply::NeedsProducerId => fresh = Some(fresh_id().await?),
                Reply::Code(error) => return Err(error),
            }
        }
    }

    /// NONE once the partitions are in the transaction and that is in the log.
    pub async fn add_partitions(
        &self,
        transactional_id: &Arc<str>,
        producer: (ProducerId, ProducerEpoch),
        partitions: Vec<TopicPartition>,
    ) -> ErrorCode {
        let asked = self.ask(transactional_id, |shard, now, to| {
            shard.add_partitions(now, transactional_id, producer, partitions, to)
        });
        code(asked.await)
    }

    /// Which partitions are in the producer's ongoing transaction: NONE or TRANSACTION_ABORTABLE each (KIP-890).
    pub fn verify_partitions(
        &self,
        transactional_id: &str,
        producer: (ProducerId, ProducerEpoch),
        partitions: Vec<TopicPartition>,
    ) -> Result<Vec<(TopicPartition, ErrorCode)>, ErrorCode> {
        check_id(transactional_id)?;
        let cell = self.shards.of_key(transactional_id)?;
        cell.with_shard(|shard, _| shard.verify_partitions(transactional_id, producer, partitions))?
    }

    /// NONE once the outcome is in the log; markers are written afterwards.
    pub async fn end_transaction(
        &self,
        transactional_id: &Arc<str>,
        producer: (ProducerId, ProducerEpoch),
        is_commit: bool,
    ) -> ErrorCode {
        let asked =
            self.ask(transactional_id, |shard, now, to| shard.end(now, transactional_id, producer, is_commit, to));
        code(asked.await)
    }

    pub fn describe(&self, transactional_id: &str) -> Result<TransactionDescription, ErrorCode> {
        if !self.shards.is_active() {
            return Err(ErrorCode::CoordinatorNotAvailable);
        }
        if transactional_id.is_empty() {
            return Err(ErrorCode::InvalidRequest);
        }
        let cell = self.shards.of_key(transactional_id)?;
        cell.with_shard(|shard, _| shard.describe(transactional_id))?.ok_or(ErrorCode::TransactionalIdNotFound)
    }

    /// COORDINATOR_LOAD_IN_PROGRESS as long as any partition is being loaded.
    pub fn list(&self, filter: &TransactionFilter) -> Result<Vec<TransactionOverview>, ErrorCode> {
        if !self.shards.is_active() {
            return Err(ErrorCode::CoordinatorNotAvailable);
        }
        let mut found = Vec::new();
        for cell in self.shards.iter() {
            match cell.with_shard(|shard, now| shard.list(now, filter)) {
                Ok(listed) => found.extend(listed),
                Err(ErrorCode::CoordinatorLoadInProgress) => return Err(ErrorCode::CoordinatorLoadInProgress),
                Err(_) => {}
            }
        }
        Ok(found)
    }

    /// What came of markers that were sent under `coordinator_epoch`.
    pub fn markers_written(
        &self,
        transactional_id: &Arc<str>,
        coordinator_epoch: LeaderEpoch,
        answers: Vec<(TopicPartition, ErrorCode)>,
    ) {
        if let Ok(cell) = self.shards.of_key(transactional_id) {
            cell.run(|shard, _| shard.markers_written(transactional_id, coordinator_epoch, answers));
        }
    }

    /// Task `transaction-abort`.
    pub fn abort_timed_out(&self) {
        self.run_all(TransactionShard::abort_timed_out);
    }

    /// Task `transactionalId-expiration`.
    pub fn expire_ids(&self) {
        self.run_all(TransactionShard::expire_ids);
    }

    fn run_all(&self, command: fn(&mut TransactionShard, Now) -> StepOf<TransactionShard>) {
        for cell in self.shards.iter() {
            cell.run(command);
        }
    }

    /// This broker leads the partition now: it is loaded in the background, after
    /// `ReplicaManager::apply_partition_states`; transactions that were being ended are ended.
    pub fn on_elected(&self, partition: i32, leader_epoch: LeaderEpoch) {
        self.shards.on_elected(partition, leader_epoch);
    }

    /// This broker no longer leads the partition (`None`: it no longer holds it). Whoever waits is sent elsewhere.
    pub fn on_resigned(&self, partition: i32, leader_epoch: Option<LeaderEpoch>) {
        self.shards.on_resigned(partition, leader_epoch);
    }

    /// Starts the one task that waits for deadlines: only tries again have any.
    pub fn start(&self) -> tokio::task::JoinHandle<()> {
        tokio::spawn(Arc::clone(&self.shards).run_timers(None))
    }

    pub fn shutdown(&self) {
        self.shards.shutdown();
    }

    async fn ask(
        &self,
        transactional_id: &str,
        command: impl FnOnce(&mut TransactionShard, Now, ReplyTo) -> StepOf<TransactionShard>,
    ) -> Result<Reply, ErrorCode> {
        check_id(transactional_id)?;
        let asked: oneshot::Receiver<Reply> = self.shards.of_key(transactional_id)?.execute(command)?;
        // The sender is only ever dropped unanswered when the whole coordinator is.
        asked.await.map_err(|_| ErrorCode::NotCoordinator)
    }
}

fn check_id(transactional_id: &str) -> Result<(), ErrorCode> {
    match transactional_id.len() {
        0 => Err(ErrorCode::InvalidRequest),
        // The key of a record could not hold it.
        length if length > STRING_BYTES_MAX => Err(ErrorCode::UnknownServerError),
        _ => Ok(()),
    }
}

fn code(asked: Result<Reply, ErrorCode>) -> ErrorCode {
    match asked {
        Ok(Reply::Code(code)) => code,
        Ok(_) => ErrorCode::UnknownServerError,
        Err(error) => error,
    }
}
