//! FindCoordinator (key 10), v0–6.
//! v0 groups only · v1 key type, error message · v4 many keys at once (KIP-699) · v6 share groups (KIP-932)

use kafka_protocol::{
    messages::{
        BrokerId as WireBrokerId, FindCoordinatorRequest, FindCoordinatorResponse,
        find_coordinator_response::Coordinator,
    },
    protocol::StrBytes,
};

use super::metadata::endpoint_of;
use crate::{
    api::{Context, messages::default_message},
    common::{
        BrokerId, ErrorCode,
        hash::partition_for,
        topic_name::{GROUP_METADATA_TOPIC, TRANSACTION_STATE_TOPIC},
    },
    metadata::MetadataImage,
};

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
const SHARE: i8 = 2;

/// Where a coordinator is reached.
type Node = (BrokerId, String, u16);

pub async fn handle(ctx: &Context<'_>, request: FindCoordinatorRequest) -> FindCoordinatorResponse {
    if ctx.version < 4 {
        let found = coordinator(ctx, request.key_type, &request.key).await;
        return single(found);
    }
    let mut coordinators = Vec::with_capacity(request.coordinator_keys.len());
    for key in request.coordinator_keys {
        let found = coordinator(ctx, request.key_type, &key).await;
        coordinators.push(batched(key, found));
    }
    FindCoordinatorResponse::default().with_coordinators(coordinators)
}

async fn coordinator(ctx: &Context<'_>, key_type: i8, key: &str) -> Result<Node, ErrorCode> {
    let topic = match key_type {
        GROUP => GROUP_METADATA_TOPIC,
        TRANSACTION => TRANSACTION_STATE_TOPIC,
        SHARE if ctx.version < 6 => return Err(ErrorCode::InvalidRequest),
        // No such coordinator lives here.
        SHARE => return Err(ErrorCode::CoordinatorNotAvailable),
        _ => return Err(ErrorCode::InvalidRequest),
    };
    let image = ctx.services.metadata.image();
    if image.topic(topic).is_none() {
        // Whatever comes of it, the client has to ask again.
        for (topic, code) in ctx.services.admin.auto_create_topics(&[topic.to_owned()]).await {
            if code != ErrorCode::LeaderNotAvailable {
                tracing::warn!(%topic, %code, "cannot create a coordinator's topic");
            }
        }
        return Err(ErrorCode::CoordinatorNotAvailable);
    }
    leader_for(&image, topic, key, &ctx.connection.listener).ok_or(ErrorCode::CoordinatorNotAvailable)
}

/// The leader of a key's partition of a coordinator's topic, if there is one that the client can reach.
fn leader_for(image: &MetadataImage, topic: &str, key: &str, listener: &str) -> Option<Node> {
    let partitions = &image.topic(topic)?.partitions;
    let partition = partition_for(key, i32::try_from(partitions.len()).ok()?);
    let leader = partitions.get(usize::try_from(partition).ok()?)?.leader;
    let endpoint = endpoint_of(image, leader, listener)?;
    Some((leader, endpoint.host.clone(), endpoint.port))
}

fn single(found: Result<Node, ErrorCode>) -> FindCoordinatorResponse {
    let (code, (id, host, port)) = split(found);
    // Kafka sends the name of the code even when it is NONE.
    FindCoordinatorResponse::default()
        .with_error_code(code.code())
        .with_error_message(Some(StrBytes::from_static_str(default_message(code))))
        .with_node_id(WireBrokerId(id))
        .with_host(StrBytes::from_string(host))
        .with_port(port)
}

fn batched(key: StrBytes, found: Result<Node, ErrorCode>) -> Coordinator {
    let unknown_type = found == Err(ErrorCode::InvalidRequest);
    let (code, (id, host, port)) = split(found);
    let message = if unknown_type { default_message(code) } else { "" };
    Coordinator::default()
        .with_key(key)
        .with_error_code(code.code())
        .with_error_message(Some(StrBytes::from_static_str(message)))
        .with_node_id(WireBrokerId(id))
        .with_host(StrBytes::from_string(host))
        .with_port(port)
}

fn split(found: Result<Node, ErrorCode>) -> (ErrorCode, (BrokerId, String, i32)) {
    match found {
        Ok((id, host, port)) => (ErrorCode::None, (id, host, i32::from(port))),
        Err(code) => (code, (-1, String::new(), -1)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use uuid::Uuid;

    use super::*;
    use crate::metadata::{BrokerImage, Endpoint, MetadataDelta, PartitionImage, TopicImage};

    #[test]
    fn a_group_lives_where_its_hash_says() {
        let partition = |partition, leader| PartitionImage {
            partition,
            leader,
            leader_epoch: 0,
            partition_epoch: 0,
            isr: vec![leader],
            replicas: vec![leader],
            offline_replicas: Vec::new(),
        };
        let endpoint =
            Endpoint { listener: "L".into(), security_protocol: "PLAINTEXT".into(), host: "h".into(), port: 9 };
        let topic = TopicImage {
            name: GROUP_METADATA_TOPIC.into(),
            id: Uuid::nil(),
            partitions: vec![partition(0, 1), partition(1, -1)],
        };
        let mut image = MetadataImage::default();
        image.apply(&MetadataDelta {
            brokers: Some(vec![BrokerImage { id: 1, epoch: 1, rack: None, endpoints: vec![endpoint] }]),
            topics: vec![Arc::new(topic)],
            ..MetadataDelta::default()
        });
        // "b".hashCode() is 98, "a".hashCode() is 97.
        assert_eq!(leader_for(&image, GROUP_METADATA_TOPIC, "b", "L"), Some((1, "h".into(), 9)));
        assert_eq!(leader_for(&image, GROUP_METADATA_TOPIC, "b", "other"), None);
        assert_eq!(leader_for(&image, GROUP_METADATA_TOPIC, "a", "L"), None, "nobody leads partition 1");
        assert_eq!(single(Err(ErrorCode::CoordinatorNotAvailable)).port, -1);
        assert_eq!(single(Ok((1, "h".into(), 9))).error_message.unwrap().as_str(), "NONE");
    }
}
