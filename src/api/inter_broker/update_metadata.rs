//! UpdateMetadata (key 6), v0–8.
//! v1 endpoints · v2 rack · v3 listener names (KIP-103) · v4 offline replicas (KIP-112) · v5 broker epoch (KIP-380),
//! grouped by topic · v6 flexible · v7 topic ids (KIP-516) · v8 KRaft controllers (KIP-866)

use std::sync::Arc;

use kafka_protocol::messages::{
    BrokerId as WireBrokerId, UpdateMetadataRequest, UpdateMetadataResponse,
    update_metadata_request::{UpdateMetadataBroker, UpdateMetadataEndpoint, UpdateMetadataPartitionState},
};

use super::{ClusterUpdate, is_broker_epoch_stale};
use crate::{
    api::Context,
    common::{BrokerId, ErrorCode},
    metadata::{BrokerImage, Endpoint, MetadataUpdate, PartitionImage},
};

/// A broker of version 0 has one address, and no endpoints.
const ENDPOINTS_SINCE: i16 = 1;
/// Before, a listener is named by its protocol.
const LISTENER_NAMES_SINCE: i16 = 3;

pub async fn handle(ctx: &Context<'_>, request: UpdateMetadataRequest) -> UpdateMetadataResponse {
    let (controller, controller_epoch) = (request.controller_id.0, request.controller_epoch);
    if is_broker_epoch_stale(ctx, request.broker_epoch, controller, controller_epoch) {
        return UpdateMetadataResponse::default().with_error_code(ErrorCode::StaleBrokerEpoch.code());
    }
    let update = update(ctx.version, request);
    let updates = &ctx.services.cluster_updates;
    let done = updates.carry_out(|reply| ClusterUpdate::UpdateMetadata { controller_epoch, update, reply }).await;
    let code = done.err().unwrap_or(ErrorCode::None);
    UpdateMetadataResponse::default().with_error_code(code.code())
}

fn update(version: i16, request: UpdateMetadataRequest) -> MetadataUpdate {
    let mut update = MetadataUpdate {
        controller: request.controller_id.0,
        brokers: request.live_brokers.iter().map(|broker| self::broker(version, broker)).collect(),
        topic_ids: Vec::with_capacity(request.topic_states.len()),
        partitions: Vec::new(),
    };
    let ungrouped = request.ungrouped_partition_states.into_iter();
    update.partitions.extend(ungrouped.map(|state| (state.topic_name.0.as_str().into(), partition(&state))));
    for topic in request.topic_states {
        let name: Arc<str> = topic.topic_name.0.as_str().into();
        update.topic_ids.push((Arc::clone(&name), topic.topic_id));
        let states = topic.partition_states.iter();
        update.partitions.extend(states.map(|state| (Arc::clone(&name), partition(state))));
    }
    update
}

fn partition(state: &UpdateMetadataPartitionState) -> PartitionImage {
    PartitionImage {
        partition: state.partition_index,
        leader: state.leader.0,
        leader_epoch: state.leader_epoch,
        partition_epoch: state.zk_version,
        isr: ids(&state.isr),
        replicas: ids(&state.replicas),
        offline_replicas: ids(&state.offline_replicas),
    }
}

fn broker(version: i16, broker: &UpdateMetadataBroker) -> BrokerImage {
    let endpoints = if version < ENDPOINTS_SINCE {
        let port = u16::try_from(broker.v0_port).unwrap_or(0);
        vec![Endpoint {
            listener: "PLAINTEXT".to_owned(),
            security_protocol: "PLAINTEXT".to_owned(),
            host: broker.v0_host.to_string(),
            port,
        }]
    } else {
        broker.endpoints.iter().map(|it| endpoint(version, it)).collect()
    };
    BrokerImage { id: broker.id.0, epoch: -1, rack: broker.rack.as_ref().map(|rack| rack.to_string()), endpoints }
}

fn endpoint(version: i16, endpoint: &UpdateMetadataEndpoint) -> Endpoint {
    let protocol = match endpoint.security_protocol {
        1 => "SSL",
        2 => "SASL_PLAINTEXT",
        3 => "SASL_SSL",
        _ => "PLAINTEXT",
    };
    let listener = if version < LISTENER_NAMES_SINCE { protocol.to_owned() } else { endpoint.listener.to_string() };
    Endpoint {
        listener,
        security_protocol: protocol.to_owned(),
        host: endpoint.host.to_string(),
        port: u16::try_from(endpoint.port).unwrap_or(0),
    }
}

fn ids(wire: &[WireBrokerId]) -> Vec<BrokerId> {
    wire.iter().map(|id| id.0).collect()
}
