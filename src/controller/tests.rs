//! The whole loop over a tree in memory: what is written, what is told, and in which order.

use std::{sync::Arc, time::Duration};

use indexmap::IndexMap;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::{
    AdoptedTopic, Controller, ControllerConfig, ControllerHandle, ControllerOutput, adopt_existing,
    channels::ChannelConfig,
    command::{AlterPartition, ElectionType, IsrProposal},
    wire::Versions,
};
use crate::{
    client::{ClientConfig, Sockets},
    common::{ErrorCode, TopicPartition, time::ManualClock, topic_id},
    config::{DynamicConfig, metadata_version::MetadataVersion},
    coordination::{
        ClusterStore, CreateMode, EmbeddedStore, ZnodeStore,
        znode::{
            broker::BrokerRegistration,
            paths,
            topic::{ReplicaAssignment, TopicAssignment},
        },
    },
    metadata::MetadataCache,
};

/// A broker that carries outputs out into an image and notes what it was told.
struct Broker {
    store: Arc<EmbeddedStore>,
    cluster: Arc<ClusterStore>,
    cache: MetadataCache,
    outputs: mpsc::Receiver<ControllerOutput>,
    handle: ControllerHandle,
}

async fn tree() -> Arc<EmbeddedStore> {
    let store = EmbeddedStore::in_memory();
    ClusterStore::new(store.clone()).create_persistent_paths().await.unwrap();
    store
}

async fn start(store: Arc<EmbeddedStore>, clean_start: bool) -> Broker {
    let cluster = Arc::new(ClusterStore::new(store.clone()));
    let me = BrokerRegistration { id: 1, endpoints: Vec::new(), rack: None, jmx_port: -1, timestamp_ms: 0, version: 5 };
    cluster.register_broker(&me).await.unwrap();
    let (sender, outputs) = mpsc::channel(4);
    let config = ControllerConfig { broker_id: 1, clean_start, keys: keys(), channels: channels() };
    let (handle, commands) = ControllerHandle::channel();
    let mut controller = Controller::new(cluster.clone(), config, Arc::new(ManualClock::at(5)), sender, commands);
    tokio::spawn(async move { controller.run().await });
    Broker { store, cluster, cache: MetadataCache::default(), outputs, handle }
}

fn keys() -> Arc<DynamicConfig> {
    let pairs = [("zookeeper.connect", "in.memory"), ("broker.id", "1")].map(|(key, value)| (key.into(), value.into()));
    Arc::new(DynamicConfig::new(pairs.into_iter().collect()).unwrap())
}

fn channels() -> ChannelConfig {
    let client = ClientConfig {
        client_id: "1".into(),
        request_timeout: Duration::from_secs(1),
        connect_timeout: Duration::from_secs(1),
        connector: Arc::new(Sockets::default()),
        response_bytes_max: 1 << 20,
    };
    let versions = Versions::of(MetadataVersion::parse("3.9-IV0"));
    ChannelConfig { client: Arc::new(client), listener: "PLAINTEXT".into(), versions }
}

impl Broker {
    /// Carries out the next output and says what it was.
    async fn next(&mut self) -> String {
        let wait = Duration::from_secs(5);
        match tokio::time::timeout(wait, self.outputs.recv()).await.unwrap().unwrap() {
            ControllerOutput::LeaderAndIsr { partitions, .. } => {
                let show = |p: &super::LeaderAndIsrPartition| {
                    format!(" {} {}@{}{}", p.topic_partition, p.leader, p.leader_epoch, if p.is_new { "!" } else { "" })
                };
                partitions.iter().fold("lead".to_owned(), |text, partition| text + &show(partition))
            }
            ControllerOutput::UpdateMetadata { delta, .. } => {
                self.cache.apply(&delta);
                let mut text = "image".to_owned();
                delta.brokers.iter().for_each(|brokers| text += &format!(" brokers={}", brokers.len()));
                delta.topics.iter().for_each(|t| text += &format!(" {}:{}", t.name, t.partitions.len()));
                delta.deleted_topics.iter().for_each(|topic| text += &format!(" -{topic}"));
                text
            }
            ControllerOutput::StopReplica { partitions, reply, .. } => {
                let _ = reply.send(vec![ErrorCode::None; partitions.len()]);
                let names: Vec<_> = partitions.iter().map(|it| &it.topic_partition).collect();
                format!("stop {names:?}")
            }
        }
    }

    async fn expect(&mut self, expected: &[&str]) {
        for expected in expected {
            assert_eq!(self.next().await, *expected);
        }
    }
}

fn assignment(partitions: i32) -> TopicAssignment {
    let partitions = (0..partitions).map(|partition| (partition, ReplicaAssignment::of(vec![1]))).collect();
    TopicAssignment { topic_id: Some(topic_id::random()), partitions }
}

#[tokio::test]
async fn a_topic_is_created_grows_and_is_deleted() {
    let mut broker = start(tree().await, true).await;
    broker.expect(&["image brokers=1"]).await;
    let mut topic = assignment(1);
    broker.cluster.create_topic("t", &IndexMap::new(), &topic).await.unwrap();
    // The log comes before the image.
    broker.expect(&["lead t-0 1@0!", "image t:1"]).await;
    assert_eq!(broker.cache.image().controller, Some(1));
    assert_eq!(broker.cache.image().topic("t").unwrap().id, topic.topic_id.unwrap());

    topic.partitions.insert(1, ReplicaAssignment::of(vec![1]));
    topic.partitions.insert(2, ReplicaAssignment::of(vec![1]));
    broker.cluster.set_topic_assignment("t", &topic, None).await.unwrap();
    broker.expect(&["lead t-1 1@0! t-2 1@0!", "image t:3"]).await;

    broker.cluster.mark_topic_for_deletion("t").await.unwrap();
    broker.expect(&["image -t", "stop [t-0, t-1, t-2]", "image"]).await;
    assert!(broker.cache.image().topic("t").is_none());
    assert!(!broker.cluster.topic_exists("t").await.unwrap());
    assert!(!broker.cluster.is_marked_for_deletion("t").await.unwrap());

    // The name is free, and the news of the old one's end does no harm to the new one.
    broker.cluster.create_topic("t", &IndexMap::new(), &assignment(1)).await.unwrap();
    broker.expect(&["lead t-0 1@0!", "image t:1"]).await;
}

#[tokio::test]
async fn a_start_loads_all_in_one_batch() {
    let store = tree().await;
    let mut broker = start(store.new_session(), true).await;
    broker.expect(&["image brokers=1"]).await;
    broker.cluster.create_topic("a", &IndexMap::new(), &assignment(2)).await.unwrap();
    broker.expect(&["lead a-0 1@0! a-1 1@0!", "image a:2"]).await;
    broker.store.expire().await.unwrap();
    drop(broker);

    let cluster = ClusterStore::new(store.clone());
    cluster.create_topic("b", &IndexMap::new(), &assignment(1)).await.unwrap();
    cluster.create_topic("dying", &IndexMap::new(), &assignment(1)).await.unwrap();
    cluster.mark_topic_for_deletion("dying").await.unwrap();
    cluster.mark_topic_for_deletion("never was").await.unwrap();
    let expected = |epoch: i32| {
        [
            "image brokers=1".to_owned(),
            // One LeaderAndIsr and one UpdateMetadata, whatever there is.
            format!("lead a-0 1@{epoch} a-1 1@{epoch} b-0 1@0!"),
            "image a:2 b:1".to_owned(),
        ]
    };
    // After a crash every partition led gets a new epoch.
    let mut broker = start(store.new_session(), false).await;
    for expected in expected(1) {
        assert_eq!(broker.next().await, expected);
    }
    // It never had a leader: nobody has a log of it.
    broker.expect(&["image -dying", "image"]).await;
    assert!(cluster.topics_marked_for_deletion(false).await.unwrap().is_empty());
    broker.store.expire().await.unwrap();
    drop(broker);
    // After a clean stop none does.
    let mut broker = start(store, true).await;
    broker.expect(&["image brokers=1", "lead a-0 1@1 a-1 1@1 b-0 1@0", "image a:2 b:1"]).await;
}

#[tokio::test]
async fn a_broker_that_dies_is_replaced() {
    let store = tree().await;
    let other = store.new_session();
    let two =
        BrokerRegistration { id: 2, endpoints: Vec::new(), rack: None, jmx_port: -1, timestamp_ms: 0, version: 5 };
    ClusterStore::new(other.clone()).register_broker(&two).await.unwrap();
    let mut broker = start(store, true).await;
    broker.expect(&["image brokers=2"]).await;
    let partitions = [(0, ReplicaAssignment::of(vec![2, 1]))].into();
    let topic = TopicAssignment { topic_id: None, partitions };
    broker.cluster.create_topic("t", &IndexMap::new(), &topic).await.unwrap();
    broker.expect(&["lead t-0 2@0!", "image t:1"]).await;
    assert!(!broker.cache.image().topic("t").unwrap().id.is_nil(), "it was given an id");
    other.expire().await.unwrap();
    broker.expect(&["lead t-0 1@1", "image brokers=1 t:1"]).await;
    assert_eq!(broker.cache.image().partition("t", 0).unwrap().offline_replicas, [2]);
    assert_eq!(broker.store.get("/feature", false).await.unwrap().0, r#"{"version":2,"status":1,"features":{}}"#);
}

#[tokio::test]
async fn a_controller_that_was_replaced_steps_back_and_returns() {
    let store = tree().await;
    let mut broker = start(store.new_session(), true).await;
    broker.expect(&["image brokers=1"]).await;
    store.delete("/controller", None).await.unwrap();
    store
        .create("/controller", r#"{"version":1,"brokerid":9,"timestamp":"1"}"#.into(), CreateMode::Persistent)
        .await
        .unwrap();
    broker.cluster.create_topic("t", &IndexMap::new(), &assignment(1)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    store.delete("/controller", None).await.unwrap();
    broker.expect(&["image brokers=1", "lead t-0 1@0!", "image t:1"]).await;
    assert_eq!(store.get("/controller_epoch", false).await.unwrap().0, "2");
}

/// As long as its session lives nobody else could take the seat: a controller that cannot go on has to leave it.
#[tokio::test]
async fn a_controller_that_cannot_go_on_leaves_its_seat() {
    let mut broker = start(tree().await, true).await;
    broker.expect(&["image brokers=1"]).await;
    let before = broker.store.get(paths::CONTROLLER_EPOCH, false).await.unwrap().0;
    broker.store.set(paths::CONTROLLER, "not what a controller writes".into(), None).await.unwrap();
    broker.expect(&["image brokers=1"]).await;
    assert_eq!(broker.cluster.controller(false).await.unwrap(), Some(1));
    assert_ne!(broker.store.get(paths::CONTROLLER_EPOCH, false).await.unwrap().0, before, "another reign");
}

#[tokio::test]
async fn folders_of_another_life_are_adopted() {
    let store = tree().await;
    let cluster = ClusterStore::new(store.clone());
    let id = Uuid::from_u64_pair(3, 4);
    let found = |name: &str, partitions: &[i32], topic_id| AdoptedTopic {
        name: name.into(),
        topic_id,
        partitions: partitions.to_vec(),
        latest_leader_epoch: 6,
        config: IndexMap::new(),
    };
    let topics = vec![found("old", &[3, 1], Some(id)), found("older", &[0], None)];
    assert_eq!(adopt_existing(&cluster, 1, 0, topics.clone()).await.unwrap(), 2);
    assert_eq!(adopt_existing(&cluster, 1, 0, topics).await.unwrap(), 0, "once");
    let mut broker = start(store, true).await;
    broker
        .expect(&[
            "image brokers=1",
            "lead old-1 1@6 old-3 1@6 older-0 1@6 old-0 1@0! old-2 1@0!",
            "image old:4 older:1",
        ])
        .await;
    assert_eq!(broker.cache.image().topic_by_id(id).unwrap().name.as_ref(), "old");
    let states = cluster.partition_states(&[TopicPartition::new("old", 3)]).await.unwrap();
    assert_eq!(states[0].as_ref().unwrap().state.leader_epoch, 6);
}

/// Another broker is registered but cannot be reached: the one here must not notice.
#[tokio::test]
async fn what_is_asked_is_done_between_the_news() {
    let store = tree().await;
    let other = store.new_session();
    let two =
        BrokerRegistration { id: 2, endpoints: Vec::new(), rack: None, jmx_port: -1, timestamp_ms: 0, version: 5 };
    let two_epoch = ClusterStore::new(other.clone()).register_broker(&two).await.unwrap();
    let mut broker = start(store, true).await;
    broker.expect(&["image brokers=2"]).await;
    let one_epoch = broker.cache.image().brokers[&1].epoch;
    let partitions = [(0, ReplicaAssignment::of(vec![1, 2])), (1, ReplicaAssignment::of(vec![2, 1]))].into();
    let topic = TopicAssignment { topic_id: None, partitions };
    broker.cluster.create_topic("t", &IndexMap::new(), &topic).await.unwrap();
    broker.expect(&["lead t-0 1@0! t-1 2@0!", "image t:2"]).await;

    let tp = |partition| TopicPartition::new("t", partition);
    let proposal = IsrProposal {
        topic_partition: tp(0),
        leader_epoch: 0,
        partition_epoch: 0,
        isr: vec![(1, one_epoch)],
        leader_recovery_state: 0,
    };
    let mut request = AlterPartition {
        broker: 1,
        broker_epoch: one_epoch,
        partitions: vec![proposal],
        knows_ineligible_replica: true,
    };
    let answers = broker.handle.alter_partition(request.clone()).await.unwrap();
    assert!(matches!(&answers[0], Ok(state) if state.isr == [1] && state.partition_epoch == 1));
    broker.expect(&["image t:2"]).await;
    assert_eq!(broker.cache.image().partition("t", 0).unwrap().isr, [1]);
    request.broker_epoch -= 1;
    assert_eq!(broker.handle.alter_partition(request).await, Err(ErrorCode::StaleBrokerEpoch));

    // Broker 2 leaves: t-1 is led here.
    assert_eq!(broker.handle.controlled_shutdown(2, two_epoch).await, Ok(vec![]));
    broker.expect(&["lead t-1 1@1", "image t:2"]).await;
    let (_, elections) = broker.handle.elect_leaders(ElectionType::Preferred, Some(vec![tp(1), tp(7)])).await.unwrap();
    let codes: Vec<_> = elections.into_iter().map(|election| election.unwrap_err().code).collect();
    assert_eq!(codes, [ErrorCode::PreferredLeaderNotAvailable, ErrorCode::UnknownTopicOrPartition]);

    // A move to where it is already is done at once; broker 2's replica is dropped.
    let moved = broker.handle.alter_reassignments(vec![(tp(0), Some(vec![1])), (tp(1), None)]).await.unwrap();
    assert!(moved[0].is_ok());
    assert_eq!(moved[1].as_ref().unwrap_err().code, ErrorCode::NoReassignmentInProgress);
    broker.expect(&["lead t-0 1@1", "image t:2"]).await;
    assert_eq!(broker.handle.list_reassignments(None).await, Ok(vec![]));
    let written = broker.cluster.topic_assignments(&["t"], false).await.unwrap();
    assert_eq!(written[0].assignment.partitions[&0], ReplicaAssignment::of(vec![1]));

    // The deletion waits for broker 2, which has a replica of t-1 and does not answer.
    broker.cluster.mark_topic_for_deletion("t").await.unwrap();
    broker.expect(&["image -t", "stop [t-0, t-1]"]).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(broker.cluster.topic_exists("t").await.unwrap());
    broker.store.expire().await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!broker.handle.is_active(), "the reign is over");
    assert_eq!(broker.handle.list_reassignments(None).await, Err(ErrorCode::NotController));
}
