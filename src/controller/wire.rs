//! What brokers are told, in the versions that `inter.broker.protocol.version` dictates: LeaderAndIsr (key 4), StopReplica
//! (5), UpdateMetadata (6).

use std::sync::Arc;

use indexmap::IndexMap;
use kafka_protocol::{
    messages::{
        BrokerId as WireBrokerId, LeaderAndIsrRequest, LeaderAndIsrResponse, StopReplicaRequest, StopReplicaResponse,
        TopicName, UpdateMetadataRequest,
        leader_and_isr_request::{LeaderAndIsrLiveLeader, LeaderAndIsrPartitionState, LeaderAndIsrTopicState},
        stop_replica_request::{
            StopReplicaPartitionState, StopReplicaPartitionV0, StopReplicaTopicState, StopReplicaTopicV1,
        },
        update_metadata_request::{
            UpdateMetadataBroker, UpdateMetadataEndpoint, UpdateMetadataPartitionState, UpdateMetadataTopicState,
        },
    },
    protocol::StrBytes,
};
use uuid::Uuid;

use super::{
    channels::Decider,
    output::{LeaderAndIsrPartition, StopReplicaPartition},
};
use crate::{
    client::Peer,
    common::{BrokerId, ErrorCode, TopicPartition},
    config::metadata_version::MetadataVersion,
    metadata::{BrokerImage, Endpoint, MetadataUpdate, PartitionImage},
};

/// Versions of the controller's requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    pub leader_and_isr: i16,
    pub update_metadata: i16,
    pub stop_replica: i16,
    /// Brokers know of recovering leaders.
    pub leader_recovery: bool,
    /// Brokers know of topic ids (KIP-516).
    pub topic_ids: bool,
    /// Content of a new `/feature` (class `FeatureZNode`): no feature is ever finalized under ZooKeeper.
    pub feature_node: &'static str,
}

impl Versions {
    /// Kafka 3.9's choice.
    #[must_use]
    pub fn of(protocol: MetadataVersion) -> Self {
        let first = |table: &[(&str, i16)]| {
            let found = table.iter().find(|(since, _)| protocol.is_at_least(since));
            found.map_or(0, |(_, version)| *version)
        };
        Self {
            leader_and_isr: first(&[
                ("3.4-IV0", 7),
                ("3.2-IV0", 6),
                ("2.8-IV1", 5),
                ("2.4-IV1", 4),
                ("2.4-IV0", 3),
                ("2.2-IV0", 2),
                ("1.0-IV0", 1),
            ]),
            update_metadata: first(&[
                ("3.4-IV0", 8),
                ("2.8-IV1", 7),
                ("2.4-IV1", 6),
                ("2.2-IV0", 5),
                ("1.0-IV0", 4),
                ("0.10.2-IV0", 3),
                ("0.10.0-IV1", 2),
                ("0.9.0", 1),
            ]),
            stop_replica: first(&[("3.4-IV0", 4), ("2.6-IV0", 3), ("2.4-IV1", 2), ("2.2-IV0", 1)]),
            leader_recovery: protocol.is_at_least("3.2-IV0"),
            topic_ids: protocol.is_at_least("2.8-IV0"),
            feature_node: match () {
                () if protocol.is_at_least("3.3-IV0") => r#"{"version":2,"status":1,"features":{}}"#,
                () if protocol.is_at_least("2.7-IV0") => r#"{"version":1,"status":1,"features":{}}"#,
                () => r#"{"version":1,"status":0,"features":{}}"#,
            },
        }
    }
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn name(topic: &str) -> TopicName {
    TopicName(text(topic))
}

fn ids(ids: &[BrokerId]) -> Vec<WireBrokerId> {
    ids.iter().copied().map(WireBrokerId).collect()
}

pub(super) fn leader_and_isr(
    version: i16,
    decider: Decider,
    broker_epoch: i64,
    partitions: &[LeaderAndIsrPartition],
    leaders: &[Peer],
) -> LeaderAndIsrRequest {
    let live_leaders = leaders.iter().map(|peer| {
        LeaderAndIsrLiveLeader::default()
            .with_broker_id(WireBrokerId(peer.id))
            .with_host_name(text(&peer.host))
            .with_port(i32::from(peer.port))
    });
    let mut request = LeaderAndIsrRequest::default()
        .with_controller_id(WireBrokerId(decider.id))
        .with_controller_epoch(decider.epoch)
        .with_live_leaders(live_leaders.collect());
    if version >= 2 {
        request.broker_epoch = broker_epoch;
        let mut topics: IndexMap<&Arc<str>, LeaderAndIsrTopicState> = IndexMap::new();
        for it in partitions {
            let topic = &it.topic_partition.topic;
            let state = topics.entry(topic).or_insert_with(|| {
                let id = if version >= 5 { it.topic_id } else { Uuid::nil() };
                LeaderAndIsrTopicState::default().with_topic_name(name(topic)).with_topic_id(id)
            });
            state.partition_states.push(partition_state(version, it));
        }
        request.topic_states = topics.into_values().collect();
    } else {
        let states =
            partitions.iter().map(|it| partition_state(version, it).with_topic_name(name(&it.topic_partition.topic)));
        request.ungrouped_partition_states = states.collect();
    }
    request
}

fn partition_state(version: i16, it: &LeaderAndIsrPartition) -> LeaderAndIsrPartitionState {
    let mut state = LeaderAndIsrPartitionState::default()
        .with_partition_index(it.topic_partition.partition)
        .with_controller_epoch(it.controller_epoch)
        .with_leader(WireBrokerId(it.leader))
        .with_leader_epoch(it.leader_epoch)
        .with_isr(ids(&it.isr))
        .with_partition_epoch(it.partition_epoch)
        .with_replicas(ids(&it.replicas));
    if version >= 1 {
        state.is_new = it.is_new;
    }
    if version >= 3 {
        state.adding_replicas = ids(&it.adding_replicas);
        state.removing_replicas = ids(&it.removing_replicas);
    }
    if version >= 6 {
        state.leader_recovery_state = it.leader_recovery_state;
    }
    state
}

/// The code of each partition asked about, as far as answered.
pub(super) fn led(asked: &[LeaderAndIsrPartition], answer: &LeaderAndIsrResponse) -> Vec<(TopicPartition, ErrorCode)> {
    let mut by_id: IndexMap<(Uuid, i32), i16, ahash::RandomState> = IndexMap::default();
    for topic in &answer.topics {
        by_id.extend(topic.partition_errors.iter().map(|it| ((topic.topic_id, it.partition_index), it.error_code)));
    }
    let mut by_name: IndexMap<(&str, i32), i16, ahash::RandomState> = IndexMap::default();
    by_name.extend(
        answer.partition_errors.iter().map(|it| ((it.topic_name.0.as_str(), it.partition_index), it.error_code)),
    );
    let code = |it: &LeaderAndIsrPartition| {
        let TopicPartition { topic, partition } = &it.topic_partition;
        by_id.get(&(it.topic_id, *partition)).or_else(|| by_name.get(&(&**topic, *partition))).copied()
    };
    let answered = asked.iter().filter_map(|it| Some((it.topic_partition.clone(), ErrorCode::from_code(code(it)?))));
    answered.collect()
}

pub(super) fn update_metadata(
    version: i16,
    decider: Decider,
    broker_epoch: i64,
    update: &MetadataUpdate,
) -> UpdateMetadataRequest {
    let mut request = UpdateMetadataRequest::default()
        .with_controller_id(WireBrokerId(decider.id))
        .with_controller_epoch(decider.epoch)
        .with_live_brokers(update.brokers.iter().map(|broker| live_broker(version, broker)).collect());
    let state = |it: &PartitionImage| shown_state(version, decider.epoch, it);
    if version < 5 {
        let states = update.partitions.iter().map(|(topic, it)| state(it).with_topic_name(name(topic)));
        request.ungrouped_partition_states = states.collect();
        return request;
    }
    request.broker_epoch = broker_epoch;
    let topic_ids: IndexMap<&Arc<str>, Uuid> = update.topic_ids.iter().map(|(topic, id)| (topic, *id)).collect();
    let mut topics: IndexMap<&Arc<str>, UpdateMetadataTopicState> = IndexMap::new();
    for (topic, it) in &update.partitions {
        let states = topics.entry(topic).or_insert_with(|| {
            let id = topic_ids.get(topic).copied().filter(|_| version >= 7).unwrap_or_default();
            UpdateMetadataTopicState::default().with_topic_name(name(topic)).with_topic_id(id)
        });
        states.partition_states.push(state(it));
    }
    request.topic_states = topics.into_values().collect();
    request
}

fn shown_state(version: i16, controller_epoch: i32, it: &PartitionImage) -> UpdateMetadataPartitionState {
    let mut state = UpdateMetadataPartitionState::default()
        .with_partition_index(it.partition)
        .with_controller_epoch(controller_epoch)
        .with_leader(WireBrokerId(it.leader))
        .with_leader_epoch(it.leader_epoch)
        .with_isr(ids(&it.isr))
        .with_zk_version(it.partition_epoch)
        .with_replicas(ids(&it.replicas));
    if version >= 4 {
        state.offline_replicas = ids(&it.offline_replicas);
    }
    state
}

fn live_broker(version: i16, broker: &BrokerImage) -> UpdateMetadataBroker {
    let mut live = UpdateMetadataBroker::default().with_id(WireBrokerId(broker.id));
    let endpoint = |it: &Endpoint| {
        let endpoint = UpdateMetadataEndpoint::default()
            .with_host(text(&it.host))
            .with_port(i32::from(it.port))
            .with_security_protocol(security_protocol(&it.security_protocol));
        if version >= 3 { endpoint.with_listener(text(&it.listener)) } else { endpoint }
    };
    if version >= 1 {
        live.endpoints = broker.endpoints.iter().map(endpoint).collect();
    } else if let Some(plaintext) = broker.endpoints.iter().find(|it| it.security_protocol == "PLAINTEXT") {
        live.v0_host = text(&plaintext.host);
        live.v0_port = i32::from(plaintext.port);
    }
    if version >= 2 {
        live.rack = broker.rack.as_deref().map(text);
    }
    live
}

/// `SecurityProtocol.id`
fn security_protocol(name: &str) -> i16 {
    match name {
        "SSL" => 1,
        "SASL_PLAINTEXT" => 2,
        "SASL_SSL" => 3,
        _ => 0,
    }
}

/// From here each partition says for itself whether its log goes.
const STOP_PER_PARTITION_SINCE: i16 = 3;

/// Parts that one request can carry.
pub(super) fn alike(version: i16, partitions: &[StopReplicaPartition]) -> Vec<Vec<StopReplicaPartition>> {
    if version >= STOP_PER_PARTITION_SINCE {
        return vec![partitions.to_vec()];
    }
    let (delete, keep): (Vec<_>, Vec<_>) = partitions.iter().cloned().partition(|it| it.delete);
    [delete, keep].into_iter().filter(|part| !part.is_empty()).collect()
}

pub(super) fn stop_replica(
    version: i16,
    decider: Decider,
    broker_epoch: i64,
    partitions: &[StopReplicaPartition],
) -> StopReplicaRequest {
    let mut request =
        StopReplicaRequest::default().with_controller_id(WireBrokerId(decider.id)).with_controller_epoch(decider.epoch);
    if version >= 1 {
        request.broker_epoch = broker_epoch;
    }
    let mut topics: IndexMap<&Arc<str>, Vec<&StopReplicaPartition>> = IndexMap::new();
    for it in partitions {
        topics.entry(&it.topic_partition.topic).or_default().push(it);
    }
    if version >= STOP_PER_PARTITION_SINCE {
        let state = |it: &StopReplicaPartition| {
            StopReplicaPartitionState::default()
                .with_partition_index(it.topic_partition.partition)
                .with_leader_epoch(it.leader_epoch)
                .with_delete_partition(it.delete)
        };
        let topics = topics.into_iter().map(|(topic, some)| {
            let states = some.into_iter().map(state).collect();
            StopReplicaTopicState::default().with_topic_name(name(topic)).with_partition_states(states)
        });
        request.topic_states = topics.collect();
        return request;
    }
    request.delete_partitions = partitions.first().is_some_and(|it| it.delete);
    if version >= 1 {
        let topics = topics.into_iter().map(|(topic, some)| {
            let indexes = some.into_iter().map(|it| it.topic_partition.partition).collect();
            StopReplicaTopicV1::default().with_name(name(topic)).with_partition_indexes(indexes)
        });
        request.topics = topics.collect();
    } else {
        let all = partitions.iter().map(|it| {
            let TopicPartition { topic, partition } = &it.topic_partition;
            StopReplicaPartitionV0::default().with_topic_name(name(topic)).with_partition_index(*partition)
        });
        request.ungrouped_partitions = all.collect();
    }
    request
}

/// The code of each deletion asked for; an answer refused as a whole refuses each.
pub(super) fn stopped(
    asked: &[StopReplicaPartition],
    answer: &StopReplicaResponse,
) -> Vec<(TopicPartition, ErrorCode)> {
    let code = |tp: &TopicPartition| {
        let mut answers = answer.partition_errors.iter();
        let found = answers.find(|it| it.partition_index == tp.partition && it.topic_name.0.as_str() == &*tp.topic);
        match ErrorCode::from_code(answer.error_code) {
            ErrorCode::None => found.map_or(ErrorCode::UnknownServerError, |it| ErrorCode::from_code(it.error_code)),
            refused => refused,
        }
    };
    let deletions = asked.iter().filter(|it| it.delete).map(|it| &it.topic_partition);
    deletions.map(|tp| (tp.clone(), code(tp))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_protocol_version_chooses() {
        let of = |text| {
            let it = Versions::of(MetadataVersion::parse(text));
            (it.leader_and_isr, it.update_metadata, it.stop_replica)
        };
        assert_eq!(of("3.9-IV0"), (7, 8, 4));
        assert_eq!(of("3.3"), (6, 7, 3));
        assert_eq!(of("2.4-IV0"), (3, 5, 1));
        assert_eq!(of("0.10.1"), (0, 2, 0));
    }

    /// Every version must carry what is put in: the message crate refuses a field that the version has not.
    #[test]
    fn every_version_can_be_encoded() {
        use kafka_protocol::protocol::Encodable;
        let tp = |partition| TopicPartition::new("t", partition);
        let led = LeaderAndIsrPartition {
            topic_partition: tp(0),
            topic_id: Uuid::from_u128(1),
            controller_epoch: 3,
            leader: 1,
            leader_epoch: 2,
            partition_epoch: 4,
            isr: vec![1],
            replicas: vec![1, 2],
            adding_replicas: vec![2],
            removing_replicas: vec![],
            leader_recovery_state: 1,
            is_new: true,
        };
        let endpoint =
            Endpoint { listener: "IN".into(), security_protocol: "PLAINTEXT".into(), host: "h".into(), port: 9 };
        let image = PartitionImage {
            partition: 0,
            leader: 1,
            leader_epoch: 2,
            partition_epoch: 4,
            isr: vec![1],
            replicas: vec![1, 2],
            offline_replicas: vec![2],
        };
        let update = MetadataUpdate {
            controller: 1,
            brokers: vec![BrokerImage { id: 1, epoch: 7, rack: Some("r".into()), endpoints: vec![endpoint] }],
            topic_ids: vec![("t".into(), Uuid::from_u128(1))],
            partitions: vec![("t".into(), image)],
        };
        let stop = [true, false].map(|delete| StopReplicaPartition { topic_partition: tp(0), leader_epoch: 2, delete });
        let decider = Decider { id: 1, epoch: 3 };
        let peer = Peer { id: 1, host: "h".into(), port: 9 };
        let mut bytes = bytes::BytesMut::new();
        for version in 0..=7 {
            let peers = std::slice::from_ref(&peer);
            leader_and_isr(version, decider, 5, std::slice::from_ref(&led), peers).encode(&mut bytes, version).unwrap();
        }
        for version in 0..=8 {
            update_metadata(version, decider, 5, &update).encode(&mut bytes, version).unwrap();
        }
        for version in 0..=4 {
            let parts = alike(version, &stop);
            assert_eq!(parts.len(), if version < 3 { 2 } else { 1 });
            for part in parts {
                stop_replica(version, decider, 5, &part).encode(&mut bytes, version).unwrap();
            }
        }
    }
}
