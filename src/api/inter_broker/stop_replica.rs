//! StopReplica (key 5), v0–4.
//! v1 grouped by topic, broker epoch (KIP-380) · v2 flexible · v3 leader epoch and deletion per partition (KIP-570) ·
//! v4 KRaft controllers (KIP-866)

use std::sync::Arc;

use kafka_protocol::{
    messages::{StopReplicaRequest, StopReplicaResponse, TopicName, stop_replica_response::StopReplicaPartitionError},
    protocol::StrBytes,
};

use super::{ClusterUpdate, is_broker_epoch_stale};
use crate::{
    api::Context,
    common::{ErrorCode, TopicPartition, ids::NO_LEADER_EPOCH},
    controller::output::StopReplicaPartition,
};

/// From here each partition says for itself.
const PARTITION_STATES_SINCE: i16 = 3;

pub async fn handle(ctx: &Context<'_>, request: StopReplicaRequest) -> StopReplicaResponse {
    let (controller, controller_epoch) = (request.controller_id.0, request.controller_epoch);
    if is_broker_epoch_stale(ctx, request.broker_epoch, controller, controller_epoch) {
        return StopReplicaResponse::default().with_error_code(ErrorCode::StaleBrokerEpoch.code());
    }
    let partitions = partitions(ctx.version, request);
    let named: Vec<TopicPartition> = partitions.iter().map(|it| it.topic_partition.clone()).collect();
    let updates = &ctx.services.cluster_updates;
    let codes = updates.carry_out(|reply| ClusterUpdate::StopReplica { controller_epoch, partitions, reply }).await;
    match codes {
        Ok(codes) => {
            let answer = |(tp, code): (TopicPartition, ErrorCode)| {
                StopReplicaPartitionError::default()
                    .with_topic_name(TopicName(StrBytes::from_string(tp.topic.to_string())))
                    .with_partition_index(tp.partition)
                    .with_error_code(code.code())
            };
            StopReplicaResponse::default().with_partition_errors(named.into_iter().zip(codes).map(answer).collect())
        }
        Err(code) => StopReplicaResponse::default().with_error_code(code.code()),
    }
}

fn partitions(version: i16, request: StopReplicaRequest) -> Vec<StopReplicaPartition> {
    let stop = |topic: &Arc<str>, partition, leader_epoch, delete| StopReplicaPartition {
        topic_partition: TopicPartition::new(Arc::clone(topic), partition),
        leader_epoch,
        delete,
    };
    let mut partitions = Vec::new();
    if version >= PARTITION_STATES_SINCE {
        for topic in request.topic_states {
            let name: Arc<str> = topic.topic_name.0.as_str().into();
            let states = topic.partition_states.iter();
            partitions.extend(states.map(|it| stop(&name, it.partition_index, it.leader_epoch, it.delete_partition)));
        }
        return partitions;
    }
    let delete = request.delete_partitions;
    for one in request.ungrouped_partitions {
        partitions.push(stop(&one.topic_name.0.as_str().into(), one.partition_index, NO_LEADER_EPOCH, delete));
    }
    for topic in request.topics {
        let name: Arc<str> = topic.name.0.as_str().into();
        let indexes = topic.partition_indexes.iter();
        partitions.extend(indexes.map(|index| stop(&name, *index, NO_LEADER_EPOCH, delete)));
    }
    partitions
}
