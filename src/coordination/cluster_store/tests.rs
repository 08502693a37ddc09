//! Kafka's operations over the embedded tree; they would read the same over ZooKeeper.

use std::sync::Arc;

use indexmap::IndexMap;

use super::*;
use crate::{
    common::TopicPartition,
    coordination::{
        EmbeddedStore,
        znode::{
            broker::BrokerRegistration,
            partition_state::PartitionState,
            topic::{ReplicaAssignment, TopicAssignment},
        },
    },
};

async fn cluster() -> (Arc<EmbeddedStore>, ClusterStore) {
    let store = EmbeddedStore::in_memory();
    let cluster = ClusterStore::new(store.clone());
    cluster.create_persistent_paths().await.unwrap();
    (store, cluster)
}

fn one_replica(partitions: i32) -> TopicAssignment {
    let partitions = (0..partitions).map(|partition| (partition, ReplicaAssignment::of(vec![1]))).collect();
    TopicAssignment { topic_id: Some(topic_id::random()), partitions }
}

#[tokio::test]
async fn a_new_cluster_gets_its_paths_and_one_id() {
    let (store, cluster) = cluster().await;
    for path in paths::PERSISTENT {
        assert!(store.exists(path, false).await.unwrap().is_some(), "{path}");
    }
    cluster.create_persistent_paths().await.unwrap();
    let id = cluster.cluster_id_or_create(Some("adopted".into())).await.unwrap();
    assert_eq!(id, "adopted");
    assert_eq!(cluster.cluster_id_or_create(None).await.unwrap(), "adopted");
}

/// Each finds the paths missing, and one of them is the first to create them.
#[tokio::test]
async fn brokers_that_start_together_share_the_making_of_the_paths() {
    let (store, cluster) = cluster().await;
    let other = ClusterStore::new(store.new_session());
    cluster.ensure("/admin/late").await.unwrap();
    other.ensure("/admin/late").await.unwrap();
    assert!(matches!(other.create_recursive("/admin/late", Bytes::new()).await, Err(CoordinationError::NodeExists(_))));
}

#[tokio::test]
async fn a_broker_registers_and_keeps_others_out() {
    let (store, cluster) = cluster().await;
    let broker = BrokerRegistration {
        id: 5,
        endpoints: Vec::new(),
        rack: Some("r".into()),
        jmx_port: -1,
        timestamp_ms: 1,
        version: 5,
    };
    let epoch = cluster.register_broker(&broker).await.unwrap();
    let other = ClusterStore::new(store.new_session());
    assert!(matches!(other.register_broker(&broker).await, Err(CoordinationError::NodeExists(_))));
    let brokers = other.brokers(false).await.unwrap();
    assert_eq!((brokers[0].id, brokers[0].epoch, brokers[0].rack.as_deref()), (5, epoch, Some("r")));
    // The same session may, with a new epoch.
    assert!(cluster.register_broker(&broker).await.unwrap() > epoch);
    cluster.unregister_broker(5).await.unwrap();
    assert!(other.brokers(false).await.unwrap().is_empty());
}

#[tokio::test]
async fn one_wins_the_election_and_the_old_one_is_fenced() {
    let (store, first) = cluster().await;
    let won = first.elect_controller(1, 0).await.unwrap().unwrap();
    assert_eq!(won.epoch, 1);
    let second = ClusterStore::new(store.new_session());
    assert_eq!(second.elect_controller(2, 0).await.unwrap(), None);
    assert_eq!(second.controller(false).await.unwrap(), Some(1));

    store.delete(paths::CONTROLLER, None).await.unwrap();
    let next = second.elect_controller(2, 0).await.unwrap().unwrap();
    assert_eq!(next.epoch, 2);
    let fault = first.delete_topic(won.guard, "t").await.unwrap_err();
    assert!(is_controller_moved(&fault), "{fault}");
    let new = NewPartitionState {
        topic_partition: TopicPartition::new("t", 0),
        state: PartitionState::new(1, 0, vec![1], 1),
    };
    let fault = first.create_partition_states(won.guard, &[new]).await.unwrap_err();
    assert!(is_controller_moved(&fault), "{fault}");
    assert!(first.resign_controller(won.guard).await.is_err());
    second.resign_controller(next.guard).await.unwrap();
    assert_eq!(second.controller(false).await.unwrap(), None);
}

#[tokio::test]
async fn a_topic_lives_and_dies() {
    let (store, cluster) = cluster().await;
    let guard = cluster.elect_controller(1, 0).await.unwrap().unwrap().guard;
    let overrides: IndexMap<String, String> = [("retention.ms".to_owned(), "5".to_owned())].into();
    let assignment = one_replica(1500);
    cluster.create_topic("t", &overrides, &assignment).await.unwrap();
    let again = cluster.create_topic("t", &IndexMap::new(), &assignment).await;
    assert_eq!(again, Err(CoordinationError::NodeExists("/brokers/topics/t".into())));
    assert_eq!(cluster.entity_config("topics/t").await.unwrap(), overrides, "the loser changes nothing");

    let new: Vec<NewPartitionState> = (0..1500)
        .map(|partition| NewPartitionState {
            topic_partition: TopicPartition::new("t", partition),
            state: PartitionState::new(1, 0, vec![1], 1),
        })
        .collect();
    // What an earlier controller managed to write is kept.
    let kept = PartitionState::new(1, 4, vec![1], 0);
    let early = NewPartitionState { topic_partition: TopicPartition::new("t", 0), state: kept.clone() };
    cluster.create_partition_states(guard, &[early]).await.unwrap();
    let states = cluster.create_partition_states(guard, &new).await.unwrap();
    assert_eq!((states.len(), &states[0].state, states[1].state.leader_epoch), (1500, &kept, 0));

    let update = |partition, expected_version| PartitionStateUpdate {
        topic_partition: TopicPartition::new("t", partition),
        state: PartitionState::new(-1, 1, vec![1], 1),
        expected_version,
    };
    let answers = cluster.update_partition_states(guard, &[update(0, 0), update(1, 7), update(2, 0)]).await.unwrap();
    assert_eq!((&answers[0], &answers[2]), (&Ok(1), &Ok(1)));
    assert!(matches!(answers[1], Err(CoordinationError::BadVersion(_))));
    let partitions: Vec<TopicPartition> = (0..3).chain([9999]).map(|p| TopicPartition::new("t", p)).collect();
    let read = cluster.partition_states(&partitions).await.unwrap();
    assert_eq!(read[2].as_ref().unwrap().state.leader, -1);
    assert_eq!((read[1].as_ref().unwrap().version, &read[3]), (0, &None));

    cluster.mark_topic_for_deletion("t").await.unwrap();
    assert!(matches!(cluster.mark_topic_for_deletion("t").await, Err(CoordinationError::NodeExists(_))));
    cluster.delete_topic(guard, "t").await.unwrap();
    assert!(!cluster.topic_exists("t").await.unwrap());
    assert!(!cluster.is_marked_for_deletion("t").await.unwrap());
    assert_eq!(store.exists("/config/topics/t", false).await.unwrap(), None);
    cluster.delete_topic(guard, "t").await.unwrap();
}

#[tokio::test]
async fn changes_of_configuration_are_announced_and_forgotten() {
    let (store, cluster) = cluster().await;
    let overrides: IndexMap<String, String> = [("a".to_owned(), "b".to_owned())].into();
    cluster.set_entity_config("users/alice/clients/app", &overrides).await.unwrap();
    cluster.set_entity_config("topics/t", &overrides).await.unwrap();
    cluster.set_entity_config("topics/t", &IndexMap::new()).await.unwrap();
    assert_eq!(cluster.entity_config("users/alice/clients/app").await.unwrap(), overrides);
    assert!(cluster.topic_configs(&["t", "none"]).await.unwrap().iter().all(IndexMap::is_empty));

    let mut events = store.events();
    let changes = cluster.config_changes(Some(0), true).await.unwrap();
    assert_eq!(
        changes.iter().map(|c| (c.sequence, c.entity_path.as_str())).collect::<Vec<_>>(),
        [(1, "topics/t"), (2, "topics/t")]
    );
    let born = store.exists("/config/changes/config_change_0000000000", false).await.unwrap().unwrap().ctime_ms;
    cluster.purge_config_changes(born).await.unwrap();
    assert_eq!(cluster.config_changes(None, false).await.unwrap().len(), 3);
    cluster.purge_config_changes(born + 16 * 60 * 1000).await.unwrap();
    assert!(cluster.config_changes(None, false).await.unwrap().is_empty());
    assert_eq!(events.try_recv().unwrap().path, paths::CONFIG_CHANGES);
}

#[tokio::test]
async fn a_failed_log_dir_is_announced_as_kafka_does() {
    let (store, cluster) = cluster().await;
    cluster.announce_log_dir_failure(7).await.unwrap();
    let (data, _) = store.get("/log_dir_event_notification/log_dir_event_0000000000", false).await.unwrap();
    assert_eq!(&data[..], br#"{"version":1,"broker":7,"event":1}"#);
}

#[tokio::test]
async fn producer_id_blocks_never_overlap() {
    let (store, cluster) = cluster().await;
    assert_eq!(
        store.exists(paths::PRODUCER_ID_BLOCK, false).await.unwrap(),
        None,
        "Kafka's brokers fail on an empty one"
    );
    assert_eq!(cluster.allocate_producer_id_block(1).await.unwrap(), (0, 1000));
    assert_eq!(cluster.allocate_producer_id_block(2).await.unwrap(), (1000, 1000));
    let (data, _) = store.get(paths::PRODUCER_ID_BLOCK, false).await.unwrap();
    assert_eq!(data, r#"{"version":1,"broker":2,"block_start":"1000","block_end":"1999"}"#);
    store.set(paths::PRODUCER_ID_BLOCK, Bytes::from_static(b"garbage"), None).await.unwrap();
    assert!(cluster.allocate_producer_id_block(1).await.is_err());
    // As a broker of Kafka's makes it at its start.
    store.set(paths::PRODUCER_ID_BLOCK, Bytes::new(), None).await.unwrap();
    assert_eq!(cluster.allocate_producer_id_block(3).await.unwrap(), (0, 1000));
}

/// Before protocol 2.7 a leader writes its ISR, and the controller is told of it.
#[tokio::test]
async fn a_leader_of_old_writes_its_isr_while_the_state_is_the_one_it_knows() {
    let (store, cluster) = cluster().await;
    let won = cluster.elect_controller(1, 0).await.unwrap().unwrap();
    let tp = TopicPartition::new("t", 0);
    cluster.create_topic("t", &IndexMap::new(), &one_replica(1)).await.unwrap();
    let mut state = PartitionState::new(1, 4, vec![1, 2, 3], 7);
    state.leader_recovery_state = 1;
    let new = NewPartitionState { topic_partition: tp.clone(), state };
    cluster.create_partition_states(won.guard, &[new]).await.unwrap();
    let write = |leader, at, isr: &'static [i32]| cluster.update_isr(&tp, leader, at, isr);
    assert_eq!(write(1, (4, 0), &[1, 2]).await, Ok(Some(1)));
    assert_eq!(write(1, (4, 0), &[1, 2]).await, Ok(Some(1)), "what it has written itself");
    assert_eq!(write(1, (4, 0), &[1]).await, Ok(None), "the state is another by now");
    assert_eq!(write(2, (4, 1), &[2]).await, Ok(None), "not the leader");
    assert_eq!(write(1, (3, 1), &[1]).await, Ok(None), "not the leader any more");
    let found = cluster.partition_states(std::slice::from_ref(&tp)).await.unwrap().remove(0).unwrap();
    assert_eq!((found.version, &found.state.isr[..]), (1, &[1, 2][..]));
    assert_eq!((found.state.controller_epoch, found.state.leader_recovery_state), (7, 1), "the rest is as it was");
    let missing = TopicPartition::new("t", 9);
    assert!(matches!(cluster.update_isr(&missing, 1, (0, 0), &[1]).await, Err(CoordinationError::NoNode(_))));

    cluster.announce_isr_changes(&[tp.clone(), missing.clone()]).await.unwrap();
    let (names, _) = store.children(paths::ISR_CHANGE_NOTIFICATION, false).await.unwrap();
    assert_eq!(names, ["isr_change_0000000000"]);
    assert_eq!(cluster.take_isr_changes(won.guard).await.unwrap(), [tp, missing]);
    assert!(cluster.take_isr_changes(won.guard).await.unwrap().is_empty());
}
