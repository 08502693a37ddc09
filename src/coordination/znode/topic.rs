//! `/brokers/topics/<t>`: replicas of each partition, and the topic's id (class `TopicZNode`). Written in version 3.
//!
//! Kafka's order of partitions is that of a hash map once there are more than ten; ours is ascending always.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{BadZnode, json, parse};
use crate::common::{BrokerId, topic_id};

const WHAT: &str = "topic assignment";

/// Where one partition's replicas are, and where they are moving (KIP-455).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReplicaAssignment {
    /// Preferred leader first.
    pub replicas: Vec<BrokerId>,
    pub adding: Vec<BrokerId>,
    pub removing: Vec<BrokerId>,
}

impl ReplicaAssignment {
    #[must_use]
    pub fn of(replicas: Vec<BrokerId>) -> Self {
        Self { replicas, adding: Vec::new(), removing: Vec::new() }
    }

    #[must_use]
    pub fn is_being_reassigned(&self) -> bool {
        !self.adding.is_empty() || !self.removing.is_empty()
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TopicAssignment {
    /// None for topics created before topic ids (KIP-516).
    pub topic_id: Option<Uuid>,
    pub partitions: BTreeMap<i32, ReplicaAssignment>,
}

type Lists<'a> = BTreeMap<i32, &'a [BrokerId]>;

#[derive(Serialize)]
struct V3<'a> {
    partitions: Lists<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic_id: Option<String>,
    adding_replicas: Lists<'a>,
    removing_replicas: Lists<'a>,
    version: i32,
}

#[derive(Deserialize)]
struct Any {
    #[serde(default)]
    partitions: BTreeMap<String, Vec<BrokerId>>,
    #[serde(default)]
    topic_id: Option<String>,
    #[serde(default)]
    adding_replicas: BTreeMap<String, Vec<BrokerId>>,
    #[serde(default)]
    removing_replicas: BTreeMap<String, Vec<BrokerId>>,
}

impl TopicAssignment {
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let lists = |list: fn(&ReplicaAssignment) -> &[BrokerId], empty_too: bool| {
            let all = self.partitions.iter().map(|(partition, assignment)| (*partition, list(assignment)));
            all.filter(|(_, list)| empty_too || !list.is_empty()).collect()
        };
        json(&V3 {
            partitions: lists(|assignment| &assignment.replicas, true),
            topic_id: self.topic_id.map(topic_id::to_base64),
            adding_replicas: lists(|assignment| &assignment.adding, false),
            removing_replicas: lists(|assignment| &assignment.removing, false),
            version: 3,
        })
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, BadZnode> {
        let mut any: Any = parse(WHAT, bytes)?;
        let topic_id = match any.topic_id {
            None => None,
            Some(text) => {
                Some(topic_id::from_base64(&text).ok_or_else(|| BadZnode::new(WHAT, format!("topic id '{text}'")))?)
            }
        };
        let mut partitions = BTreeMap::new();
        for (name, replicas) in any.partitions {
            let partition = name.parse().ok().filter(|number: &i32| *number >= 0);
            let partition = partition.ok_or_else(|| BadZnode::new(WHAT, format!("partition '{name}'")))?;
            let adding = any.adding_replicas.remove(&name).unwrap_or_default();
            let removing = any.removing_replicas.remove(&name).unwrap_or_default();
            partitions.insert(partition, ReplicaAssignment { replicas, adding, removing });
        }
        Ok(Self { topic_id, partitions })
    }
}
