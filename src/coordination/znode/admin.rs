//! `/admin/reassign_partitions`, `/admin/preferred_replica_election`, `/isr_change_notification/isr_change_<seq>`: lists of
//! partitions, as older tools and older brokers write them (classes `ReassignPartitionsZNode`,
//! `PreferredReplicaElectionZNode`, `IsrChangeNotificationSequenceZNode`).

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{BadZnode, json, parse};
use crate::common::{BrokerId, TopicPartition};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Move {
    topic: String,
    partition: i32,
    #[serde(default)]
    replicas: Vec<BrokerId>,
}

#[derive(Serialize, Deserialize)]
struct Moves {
    #[serde(default = "version")]
    version: i32,
    partitions: Vec<Move>,
}

#[derive(Serialize, Deserialize)]
struct Named {
    topic: String,
    partition: i32,
}

#[derive(Serialize, Deserialize)]
struct Names {
    #[serde(default = "version")]
    version: i32,
    partitions: Vec<Named>,
}

fn version() -> i32 {
    1
}

/// Where partitions shall go.
pub fn decode_reassignment(bytes: &[u8]) -> Result<Vec<(TopicPartition, Vec<BrokerId>)>, BadZnode> {
    let moves: Moves = parse("reassignment of partitions", bytes)?;
    Ok(moves.partitions.into_iter().map(|it| (TopicPartition::new(it.topic, it.partition), it.replicas)).collect())
}

#[must_use]
pub fn encode_reassignment(moves: &[(TopicPartition, Vec<BrokerId>)]) -> Bytes {
    let partitions = moves.iter().map(|(tp, replicas)| Move {
        topic: tp.topic.to_string(),
        partition: tp.partition,
        replicas: replicas.clone(),
    });
    json(&Moves { version: version(), partitions: partitions.collect() })
}

/// The partitions of a preferred election or of an ISR change.
pub fn decode_partitions(bytes: &[u8]) -> Result<Vec<TopicPartition>, BadZnode> {
    let names: Names = parse("list of partitions", bytes)?;
    Ok(names.partitions.into_iter().map(|it| TopicPartition::new(it.topic, it.partition)).collect())
}

#[must_use]
pub fn encode_partitions(partitions: &[TopicPartition]) -> Bytes {
    let named = |tp: &TopicPartition| Named { topic: tp.topic.to_string(), partition: tp.partition };
    json(&Names { version: version(), partitions: partitions.iter().map(named).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kafkas_tools_write_is_read() {
        let text = r#"{"version":1,"partitions":[{"topic":"a","partition":1,"replicas":[2,3]}]}"#;
        let moves = decode_reassignment(text.as_bytes()).unwrap();
        assert_eq!(moves, [(TopicPartition::new("a", 1), vec![2, 3])]);
        assert_eq!(encode_reassignment(&moves), text);
        assert_eq!(decode_partitions(text.as_bytes()).unwrap(), [TopicPartition::new("a", 1)]);
        let partitions = [TopicPartition::new("a", 1), TopicPartition::new("b", 0)];
        let text = r#"{"version":1,"partitions":[{"topic":"a","partition":1},{"topic":"b","partition":0}]}"#;
        assert_eq!(encode_partitions(&partitions), text);
        assert_eq!(decode_partitions(text.as_bytes()).unwrap(), partitions);
        assert!(decode_partitions(b"{}").is_err());
        assert!(decode_reassignment(b"[").is_err());
    }
}
