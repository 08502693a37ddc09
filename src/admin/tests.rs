//! Requests and their answers over a tree in memory; a test's own controller makes the image follow.

use std::sync::Arc;

use indexmap::IndexMap;

use super::*;
use crate::{
    common::topic_id,
    coordination::{
        EmbeddedStore,
        znode::{
            broker::BrokerRegistration,
            topic::{ReplicaAssignment, TopicAssignment},
        },
    },
    metadata::{BrokerImage, MetadataDelta, PartitionImage, TopicImage},
};

struct Strict;

impl TopicConfigs for Strict {
    fn validate(&self, overrides: &IndexMap<String, String>) -> Result<(), String> {
        overrides
            .keys()
            .find(|key| *key != "retention.ms")
            .map_or(Ok(()), |key| Err(format!("Unknown topic config name: {key}")))
    }

    fn describe(&self, overrides: &IndexMap<String, String>) -> Vec<TopicConfigEntry> {
        let entry = |(name, value): (&String, &String)| TopicConfigEntry {
            name: name.clone(),
            value: Some(value.clone()),
            read_only: false,
            source: 1,
            sensitive: false,
        };
        overrides.iter().map(entry).collect()
    }
}

/// Two brokers, and whatever is written under `/brokers/topics` and `/admin/delete_topics` reaches the image.
async fn admin() -> Arc<Admin> {
    let store = EmbeddedStore::in_memory();
    let cluster = Arc::new(ClusterStore::new(store.clone()));
    cluster.create_persistent_paths().await.unwrap();
    let metadata = Arc::new(MetadataCache::default());
    let mut brokers = Vec::new();
    for id in [1, 2] {
        let broker =
            BrokerRegistration { id, endpoints: Vec::new(), rack: None, jmx_port: -1, timestamp_ms: 0, version: 5 };
        cluster.register_broker(&broker).await.unwrap();
        brokers.push(BrokerImage { id, epoch: 1, rack: None, endpoints: Vec::new() });
    }
    metadata.apply(&MetadataDelta { brokers: Some(brokers), ..MetadataDelta::default() });
    let guard = cluster.elect_controller(1, 0).await.unwrap().unwrap().guard;
    tokio::spawn(follow(cluster.clone(), metadata.clone(), guard, store));
    Arc::new(Admin::new(cluster, metadata, AdminConfig::default(), Arc::new(Strict)))
}

async fn follow(cluster: Arc<ClusterStore>, metadata: Arc<MetadataCache>, guard: i32, store: Arc<EmbeddedStore>) {
    use crate::coordination::ZnodeStore;
    let mut events = store.events();
    loop {
        let names = cluster.topics(true).await.unwrap();
        let topics = cluster.topic_assignments(&names, true).await.unwrap();
        let image = |(number, assignment): (&i32, &ReplicaAssignment)| PartitionImage {
            partition: *number,
            // Broker 9 does not exist: a partition on it alone has no leader.
            leader: assignment.replicas.iter().copied().find(|id| *id != 9).unwrap_or(-1),
            leader_epoch: 0,
            partition_epoch: 0,
            isr: assignment.replicas.clone(),
            replicas: assignment.replicas.clone(),
            offline_replicas: Vec::new(),
        };
        let topic = |topic: crate::coordination::cluster_store::VersionedTopic| {
            let TopicAssignment { topic_id, partitions } = topic.assignment;
            let partitions = partitions.iter().map(image).collect();
            Arc::new(TopicImage { name: topic.topic, id: topic_id.unwrap(), partitions })
        };
        metadata.apply(&MetadataDelta { topics: topics.into_iter().map(topic).collect(), ..MetadataDelta::default() });
        for marked in cluster.topics_marked_for_deletion(true).await.unwrap() {
            // What broker 9 has of a topic cannot be deleted while it is away, and so the topic cannot.
            let stuck = cluster.topic_assignments(&[&marked], false).await.unwrap();
            let on_nine = |replicas: &ReplicaAssignment| replicas.replicas.contains(&9);
            if !stuck.iter().any(|topic| topic.assignment.partitions.values().any(on_nine)) {
                cluster.delete_topic(guard, &marked).await.unwrap();
            }
            let deleted_topics = vec![marked.as_str().into()];
            metadata.apply(&MetadataDelta { deleted_topics, ..MetadataDelta::default() });
        }
        if events.recv().await.is_none() {
            return;
        }
    }
}

fn topic(name: &str, num_partitions: i32, replication_factor: i16) -> NewTopic {
    NewTopic { name: name.into(), num_partitions, replication_factor, ..NewTopic::default() }
}

fn assigned(name: &str, assignments: &[(i32, &[i32])]) -> NewTopic {
    let assignments = assignments.iter().map(|(partition, list)| (*partition, list.to_vec())).collect();
    NewTopic { assignments, ..topic(name, -1, -1) }
}

#[tokio::test]
async fn topics_are_created_with_defaults_and_assignments() {
    let admin = admin().await;
    let configured = NewTopic { configs: vec![("retention.ms".into(), Some("5".into()))], ..topic("b", 3, 2) };
    let asked = vec![topic("a", -1, -1), configured, assigned("c", &[(1, &[2, 1]), (0, &[1, 2])])];
    let dry = admin.create_topics(asked.clone(), 1000, true).await;
    assert!(dry.iter().all(|result| result.as_ref().unwrap().topic_id.is_nil()));
    assert!(!admin.cluster.topic_exists("a").await.unwrap());

    let results = admin.create_topics(asked, 5000, false).await;
    let shape = |at: usize| {
        let created = results[at].as_ref().unwrap();
        (created.num_partitions, created.replication_factor, created.configs.len())
    };
    assert_eq!([shape(0), shape(1), shape(2)], [(1, 1, 0), (3, 2, 1), (2, 2, 0)]);
    let image = admin.metadata.image();
    assert_eq!(image.topic("b").unwrap().id, results[1].as_ref().unwrap().topic_id);
    assert_eq!(image.partition("c", 1).unwrap().replicas, [2, 1]);
    assert_eq!(admin.cluster.entity_config("topics/b").await.unwrap()["retention.ms"], "5");
}

/// Kafka's table of refusals: code and words.
#[tokio::test]
async fn faults_are_answered_as_kafka_does() {
    let admin = admin().await;
    admin.create_topics(vec![topic("old", 1, 1), topic("with.dot", 1, 1)], 5000, false).await;
    let with_config = |key: &str, value: Option<&str>| NewTopic {
        configs: vec![(key.into(), value.map(str::to_owned))],
        ..topic("t", 1, 1)
    };
    let both = NewTopic { num_partitions: 1, ..assigned("t", &[(0, &[1])]) };
    use ErrorCode as E;
    let table: Vec<(NewTopic, ErrorCode, &str)> = vec![
        (topic("old", 1, 1), E::TopicAlreadyExists, "Topic 'old' already exists."),
        (topic("a/b", 1, 1), E::InvalidTopicException, "Topic name is invalid: 'a/b' contains one or more"),
        (topic("a/b", 0, 1), E::InvalidPartitions, "Number of partitions must be larger than 0."),
        (topic("t", -2, 1), E::InvalidPartitions, "Number of partitions must be larger than 0."),
        (topic("t", 1, 0), E::InvalidReplicationFactor, "Replication factor must be larger than 0."),
        (topic("t", 1, 3), E::InvalidReplicationFactor, "Replication factor: 3 larger than available brokers: 2."),
        (topic("with_dot", 1, 1), E::InvalidTopicException, "Topic 'with_dot' collides with existing topics: with.dot"),
        (both, E::InvalidRequest, "Both numPartitions or replicationFactor and replicasAssignments were set."),
        (
            with_config("retention.ms", None),
            E::InvalidConfig,
            "Null value not supported for topic configs: retention.ms",
        ),
        (with_config("nope", Some("1")), E::InvalidConfig, "Unknown topic config name: nope"),
        (
            assigned("t", &[(0, &[1]), (1, &[1, 2])]),
            E::InvalidReplicaAssignment,
            "All partitions should have the same number of replicas",
        ),
        (assigned("t", &[(0, &[1, 1])]), E::InvalidReplicaAssignment, "Duplicate replica assignment found"),
        (
            assigned("t", &[(0, &[1]), (2, &[1])]),
            E::InvalidReplicaAssignment,
            "partitions should be a consecutive 0-based integer sequence",
        ),
    ];
    for (asked, code, words) in table {
        let name = asked.name.clone();
        let refusal = admin.create_topics(vec![asked], 1000, false).await.remove(0).unwrap_err();
        assert_eq!(refusal.code, code, "{name}: {refusal:?}");
        assert!(refusal.message.as_deref().unwrap().starts_with(words), "{refusal:?}");
    }
    // Of two that collide in one request the first one wins.
    let results = admin.create_topics(vec![topic("x.y", 1, 1), topic("x_y", 1, 1)], 5000, false).await;
    assert!(results[0].is_ok());
    assert_eq!(results[1].as_ref().unwrap_err().code, E::InvalidTopicException);
    // It is there, but nobody leads it in time; or nobody wanted to wait.
    for (asked, timeout_ms) in [(assigned("late", &[(0, &[9])]), 30), (topic("hurry", 1, 1), 0)] {
        let refusal = admin.create_topics(vec![asked], timeout_ms, false).await.remove(0).unwrap_err();
        assert_eq!(refusal, AdminError { code: E::RequestTimedOut, message: None });
    }
    assert!(admin.cluster.topic_exists("late").await.unwrap());
}

#[tokio::test]
async fn topics_are_deleted_and_their_names_are_free() {
    let admin = admin().await;
    for _ in 0..3 {
        admin.create_topics(vec![topic("t", 2, 1)], 5000, false).await.remove(0).unwrap();
        let codes = admin.delete_topics(&["t".into(), "none".into()], 5000).await;
        assert_eq!(codes, [ErrorCode::None, ErrorCode::UnknownTopicOrPartition]);
    }
}

/// Apache Kafka answers as soon as no client is shown the topic; its end may take until the broker is back.
#[tokio::test]
async fn a_deletion_does_not_wait_for_a_broker_that_is_away() {
    let admin = admin().await;
    let stuck = TopicAssignment {
        topic_id: Some(topic_id::random()),
        partitions: [(0, ReplicaAssignment::of(vec![1, 9]))].into_iter().collect(),
    };
    admin.cluster.create_topic("stuck", &IndexMap::new(), &stuck).await.unwrap();
    while admin.metadata.image().topic("stuck").is_none() {
        tokio::task::yield_now().await;
    }
    let name = ["stuck".to_owned()];
    let deletion = admin.delete_topics(&name, 60_000);
    let codes = tokio::time::timeout(std::time::Duration::from_secs(1), deletion).await.unwrap();
    assert_eq!(codes, [ErrorCode::None]);
    assert!(admin.cluster.is_marked_for_deletion("stuck").await.unwrap());
}

#[tokio::test]
async fn partitions_only_grow() {
    let admin = admin().await;
    admin.create_topics(vec![topic("t", 2, 1)], 5000, false).await.remove(0).unwrap();
    let more = |count, assignments: Option<&[&[i32]]>| MorePartitions {
        topic: "t".into(),
        count,
        assignments: assignments.map(|lists| lists.iter().map(|list| list.to_vec()).collect()),
    };
    use ErrorCode as E;
    let table: Vec<(MorePartitions, ErrorCode, &str)> = vec![
        (
            MorePartitions { topic: "none".into(), ..more(3, None) },
            E::UnknownTopicOrPartition,
            "The topic 'none' does not exist.",
        ),
        (
            more(1, None),
            E::InvalidPartitions,
            "Topic currently has 2 partitions, which is higher than the requested 1.",
        ),
        (more(2, None), E::InvalidPartitions, "Topic already has 2 partitions."),
        (more(3, Some(&[&[7]])), E::InvalidReplicaAssignment, "Unknown broker(s) in replica assignment: 7."),
        (
            more(4, Some(&[&[1]])),
            E::InvalidReplicaAssignment,
            "Increasing the number of partitions by 2 but 1 assignments provided.",
        ),
        (more(3, Some(&[&[]])), E::InvalidReplicaAssignment, "Cannot have replication factor of 0 for partition id 2."),
        (
            more(3, Some(&[&[1, 1]])),
            E::InvalidReplicaAssignment,
            "Duplicate brokers not allowed in replica assignment: 1, 1 for partition id 2.",
        ),
        (
            more(4, Some(&[&[1], &[1, 2]])),
            E::InvalidReplicaAssignment,
            "Inconsistent replication factor between partitions, partition 0 has 1 while partitions [3] have \
             replication factors [2], respectively.",
        ),
    ];
    for (asked, code, words) in table {
        let refusal = admin.create_partitions(vec![asked], 1000, false).await.remove(0).unwrap_err();
        assert_eq!((refusal.code, refusal.message.as_deref()), (code, Some(words)));
    }
    assert_eq!(admin.create_partitions(vec![more(9, None)], 1000, true).await, [Ok(())]);
    assert_eq!(admin.create_partitions(vec![more(3, None)], 5000, false).await, [Ok(())]);
    assert_eq!(admin.create_partitions(vec![more(4, Some(&[&[2]]))], 5000, false).await, [Ok(())]);
    assert_eq!(admin.metadata.image().topic("t").unwrap().partitions.len(), 4);
    admin.cluster.mark_topic_for_deletion("t").await.unwrap();
}

#[tokio::test]
async fn asking_for_a_topic_makes_it() {
    let admin = admin().await;
    let names: Vec<String> = ["t", "bad/name", "__consumer_offsets"].map(String::from).to_vec();
    let answers = admin.auto_create_topics(&names).await;
    assert_eq!(
        answers,
        [
            ("bad/name".to_owned(), ErrorCode::InvalidTopicException),
            ("t".to_owned(), ErrorCode::LeaderNotAvailable),
            // Three replicas on two brokers: as in Kafka, nothing comes of it.
            ("__consumer_offsets".to_owned(), ErrorCode::InvalidReplicationFactor),
        ]
    );
    assert!(admin.creating.lock().is_empty());
    assert!(admin.cluster.topic_exists("t").await.unwrap());
    assert!(!admin.cluster.topic_exists("__consumer_offsets").await.unwrap());
}
