//! The driver over a log in memory: order, failures, loading, timers.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use parking_lot::Mutex;

use super::{
    GroupCoordinator,
    loader::{apply, encode},
    ports::{LogReader, LogSource, PartitionWriter},
    shard_cell::Status,
    shards::{Plan, Shards},
};
use crate::{
    common::{Clock, ErrorCode, Offset, TopicPartition, time::ManualClock},
    coordinator::group::{
        GroupConfig, GroupShard,
        command::{CommitOffsets, Heartbeat, JoinGroup, Now, SyncGroup, TransactionalProducer},
        records::{OffsetAndMetadata, group_tombstone, offset_record},
    },
    protocol::records::batch::{BatchHeader, set_base_offset},
    storage::Verification,
};

const BATCH: &str = "000000000000000000000072ffffffff0227c5fa3a0000000000010000018bcfe5687b0000018bcfe5687bffffffffffffffffffffffffffff000000026800000022000100016700066f7264657273000000073a000300000000000012670000000500056dc3a4726b0000018bcfe5687b00160000020a00020001670100";
const BATCH_TRANSACTIONAL: &str = "000000000000000000000066ffffffff02020234160010000000000000018bcfe5687b0000018bcfe5687b000000000000002a000100000000000000016800000022000100016700066f7264657273000000073a000300000000000012670000000500056dc3a4726b0000018bcfe5687b00";
const MARKER_COMMIT: &str = "000000000000000200000042ffffffff0259da710b0030000000000000018bcfe5687b0000018bcfe5687b000000000000002a0001ffffffff000000012000000008000000010c00000000000000";
const MARKER_ABORT: &str = "000000000000000200000042ffffffff02ade4a7430030000000000000018bcfe5687b0000018bcfe5687b000000000000002a0001ffffffff000000012000000008000000000c00000000000000";

const NOW: Now = Now { wall_ms: 0, monotonic_ms: 0 };

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn position(offset: i64) -> OffsetAndMetadata {
    OffsetAndMetadata {
        offset,
        leader_epoch: 5,
        metadata: "märk".into(),
        commit_timestamp: 1_700_000_000_123,
        expire_timestamp: None,
    }
}

/// What we append is what Kafka's coordinator would have appended.
#[test]
fn batches_are_kafkas() {
    let tp = TopicPartition::new("orders", 7);
    let records = [offset_record("g", &tp, &position(4711)), group_tombstone("g")];
    assert_eq!(encode(records.iter(), 1_700_000_000_123, None), unhex(BATCH));
    let producer = TransactionalProducer { id: 42, epoch: 1, verification: Verification::NotRequired };
    assert_eq!(encode(records[..1].iter(), 1_700_000_000_123, Some(producer)), unhex(BATCH_TRANSACTIONAL));
}

/// A log that Kafka wrote, with a transaction in it.
#[test]
fn kafkas_transactions_load() {
    for (marker, expected) in [(MARKER_COMMIT, 4711), (MARKER_ABORT, -1)] {
        let mut shard = GroupShard::new(Arc::default());
        let mut log = unhex(BATCH_TRANSACTIONAL);
        let tp = TopicPartition::new("orders", 7);
        assert_eq!(apply(&log, &mut shard, NOW), Ok(Some(1)));
        assert_eq!(shard.fetch_offsets("g", Some(vec![tp.clone()]), true)[0].error, ErrorCode::UnstableOffsetCommit);
        log = unhex(marker);
        assert_eq!(apply(&log, &mut shard, NOW), Ok(Some(3)));
        shard.finish_loading(NOW);
        assert_eq!(shard.fetch_offsets("g", Some(vec![tp]), true)[0].offset, expected);
    }
}

/// A log of one partition in memory.
#[derive(Default)]
struct MemoryLog {
    bytes: Vec<u8>,
    end: Offset,
    appends: usize,
    /// Some in-sync replica lacks the end.
    is_uncommitted: bool,
    /// Appends fail with this, if set.
    failing: Option<ErrorCode>,
}

#[derive(Clone, Default)]
struct MemoryPorts {
    log: Arc<Mutex<MemoryLog>>,
    /// Milliseconds an append takes to commit.
    delay_ms: u64,
}

impl PartitionWriter for MemoryPorts {
    fn append(
        &self,
        _: &TopicPartition,
        mut batch: BytesMut,
        _: Verification,
    ) -> BoxFuture<'static, Result<Offset, ErrorCode>> {
        let (log, delay_ms) = (Arc::clone(&self.log), self.delay_ms);
        Box::pin(async move {
            let base = {
                let mut log = log.lock();
                log.appends += 1;
                if let Some(error) = log.failing {
                    return Err(error);
                }
                let base = log.end;
                set_base_offset(&mut batch, base);
                log.end += i64::from(BatchHeader::parse(&batch).unwrap().record_count);
                log.bytes.extend_from_slice(&batch);
                base
            };
            if delay_ms > 0 {
                tokio::time::sleep(Duration::from_millis(delay_ms)).await;
            }
            Ok(base)
        })
    }
}

impl LogSource for MemoryPorts {
    fn open(&self, _: &TopicPartition) -> Result<Box<dyn LogReader>, ErrorCode> {
        Ok(Box::new(self.clone()))
    }
}

impl LogReader for MemoryPorts {
    fn start_offset(&self) -> Offset {
        0
    }

    fn end_offset(&self) -> Offset {
        self.log.lock().end
    }

    fn is_committed(&self) -> bool {
        !self.log.lock().is_uncommitted
    }

    /// One batch at a time, so that the loop around it has something to do.
    fn read(&self, offset: Offset, _: usize, buffer: &mut Vec<u8>) -> Result<(), String> {
        buffer.clear();
        let log = self.log.lock();
        let mut rest = log.bytes.as_slice();
        while !rest.is_empty() {
            let header = BatchHeader::parse(rest).unwrap();
            let (batch, after) = rest.split_at(header.size);
            if header.last_offset() >= offset {
                buffer.extend_from_slice(batch);
                return Ok(());
            }
            rest = after;
        }
        Ok(())
    }
}

/// Real time.
struct TokioClock(tokio::time::Instant);

impl Clock for TokioClock {
    fn now_ms(&self) -> i64 {
        self.monotonic_ms()
    }

    fn monotonic_ms(&self) -> i64 {
        i64::try_from(self.0.elapsed().as_millis()).unwrap()
    }
}

fn coordinator(ports: &MemoryPorts, clock: Arc<dyn Clock>) -> Arc<GroupCoordinator> {
    let config = GroupConfig { initial_rebalance_delay_ms: 0, min_session_timeout_ms: 1, ..GroupConfig::default() };
    GroupCoordinator::with_ports(config, Arc::new(ports.clone()), clock, 1)
}

fn commit(group: &str, offset: i64) -> CommitOffsets {
    CommitOffsets {
        group_id: group.into(),
        member_id: "".into(),
        group_instance_id: None,
        generation: -1,
        offsets: [(TopicPartition::new("t", 0), position(offset))].into_iter().collect(),
        transaction: None,
    }
}

static LOCALHOST: LazyLock<Arc<str>> = LazyLock::new(|| "/127.0.0.1".into());

fn join(group: &str) -> JoinGroup<'_> {
    JoinGroup {
        group_id: group,
        member_id: "".into(),
        group_instance_id: None,
        requires_known_member_id: false,
        can_skip_assignment: false,
        client_id: "c",
        client_host: &LOCALHOST,
        rebalance_timeout_ms: 60_000,
        session_timeout_ms: 400,
        protocol_type: "consumer",
        protocols: vec![("range".into(), Bytes::new())],
        reason: None,
        fresh_id: uuid::Uuid::new_v4(),
    }
}

fn committed(coordinator: &GroupCoordinator, group: &str) -> Vec<i64> {
    coordinator.fetch_offsets(group, None, false).unwrap().iter().map(|fetched| fetched.offset).collect()
}

#[tokio::test]
async fn commits_survive_a_restart() {
    let (ports, clock) = (MemoryPorts::default(), Arc::new(ManualClock::at(1_000)));
    let first = coordinator(&ports, clock.clone());
    assert_eq!(first.commit_offsets(commit("g", 1)).await[0].1, ErrorCode::NotCoordinator);
    assert_eq!(first.fetch_offsets("g", None, false), Err(ErrorCode::NotCoordinator));
    first.on_elected(0, 3);
    for offset in 0..10 {
        assert_eq!(first.commit_offsets(commit("g", offset)).await[0].1, ErrorCode::None);
    }
    assert_eq!(committed(&first, "g"), [9]);
    // A late election or resignation changes nothing.
    first.on_resigned(0, Some(2));
    assert_eq!(committed(&first, "g"), [9]);
    first.on_resigned(0, Some(4));
    assert_eq!(first.describe_group("g"), Err(ErrorCode::NotCoordinator));

    let second = coordinator(&ports, clock);
    second.on_elected(0, 5);
    while second.list_groups().0 == ErrorCode::CoordinatorLoadInProgress {
        tokio::task::yield_now().await;
    }
    assert_eq!(committed(&second, "g"), [9]);
}

/// A broker cut off from the cluster does not hear that another one led its partition for a while. Elected again, it
/// must not go on with what it remembers (D-19).
#[tokio::test]
async fn what_others_wrote_meanwhile_is_loaded() {
    let (ports, clock) = (MemoryPorts::default(), Arc::new(ManualClock::at(1_000)));
    let cut_off = coordinator(&ports, clock.clone());
    cut_off.on_elected(0, 1);
    assert_eq!(cut_off.commit_offsets(commit("g", 1)).await[0].1, ErrorCode::None);
    // Nobody else can have led between two epochs in a row.
    cut_off.on_elected(0, 2);
    assert_eq!(committed(&cut_off, "g"), [1]);

    let other = coordinator(&ports, clock);
    other.on_elected(0, 3);
    while other.list_groups().0 == ErrorCode::CoordinatorLoadInProgress {
        tokio::task::yield_now().await;
    }
    assert_eq!(other.commit_offsets(commit("g", 7)).await[0].1, ErrorCode::None);

    cut_off.on_elected(0, 4);
    while cut_off.list_groups().0 == ErrorCode::CoordinatorLoadInProgress {
        tokio::task::yield_now().await;
    }
    assert_eq!(committed(&cut_off, "g"), [7]);
}

/// What the coordinator before this one was still waiting for may be lost with it: nobody may be told that it is done.
#[tokio::test(start_paused = true)]
async fn what_is_not_committed_is_waited_for() {
    let ports = MemoryPorts::default();
    let clock = || Arc::new(TokioClock(tokio::time::Instant::now()));
    let before = coordinator(&ports, clock());
    before.on_elected(0, 1);
    assert_eq!(before.commit_offsets(commit("g", 1)).await[0].1, ErrorCode::None);

    let shards = Arc::new(Shards::new(Plan {
        topic: "t",
        partitions: 1,
        new_machine: Box::new(|| GroupShard::new(Arc::default())),
        load_buffer_bytes: 1000,
        loads_committed: true,
        ports: Arc::new(ports.clone()),
        clock: clock(),
        effects: tokio::sync::mpsc::unbounded_channel().0,
    }));
    let status = || shards.get(0).unwrap().state.lock().status;
    ports.log.lock().is_uncommitted = true;
    shards.on_elected(0, 2);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(status(), Status::Loading);
    ports.log.lock().is_uncommitted = false;
    for _ in 0..1000 {
        tokio::time::sleep(Duration::from_millis(1)).await;
        if status() == Status::Active {
            return;
        }
    }
    panic!("never loaded");
}

/// Commits that arrive while one is on its way to the followers share the next batch, and each gets its answer.
#[tokio::test]
async fn waiting_commits_share_a_batch() {
    let ports = MemoryPorts { delay_ms: 50, ..MemoryPorts::default() };
    let coordinator = coordinator(&ports, Arc::new(TokioClock(tokio::time::Instant::now())));
    coordinator.on_elected(0, 0);
    let commits = (0..100).map(|index| coordinator.commit_offsets(commit(&format!("g{index}"), index)));
    let answers = futures::future::join_all(commits).await;
    assert!(answers.iter().all(|answer| answer[0].1.is_none()));
    assert_eq!(ports.log.lock().appends, 2);
    assert_eq!(committed(&coordinator, "g99"), [99]);
}

/// Whoever hangs up in mid-commit does not stop the others.
#[tokio::test]
async fn a_dropped_request_does_not_stall_the_shard() {
    let ports = MemoryPorts { delay_ms: 50, ..MemoryPorts::default() };
    let coordinator = coordinator(&ports, Arc::new(TokioClock(tokio::time::Instant::now())));
    coordinator.on_elected(0, 0);
    let dropped = tokio::time::timeout(Duration::from_millis(10), coordinator.commit_offsets(commit("g", 1))).await;
    assert!(dropped.is_err());
    assert_eq!(coordinator.commit_offsets(commit("g", 2)).await[0].1, ErrorCode::None);
    assert_eq!(committed(&coordinator, "g"), [2]);
}

#[tokio::test]
async fn failures_are_told_in_the_coordinators_words() {
    let ports = MemoryPorts::default();
    let coordinator = coordinator(&ports, Arc::new(ManualClock::at(0)));
    coordinator.on_elected(0, 0);
    for (of_log, told) in [
        (ErrorCode::NotEnoughReplicas, ErrorCode::CoordinatorNotAvailable),
        (ErrorCode::NotLeaderOrFollower, ErrorCode::NotCoordinator),
        (ErrorCode::MessageTooLarge, ErrorCode::InvalidCommitOffsetSize),
        (ErrorCode::RequestTimedOut, ErrorCode::RequestTimedOut),
    ] {
        ports.log.lock().failing = Some(of_log);
        assert_eq!(coordinator.commit_offsets(commit("g", 1)).await[0].1, told);
    }
    assert!(committed(&coordinator, "g").is_empty());
    coordinator.shutdown();
    assert_eq!(coordinator.commit_offsets(commit("g", 1)).await[0].1, ErrorCode::CoordinatorNotAvailable);
}

/// The timer task ends sessions by itself, and a join that waits is answered by resignation.
#[tokio::test]
async fn sessions_end_by_themselves() {
    let ports = MemoryPorts::default();
    let coordinator = coordinator(&ports, Arc::new(TokioClock(tokio::time::Instant::now())));
    coordinator.on_elected(0, 0);
    let timers = coordinator.start();
    let joined = coordinator.join_group(join("g")).await;
    assert_eq!((joined.error, joined.generation), (ErrorCode::None, 1));
    let sync = SyncGroup {
        group_id: "g",
        generation: 1,
        member_id: joined.member_id.clone(),
        group_instance_id: None,
        protocol_type: Some("consumer"),
        protocol_name: Some("range"),
        assignment: [(joined.member_id.clone(), Bytes::from_static(b"all"))].into_iter().collect(),
    };
    assert_eq!(coordinator.sync_group(sync).await.assignment, "all");
    let heartbeat = Heartbeat { group_id: "g", generation: 1, member_id: &joined.member_id, group_instance_id: None };
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(coordinator.heartbeat(heartbeat), ErrorCode::None);
    }
    // A second member waits for the first one, whose session ends meanwhile.
    let second = coordinator.join_group(join("g")).await;
    assert_eq!((second.error, second.generation), (ErrorCode::None, 2));
    assert_eq!(coordinator.heartbeat(heartbeat), ErrorCode::UnknownMemberId);

    let third = tokio::spawn({
        let coordinator = Arc::clone(&coordinator);
        async move { coordinator.join_group(join("g")).await }
    });
    tokio::time::sleep(Duration::from_millis(20)).await;
    coordinator.on_resigned(0, None);
    assert_eq!(third.await.unwrap().error, ErrorCode::NotCoordinator);
    coordinator.shutdown();
    timers.await.unwrap();
}
