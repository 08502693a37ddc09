//! Who leads a partition and where it is reached, for clients that asked the wrong broker (KIP-951).

use crate::{
    api::Context,
    metadata::MetadataImage,
    protocol::hot::{CurrentLeader, NodeEndpoint},
};

/// The leader as this broker's image knows it. Adds where it is reached, on the listener the client uses, to `endpoints`.
pub fn current_leader(
    ctx: &Context<'_>,
    image: &MetadataImage,
    topic: &str,
    partition: i32,
    endpoints: &mut Vec<NodeEndpoint>,
) -> Option<CurrentLeader> {
    let known = image.partition(topic, partition)?;
    if let Some(broker) = image.brokers.get(&known.leader)
        && let Some(at) = broker.endpoints.iter().find(|endpoint| endpoint.listener == ctx.connection.listener)
        && !endpoints.iter().any(|endpoint| endpoint.node_id == broker.id)
    {
        endpoints.push(NodeEndpoint {
            node_id: broker.id,
            host: at.host.clone(),
            port: i32::from(at.port),
            rack: broker.rack.clone(),
        });
    }
    Some(CurrentLeader { leader_id: known.leader, leader_epoch: known.leader_epoch })
}
