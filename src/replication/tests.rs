//! The manager over a real log on disk: what is appended is committed, read, waited for and forgotten.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use uuid::Uuid;

use super::{
    AppendRequest, AppendResult, FetchParams, FetchPartition, FetchPartitionData, PartitionStateChange, ReplicaConfig,
    ReplicaManager,
    list_offsets::{EARLIEST_TIMESTAMP, LATEST_TIMESTAMP, MAX_TIMESTAMP},
};
use crate::{
    common::{BrokerId, Clock, ErrorCode, Offset, TopicPartition, time::ManualClock},
    config::topic::LogConfig,
    protocol::records::{RecordBatchBuilder, batch::BatchHeader},
    storage::{AppendOrigin, FetchIsolation, LogManager, LogManagerConfig},
};

const BROKER: BrokerId = 1;

struct Broker {
    replicas: Arc<ReplicaManager>,
    topic_id: Uuid,
    clock: Arc<ManualClock>,
    _dir: tempfile::TempDir,
}

fn broker() -> Broker {
    broker_with_dirs(&[""])
}

/// Names of log dirs below a temporary folder.
fn broker_with_dirs(names: &[&str]) -> Broker {
    let dir = tempfile::tempdir().unwrap();
    let manual = Arc::new(ManualClock::at(1_000_000));
    let clock: Arc<dyn Clock> = Arc::clone(&manual) as _;
    let config = LogManagerConfig {
        log_dirs: names.iter().map(|name| dir.path().join(name)).collect(),
        recovery_threads_per_dir: 1,
        producer_id_expiration_ms: 86_400_000,
        default_log_config: LogConfig::default(),
    };
    let logs = Arc::new(LogManager::open(config, Arc::clone(&clock)).unwrap());
    logs.load(&|_| LogConfig::default()).unwrap();
    let config = ReplicaConfig { broker_id: BROKER, replica_lag_time_max_ms: 30_000, fetch_max_bytes: 55 << 20 };
    Broker {
        replicas: ReplicaManager::new(config, logs, clock),
        topic_id: Uuid::from_u128(9),
        clock: manual,
        _dir: dir,
    }
}

impl Broker {
    fn lead(&self, tp: &TopicPartition, replicas: &[BrokerId], leader_epoch: i32, config: LogConfig) -> ErrorCode {
        let change = PartitionStateChange {
            topic_partition: tp.clone(),
            topic_id: self.topic_id,
            leader: BROKER,
            leader_epoch,
            partition_epoch: leader_epoch,
            isr: replicas.to_vec(),
            replicas: replicas.to_vec(),
            is_new: leader_epoch == 0,
            config,
        };
        self.replicas.apply_partition_states(vec![change])[0]
    }

    async fn append(&self, tp: &TopicPartition, acks: i16, timestamps: &[i64]) -> AppendResult {
        let requests = vec![AppendRequest {
            topic_partition: tp.clone(),
            records: batch(timestamps),
            verification: crate::storage::Verification::NotRequired,
        }];
        self.replicas.append(requests, acks, 50, AppendOrigin::Client, false).await.remove(0)
    }

    async fn fetch(&self, tp: &TopicPartition, offset: Offset, params: &FetchParams) -> FetchPartitionData {
        self.replicas.fetch(params, &[self.wants(tp, offset)]).await.remove(0)
    }

    fn wants(&self, tp: &TopicPartition, fetch_offset: Offset) -> FetchPartition {
        FetchPartition {
            topic_partition: tp.clone(),
            topic_id: self.topic_id,
            fetch_offset,
            log_start_offset: -1,
            max_bytes: 1 << 20,
            current_leader_epoch: -1,
            last_fetched_epoch: -1,
        }
    }
}

fn batch(timestamps: &[i64]) -> BytesMut {
    let mut builder = RecordBatchBuilder::new(0);
    for timestamp in timestamps {
        builder.append(*timestamp, Some(b"key"), Some(b"value"), &[]);
    }
    builder.build()
}

fn consumer(max_wait_ms: i32, min_bytes: i32) -> FetchParams {
    FetchParams {
        replica_id: -1,
        replica_epoch: -1,
        max_wait_ms,
        min_bytes,
        max_bytes: 1 << 20,
        isolation: FetchIsolation::HighWatermark,
        hard_max_bytes: false,
        client_rack: None,
    }
}

fn first_batch(data: &FetchPartitionData) -> BatchHeader {
    use std::os::unix::fs::FileExt;
    let crate::protocol::chunk::Records::File(region) = &data.records else { panic!("no region in {data:?}") };
    let mut bytes = vec![0; region.length];
    region.file.read_exact_at(&mut bytes, region.position).unwrap();
    BatchHeader::parse(&Bytes::from(bytes)).unwrap()
}

#[tokio::test]
async fn what_is_appended_is_committed_and_read() {
    let (broker, tp) = (broker(), TopicPartition::new("orders", 0));
    assert_eq!(broker.append(&tp, 1, &[1]).await.error, ErrorCode::UnknownTopicOrPartition);
    assert_eq!(broker.lead(&tp, &[BROKER], 0, LogConfig::default()), ErrorCode::None);
    for acks in [-1, 0, 1] {
        let result = broker.append(&tp, acks, &[10, 20]).await;
        assert_eq!((result.error, result.last_offset - result.base_offset), (ErrorCode::None, 1));
    }
    assert_eq!(broker.append(&tp, 2, &[1]).await.error, ErrorCode::InvalidRequiredAcks);

    let data = broker.fetch(&tp, 2, &consumer(0, 1)).await;
    assert_eq!((data.error, data.high_watermark, data.log_start_offset), (ErrorCode::None, 6, 0));
    assert_eq!(first_batch(&data).base_offset, 2);
    assert_eq!(broker.fetch(&tp, 7, &consumer(0, 1)).await.error, ErrorCode::OffsetOutOfRange);
    let other_id = FetchPartition { topic_id: Uuid::from_u128(1), ..broker.wants(&tp, 0) };
    let data = broker.replicas.fetch(&consumer(0, 1), &[other_id]).await.remove(0);
    assert_eq!(data.error, ErrorCode::InconsistentTopicId);
}

#[tokio::test]
async fn a_consumer_at_the_end_is_woken_by_the_next_append() {
    let (broker, tp) = (broker(), TopicPartition::new("orders", 0));
    broker.lead(&tp, &[BROKER], 0, LogConfig::default());
    let began = Instant::now();
    let (params, append) = (consumer(30_000, 1), async {
        tokio::task::yield_now().await;
        broker.append(&tp, -1, &[1]).await
    });
    let (data, _) = tokio::join!(broker.fetch(&tp, 0, &params), append);
    assert_eq!((data.high_watermark, first_batch(&data).base_offset), (1, 0));
    assert!(began.elapsed() < Duration::from_secs(10));

    // Two bytes more than one batch has: the first append does not wake it for good, the second does.
    let need = i32::try_from(batch(&[1]).len()).unwrap() + 2;
    let (params, appends) = (consumer(30_000, need), async {
        for _ in 0..2 {
            tokio::task::yield_now().await;
            broker.append(&tp, 1, &[1]).await;
        }
    });
    let (data, ()) = tokio::join!(broker.fetch(&tp, 1, &params), appends);
    assert_eq!(data.high_watermark, 3);
}

#[tokio::test]
async fn time_ends_a_wait() {
    let (broker, tp) = (broker(), TopicPartition::new("orders", 0));
    broker.lead(&tp, &[BROKER], 0, LogConfig::default());
    let data = broker.fetch(&tp, 0, &consumer(20, 1)).await;
    assert_eq!((data.error, data.records.len()), (ErrorCode::None, 0));
    // The other replica never fetches: acks=all cannot be met, and nothing is shown to consumers.
    let pair = TopicPartition::new("pairs", 0);
    broker.lead(&pair, &[BROKER, 2], 0, LogConfig::default());
    let result = broker.append(&pair, -1, &[1]).await;
    assert_eq!((result.error, result.base_offset), (ErrorCode::RequestTimedOut, 0));
    assert_eq!(broker.fetch(&pair, 0, &consumer(0, 1)).await.records.len(), 0);
}

/// S-6: whoever calls himself a replica is believed only if the controller said so.
#[tokio::test]
async fn a_stranger_cannot_move_the_high_watermark() {
    let (broker, tp) = (broker(), TopicPartition::new("pairs", 0));
    broker.lead(&tp, &[BROKER, 2], 0, LogConfig::default());
    broker.append(&tp, 1, &[1]).await;
    let as_replica = |replica_id| FetchParams { replica_id, isolation: FetchIsolation::LogEnd, ..consumer(0, 1) };
    assert_eq!(broker.fetch(&tp, 1, &as_replica(9)).await.error, ErrorCode::NotLeaderOrFollower);
    assert_eq!(broker.fetch(&tp, 1, &as_replica(BROKER)).await.error, ErrorCode::NotLeaderOrFollower);
    assert_eq!(broker.fetch(&tp, 0, &consumer(0, 1)).await.high_watermark, 0);

    // The real one commits, and that releases a producer that waits for it.
    let follower = async {
        tokio::task::yield_now().await;
        broker.fetch(&tp, 2, &as_replica(2)).await
    };
    let (result, _) = tokio::join!(broker.append(&tp, -1, &[1]), follower);
    assert_eq!(result.error, ErrorCode::None);
    assert_eq!(broker.fetch(&tp, 0, &consumer(0, 1)).await.high_watermark, 2);
}

#[tokio::test]
async fn offsets_by_time_and_epoch() {
    let (broker, tp) = (broker(), TopicPartition::new("orders", 0));
    broker.lead(&tp, &[BROKER], 3, LogConfig::default());
    broker.append(&tp, 1, &[100, 300]).await;
    broker.append(&tp, 1, &[200]).await;
    broker.lead(&tp, &[BROKER], 5, LogConfig::default());
    broker.append(&tp, 1, &[250]).await;
    let ask = |timestamp| {
        let answer = broker.replicas.list_offsets(&tp, timestamp, Some(FetchIsolation::HighWatermark), -1);
        (answer.error, answer.offset, answer.leader_epoch)
    };
    assert_eq!(ask(LATEST_TIMESTAMP), (ErrorCode::None, 4, 5));
    assert_eq!(ask(EARLIEST_TIMESTAMP), (ErrorCode::None, 0, 3));
    assert_eq!(ask(MAX_TIMESTAMP), (ErrorCode::None, 1, 3));
    assert_eq!(ask(150), (ErrorCode::None, 1, 3));
    assert_eq!(ask(301), (ErrorCode::None, -1, -1));
    let end =
        |epoch| broker.replicas.end_offset_for_epoch(&tp, -1, epoch).unwrap().map(|at| (at.leader_epoch, at.offset));
    assert_eq!((end(3), end(4), end(5)), (Some((3, 3)), Some((3, 3)), Some((5, 4))));
    assert_eq!(broker.replicas.end_offset_for_epoch(&tp, 4, 3), Err(ErrorCode::FencedLeaderEpoch));

    let diverged = FetchPartition { last_fetched_epoch: 4, ..broker.wants(&tp, 4) };
    let data = broker.replicas.fetch(&consumer(10_000, 1), &[diverged]).await.remove(0);
    assert_eq!(data.diverging.map(|at| (at.leader_epoch, at.offset)), Some((3, 3)));
}

#[tokio::test]
async fn deleted_records_are_out_of_range() {
    let (broker, tp) = (broker(), TopicPartition::new("orders", 0));
    broker.lead(&tp, &[BROKER], 0, LogConfig::default());
    broker.append(&tp, 1, &[1, 2, 3]).await;
    let delete = async |offset| {
        let result = broker.replicas.delete_records(&tp, offset, 50).await;
        (result.error, result.low_watermark)
    };
    assert_eq!(delete(4).await, (ErrorCode::OffsetOutOfRange, -1));
    assert_eq!(delete(2).await, (ErrorCode::None, 2));
    assert_eq!(delete(1).await, (ErrorCode::None, 2));
    assert_eq!(broker.fetch(&tp, 1, &consumer(0, 1)).await.error, ErrorCode::OffsetOutOfRange);
    assert_eq!(delete(-1).await, (ErrorCode::None, 3));
    let compacted = LogConfig { cleanup_compact: true, cleanup_delete: false, ..LogConfig::default() };
    broker.replicas.update_topic_config("orders", &compacted);
    assert_eq!(delete(-1).await, (ErrorCode::PolicyViolation, -1));
}

#[tokio::test]
async fn a_deleted_partition_releases_who_waits() {
    let (broker, tp) = (broker(), TopicPartition::new("orders", 0));
    broker.lead(&tp, &[BROKER], 0, LogConfig::default());
    let params = consumer(30_000, 1);
    let delete = async {
        tokio::task::yield_now().await;
        broker.replicas.stop_replica(&tp, true)
    };
    let (data, stopped) = tokio::join!(broker.fetch(&tp, 0, &params), delete);
    assert_eq!((data.error, stopped), (ErrorCode::UnknownTopicOrPartition, ErrorCode::None));
}

#[tokio::test]
async fn a_failed_log_dir_takes_its_partitions_along_and_no_others() {
    let broker = broker_with_dirs(&["one", "two"]);
    let mut failures = broker.replicas.logs().failures().unwrap();
    let config = LogConfig { segment_bytes: 100, ..LogConfig::default() };
    let (lost, kept) = (TopicPartition::new("orders", 0), TopicPartition::new("orders", 1));
    for tp in [&lost, &kept] {
        assert_eq!(broker.lead(tp, &[BROKER], 0, config.clone()), ErrorCode::None);
        assert_eq!(broker.append(tp, 1, &[1]).await.error, ErrorCode::None);
    }
    let failed = broker.replicas.local_log("orders", 0).unwrap().parent_dir().to_owned();
    std::fs::remove_dir_all(&failed).unwrap();
    // The next segment cannot be made. A consumer at the end hears of it at once.
    let patient = consumer(30_000, 1);
    let started = Instant::now();
    let (fetched, appended) = tokio::join!(broker.fetch(&lost, 1, &patient), broker.append(&lost, 1, &[2]));
    assert_eq!((fetched.error, appended.error), (ErrorCode::KafkaStorageError, ErrorCode::KafkaStorageError));
    assert!(started.elapsed() < Duration::from_secs(10));
    let event = failures.try_recv().unwrap();
    assert_eq!((event.dir, event.partitions), (failed, vec![lost.clone()]));
    assert!(broker.replicas.logs().has_online_dir());

    assert_eq!(broker.fetch(&lost, 0, &consumer(0, 1)).await.error, ErrorCode::KafkaStorageError);
    assert_eq!(broker.append(&kept, 1, &[2]).await.error, ErrorCode::None);
    broker.replicas.refresh_metrics();
    assert_eq!(broker.replicas.metrics().0.offline_replica_count.value(), 1);
    // Neither a new epoch nor another partition that existed before gets an empty log in the dir that is left.
    assert_eq!(broker.lead(&lost, &[BROKER], 1, config.clone()), ErrorCode::KafkaStorageError);
    assert_eq!(
        broker.lead(&TopicPartition::new("orders", 2), &[BROKER], 1, config.clone()),
        ErrorCode::KafkaStorageError
    );
    assert_eq!(broker.lead(&TopicPartition::new("orders", 3), &[BROKER], 0, config), ErrorCode::None);
}

/// KIP-113: the log moves while producers go on, and nothing is missing afterwards, nor after the next start.
#[tokio::test]
async fn a_replica_moves_to_another_log_dir_under_load() {
    let broker = broker_with_dirs(&["one", "two"]);
    let tp = TopicPartition::new("orders", 0);
    broker.lead(&tp, &[BROKER], 0, LogConfig { segment_bytes: 2_000, ..LogConfig::default() });
    for at in 0..100 {
        assert_eq!(broker.append(&tp, -1, &[at, at]).await.error, ErrorCode::None);
    }
    assert_eq!(broker.replicas.delete_records(&tp, 11, 50).await.low_watermark, 11);
    let from = broker.replicas.local_log("orders", 0).unwrap().parent_dir().to_owned();
    let to = broker._dir.path().join(if from.ends_with("one") { "two" } else { "one" });
    let alter = |dir: &str| broker.replicas.alter_replica_log_dir(&tp, dir);
    assert_eq!(alter("/nowhere"), ErrorCode::LogDirNotFound);
    assert_eq!(alter(from.to_str().unwrap()), ErrorCode::None, "it is there already");
    assert_eq!(alter(to.to_str().unwrap()), ErrorCode::None);
    let copies = |broker: &Broker| {
        let dirs = broker.replicas.describe_log_dirs(|_| true);
        dirs.iter().flat_map(|dir| &dir.partitions).filter(|it| it.is_future).count()
    };
    assert_eq!(copies(&broker), 1);
    let mover = tokio::spawn(super::run_moves(Arc::downgrade(&broker.replicas)));
    let mut appended = 0;
    while broker.replicas.local_log("orders", 0).unwrap().parent_dir() != to {
        assert_eq!(broker.append(&tp, -1, &[7]).await.error, ErrorCode::None);
        appended += 1;
        assert!(appended < 10_000, "never done");
        tokio::task::yield_now().await;
    }
    mover.abort();
    assert_eq!(copies(&broker), 0);
    let end = 200 + appended;
    let result = broker.append(&tp, -1, &[8]).await;
    assert_eq!((result.error, result.base_offset), (ErrorCode::None, end));
    for offset in [11, 12, 199, end] {
        let data = broker.fetch(&tp, offset, &consumer(0, 1)).await;
        assert_eq!(
            (data.error, data.log_start_offset, data.high_watermark),
            (ErrorCode::None, 11, end + 1),
            "{offset}"
        );
        assert_eq!(first_batch(&data).last_offset(), if offset < 200 { offset | 1 } else { offset });
    }
    assert_eq!(broker.fetch(&tp, 10, &consumer(0, 1)).await.error, ErrorCode::OffsetOutOfRange);
    let names: Vec<String> =
        std::fs::read_dir(&to).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    assert!(names.contains(&"orders-0".to_owned()) && !names.iter().any(|name| name.ends_with("-future")), "{names:?}");
    assert!(!from.join("orders-0").exists());
    let missing = TopicPartition::new("later", 0);
    assert_eq!(broker.replicas.alter_replica_log_dir(&missing, to.to_str().unwrap()), ErrorCode::ReplicaNotAvailable);
    broker.lead(&missing, &[BROKER], 0, LogConfig::default());
    assert_eq!(broker.replicas.local_log("later", 0).unwrap().parent_dir(), to);
}

/// `replica.alter.log.dirs.io.max.bytes.per.second`: a move costs no more than its share of the disk, and a lifted limit is
/// seen at once.
#[tokio::test(start_paused = true)]
async fn a_move_between_log_dirs_keeps_to_its_rate() {
    let broker = broker_with_dirs(&["one", "two"]);
    let tp = TopicPartition::new("orders", 0);
    broker.lead(&tp, &[BROKER], 0, LogConfig { segment_bytes: 2_000_000, ..LogConfig::default() });
    let stamps = vec![7; 40_000];
    for _ in 0..24 {
        assert_eq!(broker.append(&tp, -1, &stamps).await.error, ErrorCode::None);
    }
    let log = broker.replicas.local_log("orders", 0).unwrap();
    let size = |future: bool| {
        let dirs = broker.replicas.describe_log_dirs(|_| true);
        dirs.iter().flat_map(|dir| &dir.partitions).find(|it| it.is_future == future).map(|it| it.size_bytes)
    };
    assert!(size(false).unwrap() > 6 << 20, "{:?}", size(false));
    let to = broker._dir.path().join(if log.parent_dir().ends_with("one") { "two" } else { "one" });
    broker.replicas.set_move_rate(Some(500_000));
    assert_eq!(broker.replicas.alter_replica_log_dir(&tp, to.to_str().unwrap()), ErrorCode::None);
    let mover = tokio::spawn(super::run_moves(Arc::downgrade(&broker.replicas)));
    let mut last = 0;
    for second in 1..=8_i64 {
        for _ in 0..10 {
            broker.clock.advance(100);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let now = size(true).expect("far from done");
        // A step is a megabyte at most: so much may be paid off later.
        assert!(now <= second * 500_000 + (2 << 20), "{now} bytes in {second} s");
        last = now;
    }
    assert!(last > 3_000_000, "{last} bytes in 8 s");
    broker.replicas.set_move_rate(None);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(size(true), None, "done");
    mover.abort();
}
