//! The face of the room (class `ReplicaManager`).

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use bytes::BytesMut;
use parking_lot::Mutex;
use uuid::Uuid;

use super::{
    alter_partition::AlterPartitionManager,
    delayed::{
        Delayed, PartitionKey,
        delete_records::DeleteDone,
        fetch::{FetchDone, Readable},
        produce::ProduceDone,
    },
    fetcher::{FetcherManager, FetcherSetup},
    hosted::Partition,
    moves::Moves,
    partitions::{HostedPartition, Partitions},
    throttle::ReplicationQuota,
};
use crate::{
    common::{BrokerId, Clock, ErrorCode, LeaderEpoch, Offset, Timestamp, TopicPartition},
    config::topic::LogConfig,
    metadata::MetadataCache,
    metrics::{BrokerTopicStats, FetcherLags, ReplicaManagerMetrics, catalog::PurgatoryMetrics},
    protocol::chunk::Records,
    storage::{
        AbortedTxn, FetchIsolation, LogManager, OffsetAndEpoch, StorageError, UnifiedLog, Verification,
        error::RecordError,
    },
};

/// What the manager needs to know of the broker's configuration.
#[derive(Debug, Clone)]
pub struct ReplicaConfig {
    pub broker_id: BrokerId,
    pub replica_lag_time_max_ms: i64,
    /// `message.max.bytes` and such are per topic, in `LogConfig`.
    pub fetch_max_bytes: i32,
}

/// One partition's records to append.
pub struct AppendRequest {
    pub topic_partition: TopicPartition,
    pub records: BytesMut,
    /// What is known of the transaction that the records belong to.
    pub verification: Verification,
}

/// One partition's answer (ProduceResponse's PartitionProduceResponse).
#[derive(Debug, Clone)]
pub struct AppendResult {
    pub error: ErrorCode,
    pub error_message: Option<String>,
    pub base_offset: Offset,
    pub last_offset: Offset,
    pub log_append_time: Timestamp,
    pub log_start_offset: Offset,
    pub record_errors: Vec<RecordError>,
}

/// What all partitions of one Fetch share.
#[derive(Debug, Clone)]
pub struct FetchParams {
    /// −1 for consumers; ≥ 0 followers.
    pub replica_id: BrokerId,
    /// Of a follower that says so; else −1.
    pub replica_epoch: i64,
    pub max_wait_ms: i32,
    pub min_bytes: i32,
    pub max_bytes: i32,
    pub isolation: FetchIsolation,
    /// Fetch v ≤ 2: a first batch larger than the limit is not returned whole ("hard max bytes").
    pub hard_max_bytes: bool,
    pub client_rack: Option<String>,
}

#[derive(Debug, Clone)]
pub struct FetchPartition {
    pub topic_partition: TopicPartition,
    pub topic_id: Uuid,
    pub fetch_offset: Offset,
    pub log_start_offset: Offset,
    pub max_bytes: i32,
    /// −1: not given.
    pub current_leader_epoch: LeaderEpoch,
    pub last_fetched_epoch: LeaderEpoch,
}

#[derive(Debug, Clone)]
pub struct FetchPartitionData {
    pub error: ErrorCode,
    pub high_watermark: Offset,
    pub last_stable_offset: Offset,
    pub log_start_offset: Offset,
    pub aborted: Option<Vec<AbortedTxn>>,
    pub records: Records,
    /// Offset the records begin at, for down-conversion.
    pub records_base_offset: Offset,
    pub diverging: Option<OffsetAndEpoch>,
    pub preferred_read_replica: Option<BrokerId>,
}

#[derive(Debug, Clone, Copy)]
pub struct ListOffsetsAnswer {
    pub error: ErrorCode,
    pub timestamp: Timestamp,
    pub offset: Offset,
    pub leader_epoch: LeaderEpoch,
}

#[derive(Debug, Clone, Copy)]
pub struct DeleteRecordsResult {
    pub error: ErrorCode,
    pub low_watermark: Offset,
}

/// One partition of a LeaderAndIsr, as a value.
#[derive(Debug, Clone)]
pub struct PartitionStateChange {
    pub topic_partition: TopicPartition,
    pub topic_id: Uuid,
    /// −1: none.
    pub leader: BrokerId,
    pub leader_epoch: LeaderEpoch,
    pub partition_epoch: i32,
    pub isr: Vec<BrokerId>,
    pub replicas: Vec<BrokerId>,
    pub is_new: bool,
    pub config: LogConfig,
}

/// All partitions hosted here. Verbs are in the room's other files.
pub struct ReplicaManager {
    pub(super) config: ReplicaConfig,
    pub(super) logs: Arc<LogManager>,
    pub(super) clock: Arc<dyn Clock>,
    /// Tells a partition that lives elsewhere from one that does not exist.
    pub(super) metadata: Arc<MetadataCache>,
    pub(super) partitions: Partitions,
    /// Epoch of the newest controller heard of. Held while what it asks is carried out, so that one change of
    /// leadership is done before the next begins (`replicaStateChangeLock`).
    pub(super) controller_epoch: Mutex<i32>,
    pub(super) fetchers: FetcherManager,
    /// Where peers are reached; unknown before replication is started.
    pub(super) inter_broker_listener: OnceLock<String>,
    pub(super) alter_partitions: AlterPartitionManager,
    /// `replica.selector.class` is the rack aware one: consumers are sent to replicas near them (KIP-392).
    rack_aware: AtomicBool,
    pub(super) moves: Moves,
    pub(super) leader_quota: ReplicationQuota,
    pub(super) follower_quota: ReplicationQuota,
    next_key: AtomicU64,
    pub(super) delayed_produce: Delayed<ProduceDone>,
    pub(super) delayed_fetch: Delayed<FetchDone>,
    pub(super) delayed_delete: Delayed<DeleteDone>,
    pub(super) topic_stats: Arc<BrokerTopicStats>,
    pub(super) metrics: Arc<ReplicaManagerMetrics>,
    pub(super) purgatory_metrics: Arc<PurgatoryMetrics>,
}

impl ReplicaManager {
    /// A manager that knows no cluster image: partitions that are not hosted here do not exist for it.
    #[must_use]
    pub fn new(config: ReplicaConfig, logs: Arc<LogManager>, clock: Arc<dyn Clock>) -> Arc<Self> {
        Self::with_metadata(config, logs, clock, Arc::default())
    }

    /// A manager that answers NOT_LEADER_OR_FOLLOWER for partitions of the image that are not hosted here.
    #[must_use]
    pub fn with_metadata(
        config: ReplicaConfig,
        logs: Arc<LogManager>,
        clock: Arc<dyn Clock>,
        metadata: Arc<MetadataCache>,
    ) -> Arc<Self> {
        Arc::new(Self {
            config,
            logs,
            clock,
            metadata,
            partitions: Partitions::default(),
            controller_epoch: Mutex::new(0),
            fetchers: FetcherManager::default(),
            inter_broker_listener: OnceLock::new(),
            alter_partitions: AlterPartitionManager::default(),
            rack_aware: AtomicBool::new(false),
            moves: Moves::default(),
            leader_quota: ReplicationQuota::default(),
            follower_quota: ReplicationQuota::default(),
            next_key: AtomicU64::new(0),
            delayed_produce: Delayed::default(),
            delayed_fetch: Delayed::default(),
            delayed_delete: Delayed::default(),
            topic_stats: Arc::default(),
            metrics: Arc::default(),
            purgatory_metrics: Arc::default(),
        })
    }

    /// Lets this broker copy from others; called once. Partitions that follow already are taken on.
    pub fn start_replication(&self, inter_broker_listener: &str, setup: FetcherSetup) {
        if self.inter_broker_listener.set(inter_broker_listener.to_owned()).is_ok() {
            self.fetchers.start(setup);
            self.brokers_changed();
        }
    }

    /// `leader.` and `follower.replication.throttled.rate` in bytes per second; `None`: no limit.
    pub fn set_replication_rates(&self, leader: Option<i64>, follower: Option<i64>) {
        self.leader_quota.set_rate(leader);
        self.follower_quota.set_rate(follower);
    }

    /// Sends consumers that say their rack to a replica in it.
    pub fn select_replicas_by_rack(&self) {
        self.rack_aware.store(true, Ordering::Release);
    }

    pub(super) fn is_rack_aware(&self) -> bool {
        self.rack_aware.load(Ordering::Acquire)
    }

    /// Nothing is copied from now on.
    pub fn stop_replication(&self) {
        self.fetchers.stop();
    }

    /// The log of a partition this broker leads, else the code to answer
    /// (NOT_LEADER_OR_FOLLOWER, UNKNOWN_TOPIC_OR_PARTITION, KAFKA_STORAGE_ERROR, FENCED_/UNKNOWN_LEADER_EPOCH).
    pub fn leader_log(
        &self,
        tp: &TopicPartition,
        current_leader_epoch: LeaderEpoch,
    ) -> Result<(Arc<UnifiedLog>, LeaderEpoch), ErrorCode> {
        let partition = self.partition(tp)?;
        let epoch = partition.check(current_leader_epoch, true)?;
        Ok((partition.log().clone(), epoch))
    }

    /// The log of a partition hosted here, whoever leads it.
    pub fn local_log(&self, topic: &str, partition: i32) -> Option<Arc<UnifiedLog>> {
        match self.partitions.get(topic, partition)? {
            HostedPartition::Online(partition) => Some(partition.log().clone()),
            HostedPartition::Offline => None,
        }
    }

    /// As [`Self::local_log`], with the code to answer where there is none.
    pub fn any_log(&self, tp: &TopicPartition) -> Result<Arc<UnifiedLog>, ErrorCode> {
        self.partition(tp).map(|partition| partition.log().clone())
    }

    #[must_use]
    pub fn config(&self) -> &ReplicaConfig {
        &self.config
    }

    #[must_use]
    pub fn logs(&self) -> &Arc<LogManager> {
        &self.logs
    }

    /// Counters per topic and over all, for reporting.
    #[must_use]
    pub fn topic_stats(&self) -> &Arc<BrokerTopicStats> {
        &self.topic_stats
    }

    /// Counts partitions and waiters; call [`Self::refresh_metrics`] before reading.
    #[must_use]
    pub fn metrics(&self) -> (&Arc<ReplicaManagerMetrics>, &Arc<PurgatoryMetrics>) {
        (&self.metrics, &self.purgatory_metrics)
    }

    /// How far what is followed here is behind its leaders.
    #[must_use]
    pub fn fetcher_lags(&self) -> FetcherLags {
        self.fetchers.lags()
    }

    /// Brings the gauges up to date: they are counted when somebody asks, not as things happen.
    pub fn refresh_metrics(&self) {
        let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let online = self.partitions.online();
        let counted = |is: &dyn Fn(&Partition, i32) -> bool| {
            count(online.iter().filter(|p| is(p, p.log().config().min_insync_replicas)).count())
        };
        let offline = self.partitions.offline_count();
        self.metrics.partition_count.set(count(online.len() + offline));
        self.metrics.offline_replica_count.set(count(offline));
        self.metrics.leader_count.set(counted(&|p, _| p.state().is_leader()));
        self.metrics.under_replicated_partitions.set(counted(&|p, _| p.state().is_under_replicated()));
        self.metrics.under_min_isr_partition_count.set(counted(&|p, min_isr| p.state().is_under_min_isr(min_isr)));
        self.metrics.at_min_isr_partition_count.set(counted(&|p, min_isr| p.state().is_at_min_isr(min_isr)));
        self.purgatory_metrics.produce.set(count(self.delayed_produce.watched()));
        self.purgatory_metrics.fetch.set(count(self.delayed_fetch.watched()));
        self.purgatory_metrics.delete_records.set(count(self.delayed_delete.watched()));
    }

    pub(super) fn partition(&self, tp: &TopicPartition) -> Result<Arc<Partition>, ErrorCode> {
        match self.partitions.get(&tp.topic, tp.partition) {
            Some(HostedPartition::Online(partition)) => Ok(partition),
            Some(HostedPartition::Offline) => Err(ErrorCode::KafkaStorageError),
            // It exists, but its replica here is gone: the client must look for it elsewhere.
            None if self.metadata.load().partition(&tp.topic, tp.partition).is_some() => {
                Err(ErrorCode::NotLeaderOrFollower)
            }
            None => Err(ErrorCode::UnknownTopicOrPartition),
        }
    }

    pub(super) fn new_key(&self) -> PartitionKey {
        self.next_key.fetch_add(1, Ordering::Relaxed)
    }

    /// An operation on a log failed: takes the log dir offline if the disk did it, and returns the code to answer.
    pub(super) fn note_failure(&self, tp: &TopicPartition, failure: &StorageError) -> ErrorCode {
        if let StorageError::Io { dir, .. } = failure {
            tracing::error!(partition = %tp, %failure, "log dir is taken offline");
            self.log_dir_failed(&self.logs.mark_offline(dir));
        }
        failure.code()
    }

    /// The high watermark moved: produce and DeleteRecords may be done, consumers see `bytes` more.
    pub(super) fn high_watermark_moved(&self, key: PartitionKey, high_watermark: Offset, bytes: usize) {
        self.delayed_produce.changed(key, high_watermark);
        self.delayed_fetch.changed(key, Readable::Committed(bytes));
    }

    /// Leadership or the replica itself changed: everybody who waits must look again.
    pub(super) fn wake_all(&self, key: PartitionKey) {
        self.delayed_produce.complete_all(key);
        self.delayed_fetch.complete_all(key);
        self.delayed_delete.complete_all(key);
    }
}
