//! AlterPartition (key 56), v0–3.
//! v1 leader recovery state (KIP-704) · v2 topic ids · v3 broker epochs of the ISR's members (KIP-903)

use std::sync::Arc;

use indexmap::IndexMap;
use kafka_protocol::{
    messages::{
        AlterPartitionRequest, AlterPartitionResponse, BrokerId as WireBrokerId, TopicName,
        alter_partition_request::PartitionData as Proposal,
        alter_partition_response::{PartitionData, TopicData},
    },
    protocol::StrBytes,
};
use uuid::Uuid;

use crate::{
    api::Context,
    common::{BrokerId, ErrorCode, TopicPartition},
    controller::command::{AlterPartition, AlteredPartition, IsrProposal},
};

/// From here topics have ids and no names; these senders know INELIGIBLE_REPLICA.
const TOPIC_IDS_SINCE: i16 = 2;
/// From here each member of the ISR comes with its broker epoch.
const BROKER_EPOCHS_SINCE: i16 = 3;
const UNKNOWN_BROKER_EPOCH: i64 = -1;

pub async fn handle(ctx: &Context<'_>, request: AlterPartitionRequest) -> AlterPartitionResponse {
    let with_ids = ctx.version >= TOPIC_IDS_SINCE;
    let mut response = AlterPartitionResponse::default();
    let mut partitions = Vec::new();
    let mut named: Vec<(Arc<str>, Uuid)> = Vec::new();
    let image = ctx.services.metadata.image();
    for topic in request.topics {
        let name = match with_ids {
            true => image.topic_by_id(topic.topic_id).map(|topic| Arc::clone(&topic.name)),
            false => Some(Arc::from(topic.topic_name.0.as_str())),
        };
        let Some(name) = name else {
            let unknown = |it: &Proposal| refused(it.partition_index, ErrorCode::UnknownTopicId);
            let partitions = topic.partitions.iter().map(unknown).collect();
            response.topics.push(TopicData::default().with_topic_id(topic.topic_id).with_partitions(partitions));
            continue;
        };
        for it in topic.partitions {
            named.push((Arc::clone(&name), topic.topic_id));
            partitions.push(proposal(ctx.version, TopicPartition::new(Arc::clone(&name), it.partition_index), it));
        }
    }
    let indexes: Vec<i32> = partitions.iter().map(|it| it.topic_partition.partition).collect();
    let request = AlterPartition {
        broker: request.broker_id.0,
        broker_epoch: request.broker_epoch,
        partitions,
        knows_ineligible_replica: with_ids,
    };
    let answers = match ctx.services.controller.alter_partition(request).await {
        Ok(answers) => answers,
        Err(code) => return AlterPartitionResponse::default().with_error_code(code.code()),
    };
    let mut topics: IndexMap<(Arc<str>, Uuid), Vec<PartitionData>> = IndexMap::new();
    for ((topic, index), answer) in named.into_iter().zip(indexes).zip(answers) {
        let data = match answer {
            Ok(state) => altered(index, state),
            Err(code) => refused(index, code),
        };
        topics.entry(topic).or_default().push(data);
    }
    let topics = topics.into_iter().map(|((name, id), partitions)| {
        let topic = TopicData::default().with_partitions(partitions);
        match with_ids {
            true => topic.with_topic_id(id),
            false => topic.with_topic_name(TopicName(StrBytes::from_string(name.to_string()))),
        }
    });
    response.topics.extend(topics);
    response
}

fn proposal(version: i16, topic_partition: TopicPartition, it: Proposal) -> IsrProposal {
    let isr: Vec<(BrokerId, i64)> = if version >= BROKER_EPOCHS_SINCE {
        it.new_isr_with_epochs.iter().map(|member| (member.broker_id.0, member.broker_epoch)).collect()
    } else {
        it.new_isr.iter().map(|id| (id.0, UNKNOWN_BROKER_EPOCH)).collect()
    };
    IsrProposal {
        topic_partition,
        leader_epoch: it.leader_epoch,
        partition_epoch: it.partition_epoch,
        isr,
        leader_recovery_state: it.leader_recovery_state,
    }
}

fn refused(index: i32, code: ErrorCode) -> PartitionData {
    PartitionData::default().with_partition_index(index).with_error_code(code.code())
}

fn altered(index: i32, state: AlteredPartition) -> PartitionData {
    PartitionData::default()
        .with_partition_index(index)
        .with_leader_id(WireBrokerId(state.leader))
        .with_leader_epoch(state.leader_epoch)
        .with_isr(state.isr.into_iter().map(WireBrokerId).collect())
        .with_leader_recovery_state(state.leader_recovery_state)
        .with_partition_epoch(state.partition_epoch)
}
