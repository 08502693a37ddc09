//! Two brokers and a controller that is only a script: real sockets, real logs, Kafka's requests.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use kafka_protocol::{
    messages::{
        BrokerId as WireBrokerId, LeaderAndIsrRequest, LeaderAndIsrResponse, StopReplicaRequest, TopicName,
        UpdateMetadataRequest,
        leader_and_isr_request::{LeaderAndIsrPartitionState, LeaderAndIsrTopicState},
        stop_replica_request::{StopReplicaPartitionState, StopReplicaTopicState},
        update_metadata_request::{
            UpdateMetadataBroker, UpdateMetadataEndpoint, UpdateMetadataPartitionState, UpdateMetadataTopicState,
        },
    },
    protocol::StrBytes,
};
use uuid::Uuid;

use crate::{
    client::{Channel, ClientConfig, Peer, Sockets},
    common::{BrokerId, ErrorCode, Offset, TopicPartition},
    coordination::{CreateMode, znode::partition_state::PartitionState},
    protocol::records::RecordBatchBuilder,
    replication::{AppendRequest, AppendResult, FetchParams, FetchPartition},
    server::{Broker, Launch},
    storage::{AppendOrigin, FetchIsolation, Verification},
};

const TOPIC: &str = "orders";
const TOPIC_ID: Uuid = Uuid::from_u128(77);

struct Cluster {
    brokers: Vec<(BrokerId, Broker, Channel)>,
    dir: tempfile::TempDir,
    controller_epoch: i32,
    partition_epoch: i32,
    /// The one that is decided about, and produced to.
    partition: i32,
}

/// What the script decides about the one partition.
struct Decision<'a> {
    leader: BrokerId,
    epoch: i32,
    isr: &'a [BrokerId],
}

async fn broker(id: BrokerId, dir: &Path, extra: &[(&str, &str)]) -> (BrokerId, Broker, Channel) {
    let mut properties: indexmap::IndexMap<String, String> = [
        ("broker.id", id.to_string()),
        ("listeners", "PLAINTEXT://127.0.0.1:0".to_owned()),
        ("log.dirs", dir.join(id.to_string()).display().to_string()),
        ("replica.fetch.backoff.ms", "50".to_owned()),
        ("replica.lag.time.max.ms", "1000".to_owned()),
        // The script is no controller that could be asked.
        ("controlled.shutdown.enable", "false".to_owned()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into();
    properties.extend(extra.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    let broker = Broker::start(Launch::from_properties(properties).unwrap()).await.unwrap();
    let port = broker.address("PLAINTEXT").unwrap().port();
    let config = ClientConfig {
        client_id: "script".to_owned(),
        request_timeout: Duration::from_secs(10),
        connect_timeout: Duration::from_secs(10),
        connector: Arc::new(Sockets::default()),
        response_bytes_max: 1 << 20,
    };
    let channel = Channel::new(Peer { id, host: "127.0.0.1".to_owned(), port }, Arc::new(config));
    (id, broker, channel)
}

impl Cluster {
    async fn start(extra: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let brokers = vec![broker(1, dir.path(), extra).await, broker(2, dir.path(), extra).await];
        Self { brokers, dir, controller_epoch: 100, partition_epoch: 0, partition: 0 }
    }

    fn at(&mut self, id: BrokerId) -> &mut (BrokerId, Broker, Channel) {
        &mut self.brokers[id as usize - 1]
    }

    async fn update_metadata(&mut self, decision: &Decision<'_>, controller: BrokerId) {
        let live: Vec<UpdateMetadataBroker> = self
            .brokers
            .iter()
            .map(|(id, _, channel)| {
                let endpoint = UpdateMetadataEndpoint::default()
                    .with_host(text("127.0.0.1"))
                    .with_port(channel.peer().port.into())
                    .with_listener(text("PLAINTEXT"));
                let rack = text(&format!("rack-{id}"));
                let broker = UpdateMetadataBroker::default().with_id(WireBrokerId(*id)).with_rack(Some(rack));
                broker.with_endpoints(vec![endpoint])
            })
            .collect();
        let partition = UpdateMetadataPartitionState::default()
            .with_partition_index(self.partition)
            .with_leader(WireBrokerId(decision.leader))
            .with_leader_epoch(decision.epoch)
            .with_controller_epoch(self.controller_epoch)
            .with_isr(ids(decision.isr))
            .with_replicas(ids(&[1, 2]));
        let topic = UpdateMetadataTopicState::default()
            .with_topic_name(name())
            .with_topic_id(TOPIC_ID)
            .with_partition_states(vec![partition]);
        let request = UpdateMetadataRequest::default()
            .with_controller_id(WireBrokerId(controller))
            .with_controller_epoch(self.controller_epoch)
            .with_topic_states(vec![topic])
            .with_live_brokers(live);
        for (.., channel) in &mut self.brokers {
            assert_eq!(channel.send(&request, 8).await.unwrap().error_code, 0);
        }
    }

    async fn leader_and_isr(&mut self, to: BrokerId, decision: &Decision<'_>) -> LeaderAndIsrResponse {
        let state = LeaderAndIsrPartitionState::default()
            .with_partition_index(self.partition)
            .with_leader(WireBrokerId(decision.leader))
            .with_leader_epoch(decision.epoch)
            .with_controller_epoch(self.controller_epoch)
            .with_partition_epoch(self.partition_epoch)
            .with_isr(ids(decision.isr))
            .with_replicas(ids(&[1, 2]))
            .with_is_new(decision.epoch == 0);
        let topic = LeaderAndIsrTopicState::default()
            .with_topic_name(name())
            .with_topic_id(TOPIC_ID)
            .with_partition_states(vec![state]);
        let request = LeaderAndIsrRequest::default()
            .with_controller_id(WireBrokerId(9))
            .with_controller_epoch(self.controller_epoch)
            .with_topic_states(vec![topic]);
        self.at(to).2.send(&request, 7).await.unwrap()
    }

    /// Tells `to` of a decision, after the image.
    async fn decide(&mut self, to: &[BrokerId], decision: Decision<'_>) {
        self.partition_epoch += 1;
        self.update_metadata(&decision, 9).await;
        for id in to {
            let response = self.leader_and_isr(*id, &decision).await;
            assert_eq!(response.error_code, 0);
            assert_eq!(response.topics[0].topic_id, TOPIC_ID);
            assert_eq!(response.topics[0].partition_errors[0].error_code, 0, "broker {id}");
        }
    }

    async fn produce(&mut self, to: BrokerId, acks: i16, values: &[&str]) -> AppendResult {
        let mut builder = RecordBatchBuilder::new(0);
        values.iter().for_each(|value| builder.append(1_000, None, Some(value.as_bytes()), &[]));
        let request = AppendRequest {
            topic_partition: TopicPartition::new(TOPIC, self.partition),
            records: BytesMut::from(&builder.build()[..]),
            verification: Verification::NotRequired,
        };
        let replicas = &self.at(to).1.services().replicas;
        replicas.append(vec![request], acks, 5_000, AppendOrigin::Client, false).await.remove(0)
    }

    fn marks(&mut self, id: BrokerId) -> (Offset, Offset, Offset) {
        let log = self.at(id).1.services().replicas.local_log(TOPIC, 0).unwrap();
        (log.log_start_offset(), log.high_watermark(), log.log_end_offset())
    }

    async fn until(&mut self, id: BrokerId, marks: (Offset, Offset, Offset)) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.marks(id) != marks {
            assert!(Instant::now() < deadline, "broker {id} is at {:?}, not at {marks:?}", self.marks(id));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn segment(&self, id: BrokerId) -> Vec<u8> {
        let folder: PathBuf = self.dir.path().join(id.to_string()).join(format!("{TOPIC}-0"));
        let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.retain(|file| file.extension().is_some_and(|extension| extension == "log"));
        files.sort();
        files.iter().flat_map(|file| std::fs::read(file).unwrap()).collect()
    }

    async fn stop(self) {
        for (_, broker, _) in self.brokers {
            broker.stop().await;
        }
    }
}

fn tp() -> TopicPartition {
    TopicPartition::new(TOPIC, 0)
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn name() -> TopicName {
    TopicName(text(TOPIC))
}

fn ids(ids: &[BrokerId]) -> Vec<WireBrokerId> {
    ids.iter().map(|id| WireBrokerId(*id)).collect()
}

#[tokio::test]
async fn a_follower_copies_byte_for_byte_and_acks_all_waits_for_it() {
    let mut cluster = Cluster::start(&[]).await;
    cluster.decide(&[1, 2], Decision { leader: 1, epoch: 0, isr: &[1, 2] }).await;
    for round in 0..20i64 {
        let started = Instant::now();
        let appended = cluster.produce(1, -1, &["a", "b", "c"]).await;
        assert_eq!((appended.error, appended.base_offset), (ErrorCode::None, round * 3));
        assert!(round < 1 || started.elapsed() < Duration::from_millis(450), "took {:?}", started.elapsed());
        assert_eq!(cluster.marks(1), (0, (round + 1) * 3, (round + 1) * 3));
    }
    cluster.until(2, (0, 60, 60)).await;
    assert_eq!(cluster.segment(1), cluster.segment(2));

    // Nobody follows any more: what is written is not committed.
    let stop = StopReplicaPartitionState::default().with_leader_epoch(0).with_delete_partition(false);
    let stop = StopReplicaTopicState::default().with_topic_name(name()).with_partition_states(vec![stop]);
    let request = StopReplicaRequest::default().with_controller_epoch(100).with_topic_states(vec![stop]);
    assert_eq!(cluster.at(2).2.send(&request, 4).await.unwrap().partition_errors[0].error_code, 0);
    assert_eq!(cluster.produce(1, 1, &["d"]).await.error, ErrorCode::None);
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(cluster.marks(1), (0, 60, 61));
    assert_eq!(cluster.marks(2).2, 60);
    cluster.stop().await;
}

/// Each leads in turn without the other: the tails part, and whoever follows gives its own up.
#[tokio::test]
async fn logs_that_parted_become_equal_again() {
    let mut cluster = Cluster::start(&[]).await;
    cluster.decide(&[1, 2], Decision { leader: 1, epoch: 0, isr: &[1, 2] }).await;
    cluster.produce(1, -1, &["common"]).await;
    cluster.until(2, (0, 1, 1)).await;
    cluster.decide(&[2], Decision { leader: 2, epoch: 1, isr: &[2] }).await;
    assert_eq!(cluster.produce(1, 1, &["lost 1", "lost 2"]).await.error, ErrorCode::None, "a zombie still accepts");
    assert_eq!(cluster.produce(2, -1, &["kept"]).await.error, ErrorCode::None);
    cluster.decide(&[2], Decision { leader: 2, epoch: 2, isr: &[2] }).await;
    assert_eq!(cluster.produce(2, -1, &["kept too"]).await.error, ErrorCode::None);
    cluster.decide(&[1], Decision { leader: 2, epoch: 2, isr: &[2] }).await;
    assert_eq!(cluster.produce(1, 1, &["refused"]).await.error, ErrorCode::NotLeaderOrFollower);
    cluster.until(1, (0, 3, 3)).await;
    assert_eq!(cluster.segment(1), cluster.segment(2));
    let epochs = |cluster: &Cluster, id: i32| {
        std::fs::read_to_string(cluster.dir.path().join(format!("{id}/{TOPIC}-0/leader-epoch-checkpoint"))).unwrap()
    };
    assert_eq!(epochs(&cluster, 1), epochs(&cluster, 2));

    // And back: the copy leads on where it is.
    cluster.decide(&[1, 2], Decision { leader: 1, epoch: 3, isr: &[1, 2] }).await;
    let appended = cluster.produce(1, -1, &["after"]).await;
    assert_eq!((appended.error, appended.base_offset), (ErrorCode::None, 3));
    cluster.until(2, (0, 4, 4)).await;
    assert_eq!(cluster.segment(1), cluster.segment(2));
    cluster.stop().await;
}

/// A follower hears of the high watermark with the answer to its next fetch. The one here does not live to hear of it
/// before it leads itself, and then follows again with a log that parts from the leader's at its very end: no record comes
/// any more, and the mark comes nevertheless.
#[tokio::test]
async fn a_follower_learns_the_high_watermark_although_nothing_is_produced_any_more() {
    let mut cluster =
        Cluster::start(&[("replica.fetch.wait.max.ms", "2000"), ("replica.lag.time.max.ms", "30000")]).await;
    cluster.decide(&[1, 2], Decision { leader: 1, epoch: 0, isr: &[1, 2] }).await;
    assert_eq!(cluster.produce(1, -1, &["a"]).await.error, ErrorCode::None);
    assert_eq!((cluster.marks(1), cluster.marks(2)), ((0, 1, 1), (0, 0, 1)), "the leader holds the fetch");
    // Nobody tells broker 1 of epoch 1.
    cluster.decide(&[2], Decision { leader: 2, epoch: 1, isr: &[1, 2] }).await;
    cluster.decide(&[1, 2], Decision { leader: 1, epoch: 2, isr: &[1, 2] }).await;
    cluster.until(2, (0, 1, 1)).await;
    cluster.stop().await;
}

#[tokio::test]
async fn a_follower_without_what_the_leader_has_forgotten_begins_where_the_leader_does() {
    let mut cluster = Cluster::start(&[]).await;
    cluster.decide(&[1], Decision { leader: 1, epoch: 0, isr: &[1] }).await;
    for _ in 0..4 {
        cluster.produce(1, -1, &["a", "b"]).await;
    }
    let deleted = cluster.at(1).1.services().replicas.delete_records(&tp(), 5, 1).await;
    assert_eq!(deleted.error, ErrorCode::RequestTimedOut, "the other replica is not there");
    cluster.decide(&[2], Decision { leader: 1, epoch: 0, isr: &[1] }).await;
    cluster.until(2, (5, 8, 8)).await;
    let appended = cluster.produce(1, -1, &["c"]).await;
    assert_eq!((appended.error, appended.base_offset), (ErrorCode::None, 8));
    cluster.until(2, (5, 9, 9)).await;
    cluster.stop().await;
}

/// The fetcher holds a fetch that the leader answers after half a second when a new partition comes: producers to that one
/// do not wait so long.
#[tokio::test]
async fn a_partition_that_comes_later_is_copied_at_once() {
    let mut cluster =
        Cluster::start(&[("replica.fetch.wait.max.ms", "20000"), ("replica.lag.time.max.ms", "30000")]).await;
    cluster.decide(&[1, 2], Decision { leader: 1, epoch: 0, isr: &[1, 2] }).await;
    cluster.produce(1, -1, &["a"]).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    cluster.partition = 1;
    cluster.decide(&[1, 2], Decision { leader: 1, epoch: 0, isr: &[1, 2] }).await;
    let started = Instant::now();
    assert_eq!(cluster.produce(1, -1, &["b"]).await.error, ErrorCode::None);
    assert!(started.elapsed() < Duration::from_secs(2), "took {:?}", started.elapsed());
    cluster.partition = 0;
    let started = Instant::now();
    assert_eq!(cluster.produce(1, -1, &["c"]).await.error, ErrorCode::None);
    assert!(started.elapsed() < Duration::from_secs(2), "took {:?}", started.elapsed());
    cluster.stop().await;
}

/// KIP-392: a consumer in the follower's rack is sent there, and reads what is committed there.
#[tokio::test]
async fn a_consumer_reads_from_the_replica_in_its_rack() {
    let selector = ("replica.selector.class", crate::server::replication::RACK_AWARE_SELECTOR);
    let mut cluster = Cluster::start(&[selector]).await;
    cluster.decide(&[1, 2], Decision { leader: 1, epoch: 0, isr: &[1, 2] }).await;
    cluster.produce(1, -1, &["a", "b"]).await;
    cluster.until(2, (0, 2, 2)).await;
    let wants = FetchPartition {
        topic_partition: tp(),
        topic_id: TOPIC_ID,
        fetch_offset: 0,
        log_start_offset: -1,
        max_bytes: 1 << 20,
        current_leader_epoch: 0,
        last_fetched_epoch: -1,
    };
    let params = |rack: &str| FetchParams {
        replica_id: -1,
        replica_epoch: -1,
        max_wait_ms: 0,
        min_bytes: 1,
        max_bytes: 1 << 20,
        isolation: FetchIsolation::TxnCommitted,
        hard_max_bytes: false,
        client_rack: Some(rack.to_owned()),
    };
    let wants = [wants];
    let at_leader = cluster.at(1).1.services().replicas.fetch(&params("rack-2"), &wants).await.remove(0);
    assert_eq!((at_leader.preferred_read_replica, at_leader.records.len()), (Some(2), 0));
    assert_eq!((at_leader.error, at_leader.high_watermark), (ErrorCode::None, 2));
    let at_follower = cluster.at(2).1.services().replicas.fetch(&params("rack-2"), &wants).await.remove(0);
    assert_eq!((at_follower.preferred_read_replica, at_follower.error), (None, ErrorCode::None));
    assert!(!at_follower.records.is_empty() && at_follower.high_watermark == 2);
    let near = cluster.at(1).1.services().replicas.fetch(&params("rack-1"), &wants).await.remove(0);
    assert!(near.preferred_read_replica.is_none() && !near.records.is_empty());
    cluster.stop().await;
}

/// KIP-73: a new replica is copied no faster than told, on either side.
#[tokio::test]
async fn a_replica_that_is_behind_is_throttled_by_leader_or_follower() {
    for (leader_rate, follower_rate) in [(Some(200_000), None), (None, Some(200_000))] {
        let mut cluster = Cluster::start(&[("replica.fetch.max.bytes", "40000")]).await;
        let throttled =
            [("leader.replication.throttled.replicas", "0:1"), ("follower.replication.throttled.replicas", "*")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()));
        for id in [1, 2] {
            let services = cluster.at(id).1.services();
            let throttled = throttled.iter().cloned().collect();
            services.cluster.set_entity_config(&format!("topics/{TOPIC}"), &throttled).await.unwrap();
            services.replicas.set_replication_rates(leader_rate, follower_rate);
        }
        cluster.decide(&[1], Decision { leader: 1, epoch: 0, isr: &[1] }).await;
        let value = "x".repeat(30_000);
        for _ in 0..15 {
            cluster.produce(1, 1, &[&value]).await;
        }
        let started = Instant::now();
        cluster.decide(&[2], Decision { leader: 1, epoch: 0, isr: &[1] }).await;
        cluster.until(2, (0, 15, 15)).await;
        let took = started.elapsed();
        assert!(took > Duration::from_millis(900), "leader {leader_rate:?} follower {follower_rate:?} took {took:?}");
        cluster.stop().await;
    }
}

#[tokio::test]
async fn old_controllers_old_epochs_and_other_topics_of_the_name_are_refused() {
    let mut cluster = Cluster::start(&[]).await;
    cluster.decide(&[1], Decision { leader: 1, epoch: 5, isr: &[1] }).await;
    let code = |response: LeaderAndIsrResponse| {
        (
            ErrorCode::from_code(response.error_code),
            ErrorCode::from_code(response.topics[0].partition_errors[0].error_code),
        )
    };
    let again = Decision { leader: 1, epoch: 5, isr: &[1] };
    assert_eq!(code(cluster.leader_and_isr(1, &again).await), (ErrorCode::None, ErrorCode::StaleControllerEpoch));
    let older = Decision { leader: 2, epoch: 4, isr: &[2] };
    assert_eq!(code(cluster.leader_and_isr(1, &older).await), (ErrorCode::None, ErrorCode::StaleControllerEpoch));
    cluster.controller_epoch = 99;
    let newer = Decision { leader: 2, epoch: 9, isr: &[2] };
    let stale = ErrorCode::StaleControllerEpoch;
    assert_eq!(code(cluster.leader_and_isr(1, &newer).await), (stale, stale));
    let request = UpdateMetadataRequest::default().with_controller_epoch(99);
    let channel = &mut cluster.at(1).2;
    assert_eq!(channel.send(&request, 8).await.unwrap().error_code, stale.code());
    // Meant for this broker before it was started again (KIP-380).
    let request = UpdateMetadataRequest::default().with_controller_epoch(100).with_broker_epoch(0);
    assert_eq!(channel.send(&request, 8).await.unwrap().error_code, ErrorCode::StaleBrokerEpoch.code());

    let stop = |epoch, delete| {
        let state = StopReplicaPartitionState::default().with_leader_epoch(epoch).with_delete_partition(delete);
        let topic = StopReplicaTopicState::default().with_topic_name(name()).with_partition_states(vec![state]);
        StopReplicaRequest::default().with_controller_epoch(100).with_topic_states(vec![topic])
    };
    let stopped = |code: i16| ErrorCode::from_code(code);
    let answer = channel.send(&stop(4, true), 4).await.unwrap();
    assert_eq!(stopped(answer.partition_errors[0].error_code), ErrorCode::FencedLeaderEpoch);
    for (epoch, delete) in [(-1, false), (5, false), (-2, true), (-2, true)] {
        let answer = channel.send(&stop(epoch, delete), 4).await.unwrap();
        assert_eq!(stopped(answer.partition_errors[0].error_code), ErrorCode::None, "{epoch}");
    }
    assert!(cluster.at(1).1.services().replicas.local_log(TOPIC, 0).is_none());
    cluster.stop().await;
}

/// Protocol 2.6: nobody understands AlterPartition, so the leader writes its ISR into the tree.
#[tokio::test]
async fn before_protocol_2_7_a_leader_writes_its_isr_itself() {
    let mut cluster = Cluster::start(&[("inter.broker.protocol.version", "2.6")]).await;
    let store = Arc::clone(cluster.at(1).1.services().cluster.store());
    let mut path = format!("/brokers/topics/{TOPIC}");
    let state = PartitionState::new(1, 0, vec![1, 2], 100).encode();
    for (step, data) in [("", ""), ("/partitions", ""), ("/0", ""), ("/state", "new")] {
        path += step;
        let data = if data.is_empty() { Bytes::new() } else { state.clone() };
        store.create(&path, data, CreateMode::Persistent).await.unwrap();
    }
    assert_eq!(store.set(&path, state, None).await.unwrap().version, 1);
    cluster.decide(&[1, 2], Decision { leader: 1, epoch: 0, isr: &[1, 2] }).await;
    assert_eq!(cluster.produce(1, -1, &["a"]).await.error, ErrorCode::None);
    let (_, follower, _) = cluster.brokers.pop().unwrap();
    follower.stop().await;
    assert_eq!(cluster.produce(1, -1, &["b"]).await.error, ErrorCode::None, "without the follower that lags");
    let (data, stat) = store.get(&path, false).await.unwrap();
    let state = PartitionState::decode(&data).unwrap();
    assert_eq!((state.leader, state.leader_epoch, &state.isr[..], stat.version), (1, 0, &[1][..], 2));
    let text = cluster.at(1).1.metrics_text();
    assert!(text.contains("kafka_server_replicamanager_isrshrinks_total 1\n"), "{text}");
    cluster.stop().await;
}
