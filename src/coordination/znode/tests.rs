//! Payloads equal those of Apache Kafka 3.9.1's own encoders, and whatever it can read can be read.

use indexmap::IndexMap;
use proptest::prelude::*;
use uuid::Uuid;

use super::{
    broker::BrokerRegistration,
    cluster, config, controller, notification,
    partition_state::PartitionState,
    producer_ids::ProducerIdBlock,
    topic::{ReplicaAssignment, TopicAssignment},
};
use crate::metadata::Endpoint;

fn endpoint(listener: &str, security_protocol: &str, host: &str, port: u16) -> Endpoint {
    Endpoint { listener: listener.into(), security_protocol: security_protocol.into(), host: host.into(), port }
}

#[test]
fn payloads_are_kafkas() {
    let mut broker = BrokerRegistration {
        id: 1,
        endpoints: vec![endpoint("PLAINTEXT", "PLAINTEXT", "h1", 9092), endpoint("EXT", "SASL_SSL", "h2", 9093)],
        rack: Some("r1".into()),
        jmx_port: -1,
        timestamp_ms: 1_795_470_049_731,
        version: 5,
    };
    let golden = r#"{"features":{},"listener_security_protocol_map":{"PLAINTEXT":"PLAINTEXT","EXT":"SASL_SSL"},"endpoints":["PLAINTEXT://h1:9092","EXT://h2:9093"],"rack":"r1","jmx_port":-1,"port":9092,"host":"h1","version":5,"timestamp":"1795470049731"}"#;
    assert_eq!(broker.encode(), golden);
    assert_eq!(BrokerRegistration::decode(1, golden.as_bytes()).unwrap(), broker);
    broker.rack = None;
    broker.endpoints.remove(0);
    let golden = r#"{"features":{},"listener_security_protocol_map":{"EXT":"SASL_SSL"},"endpoints":["EXT://h2:9093"],"jmx_port":-1,"port":-1,"host":null,"version":5,"timestamp":"1795470049731"}"#;
    assert_eq!(broker.encode(), golden);
    assert_eq!(BrokerRegistration::decode(1, golden.as_bytes()).unwrap(), broker);
    // Before protocol 2.7 nobody knows of features.
    broker.version = 4;
    assert_eq!(broker.encode(), golden.replace(r#""features":{},"#, "").replace(r#""version":5"#, r#""version":4"#));

    let golden = r#"{"version":2,"brokerid":1,"timestamp":"1700000000000","kraftControllerEpoch":-1}"#;
    assert_eq!(controller::encode(1, 1_700_000_000_000), golden);
    assert_eq!(controller::decode(golden.as_bytes()).unwrap().broker, 1);
    assert_eq!(controller::decode_epoch(&controller::encode_epoch(7)), Ok(7));

    let mut state = PartitionState::new(1, 0, vec![1, 2], 7);
    let golden = r#"{"controller_epoch":7,"leader":1,"version":1,"leader_epoch":0,"isr":[1,2]}"#;
    assert_eq!(state.encode(), golden);
    assert_eq!(PartitionState::decode(golden.as_bytes()).unwrap(), state);
    state.leader_recovery_state = 1;
    let golden =
        r#"{"controller_epoch":7,"leader":1,"version":1,"leader_recovery_state":1,"leader_epoch":0,"isr":[1,2]}"#;
    assert_eq!(state.encode(), golden);

    assert_eq!(cluster::encode("abc"), r#"{"version":"1","id":"abc"}"#);
    assert_eq!(cluster::decode(br#"{"version":"1","id":"abc"}"#).unwrap(), "abc");
    let overrides: IndexMap<String, String> = [("retention.ms".into(), "1000".into())].into();
    assert_eq!(config::encode(&overrides), r#"{"version":1,"config":{"retention.ms":"1000"}}"#);
    assert_eq!(config::encode(&IndexMap::new()), r#"{"version":1,"config":{}}"#);
    assert_eq!(notification::encode("topics/foo"), r#"{"version":2,"entity_path":"topics/foo"}"#);
    let block = ProducerIdBlock { broker: 1, first: 1000, last: 1999 };
    let golden = r#"{"version":1,"broker":1,"block_start":"1000","block_end":"1999"}"#;
    assert_eq!(block.encode(), golden);
    assert_eq!(ProducerIdBlock::decode(golden.as_bytes()), Ok(block));
}

#[test]
fn assignments_are_kafkas() {
    let mut topic = TopicAssignment { topic_id: Some(Uuid::from_u64_pair(1, 2)), ..TopicAssignment::default() };
    topic.partitions.insert(1, ReplicaAssignment::of(vec![1]));
    topic.partitions.insert(0, ReplicaAssignment::of(vec![1]));
    let golden = r#"{"partitions":{"0":[1],"1":[1]},"topic_id":"AAAAAAAAAAEAAAAAAAAAAg","adding_replicas":{},"removing_replicas":{},"version":3}"#;
    assert_eq!(topic.encode(), golden);
    assert_eq!(TopicAssignment::decode(golden.as_bytes()).unwrap(), topic);

    let moving = ReplicaAssignment { replicas: vec![1, 2, 3], adding: vec![3], removing: vec![1] };
    let topic = TopicAssignment { topic_id: None, partitions: [(0, moving)].into() };
    let golden =
        r#"{"partitions":{"0":[1,2,3]},"adding_replicas":{"0":[3]},"removing_replicas":{"0":[1]},"version":3}"#;
    assert_eq!(topic.encode(), golden);
    assert_eq!(TopicAssignment::decode(golden.as_bytes()).unwrap(), topic);
}

/// Written by older brokers and tools, or with fields of the future.
#[test]
fn older_payloads_are_read() {
    let v1 = br#"{"version":1,"host":"localhost","port":9092,"jmx_port":9999,"timestamp":"2233345666"}"#;
    let broker = BrokerRegistration::decode(3, v1).unwrap();
    assert_eq!((broker.id, broker.jmx_port, broker.timestamp_ms), (3, 9999, 2_233_345_666));
    assert_eq!(broker.endpoints, [endpoint("PLAINTEXT", "PLAINTEXT", "localhost", 9092)]);
    let v3 = br#"{"version":3,"host":"localhost","port":9092,"jmx_port":9999,"timestamp":"2233345666","endpoints":["PLAINTEXT://host1:9092","SSL://[::1]:9093"],"rack":"dc1"}"#;
    let broker = BrokerRegistration::decode(3, v3).unwrap();
    assert_eq!(broker.endpoints[1], endpoint("SSL", "SSL", "::1", 9093));
    let v4 = br#"{"version":4,"host":"localhost","port":9092,"jmx_port":9999,"timestamp":"1","endpoints":["CLIENT://host1:9092"],"listener_security_protocol_map":{"CLIENT":"SASL_PLAINTEXT"},"rack":null,"tomorrow":{"a":[1]}}"#;
    let broker = BrokerRegistration::decode(3, v4).unwrap();
    assert_eq!(broker.endpoints, [endpoint("CLIENT", "SASL_PLAINTEXT", "host1", 9092)]);

    let topic = TopicAssignment::decode(br#"{"version":1,"partitions":{"0":[1,2]}}"#).unwrap();
    assert_eq!(topic.partitions[&0], ReplicaAssignment::of(vec![1, 2]));
    assert_eq!(controller::decode(br#"{"version":1,"brokerid":4,"timestamp":"1"}"#).unwrap().kraft_epoch, -1);
    let v1 = br#"{"version":1,"entity_type":"topics","entity_name":"foo"}"#;
    assert_eq!(notification::decode(v1).unwrap(), "topics/foo");
    assert!(config::decode(b"").unwrap().is_empty());
    assert!(config::decode(br#"{"version":1}"#).unwrap().is_empty());
    assert_eq!(config::decode(br#"{"version":1,"config":{"a":5}}"#).unwrap()["a"], "5");
}

#[test]
fn garbage_is_an_error() {
    let bad_broker = br#"{"version":5,"endpoints":["X://h:99999"],"listener_security_protocol_map":{"X":"SSL"}}"#;
    assert!(BrokerRegistration::decode(1, bad_broker).is_err());
    assert!(TopicAssignment::decode(br#"{"partitions":{"x":[1]}}"#).is_err());
    assert!(TopicAssignment::decode(br#"{"partitions":{},"topic_id":"short"}"#).is_err());
    assert!(PartitionState::decode(b"").is_err());
    assert!(ProducerIdBlock::decode(br#"{"broker":1,"block_start":"x","block_end":"1"}"#).is_err());
    assert!(controller::decode_epoch(b"one").is_err());
}

proptest! {
    #[test]
    fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64), text in "[\\[\\]{}\":,0-9a-z_]{0,80}") {
        for input in [bytes.as_slice(), text.as_bytes()] {
            let _ = BrokerRegistration::decode(1, input);
            let _ = TopicAssignment::decode(input);
            let _ = PartitionState::decode(input);
            let _ = ProducerIdBlock::decode(input);
            let _ = (cluster::decode(input), config::decode(input), notification::decode(input));
            let _ = (controller::decode(input), controller::decode_epoch(input));
        }
    }
}
