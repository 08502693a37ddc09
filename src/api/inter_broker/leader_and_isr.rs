//! LeaderAndIsr (key 4), v0–7.
//! v1 is new · v2 broker epoch (KIP-380), grouped by topic · v3 adding and removing replicas (KIP-455) · v4 flexible ·
//! v5 topic ids, request type (KIP-516) · v6 leader recovery state (KIP-704) · v7 KRaft controllers (KIP-866)

use std::sync::Arc;

use kafka_protocol::messages::{
    BrokerId as WireBrokerId, LeaderAndIsrRequest, LeaderAndIsrResponse, TopicName,
    leader_and_isr_request::LeaderAndIsrPartitionState,
    leader_and_isr_response::{LeaderAndIsrPartitionError, LeaderAndIsrTopicError},
};
use uuid::Uuid;

use super::{ClusterUpdate, is_broker_epoch_stale};
use crate::{
    api::Context,
    common::{BrokerId, ErrorCode, TopicPartition},
    controller::output::LeaderAndIsrPartition,
    metadata::MetadataImage,
};

/// The response names topics by their ids.
const TOPIC_IDS_SINCE: i16 = 5;

pub async fn handle(ctx: &Context<'_>, request: LeaderAndIsrRequest) -> LeaderAndIsrResponse {
    let (controller, controller_epoch) = (request.controller_id.0, request.controller_epoch);
    let is_stale = is_broker_epoch_stale(ctx, request.broker_epoch, controller, controller_epoch);
    let partitions = partitions(&ctx.services.metadata.load(), request);
    let named: Vec<(TopicPartition, Uuid)> =
        partitions.iter().map(|it| (it.topic_partition.clone(), it.topic_id)).collect();
    let codes = if is_stale {
        Err(ErrorCode::StaleBrokerEpoch)
    } else {
        let updates = &ctx.services.cluster_updates;
        updates.carry_out(|reply| ClusterUpdate::LeaderAndIsr { controller_epoch, partitions, reply }).await
    };
    match codes {
        Ok(codes) => response(ctx.version, ErrorCode::None, named.into_iter().zip(codes)),
        Err(code) => response(ctx.version, code, named.into_iter().map(|one| (one, code))),
    }
}

/// Topic names are the image's own copies where it has them: every partition would bring another otherwise.
fn partitions(image: &MetadataImage, request: LeaderAndIsrRequest) -> Vec<LeaderAndIsrPartition> {
    let shared = |name: &TopicName| {
        image.topic(&name.0).map_or_else(|| Arc::from(name.0.as_str()), |topic| Arc::clone(&topic.name))
    };
    let mut partitions = Vec::new();
    let mut last: Option<Arc<str>> = None;
    for state in request.ungrouped_partition_states {
        let topic =
            last.take().filter(|last| **last == *state.topic_name.0).unwrap_or_else(|| shared(&state.topic_name));
        last = Some(Arc::clone(&topic));
        partitions.push(partition(topic, Uuid::nil(), state));
    }
    for topic in request.topic_states {
        let name = shared(&topic.topic_name);
        let states = topic.partition_states.into_iter();
        partitions.extend(states.map(|state| partition(Arc::clone(&name), topic.topic_id, state)));
    }
    partitions
}

fn partition(topic: Arc<str>, topic_id: Uuid, state: LeaderAndIsrPartitionState) -> LeaderAndIsrPartition {
    LeaderAndIsrPartition {
        topic_partition: TopicPartition::new(topic, state.partition_index),
        topic_id,
        controller_epoch: state.controller_epoch,
        leader: state.leader.0,
        leader_epoch: state.leader_epoch,
        partition_epoch: state.partition_epoch,
        isr: ids(&state.isr),
        replicas: ids(&state.replicas),
        adding_replicas: ids(&state.adding_replicas),
        removing_replicas: ids(&state.removing_replicas),
        leader_recovery_state: state.leader_recovery_state,
        is_new: state.is_new,
    }
}

fn ids(wire: &[WireBrokerId]) -> Vec<BrokerId> {
    wire.iter().map(|id| id.0).collect()
}

fn response(
    version: i16,
    error: ErrorCode,
    answers: impl Iterator<Item = ((TopicPartition, Uuid), ErrorCode)>,
) -> LeaderAndIsrResponse {
    let mut response = LeaderAndIsrResponse::default().with_error_code(error.code());
    for ((tp, id), code) in answers {
        let answer =
            LeaderAndIsrPartitionError::default().with_partition_index(tp.partition).with_error_code(code.code());
        if version < TOPIC_IDS_SINCE {
            let name = TopicName(kafka_protocol::protocol::StrBytes::from_string(tp.topic.to_string()));
            response.partition_errors.push(answer.with_topic_name(name));
            continue;
        }
        // Topics come together in the request: a run of equal ids is a topic.
        match response.topics.last_mut().filter(|topic| topic.topic_id == id) {
            Some(topic) => topic.partition_errors.push(answer),
            None => response
                .topics
                .push(LeaderAndIsrTopicError::default().with_topic_id(id).with_partition_errors(vec![answer])),
        }
    }
    response
}
