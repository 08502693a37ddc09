//! ControlledShutdown (key 7), v0–3.
//! v1 client id in the header · v2 broker epoch (KIP-380) · v3 flexible

use kafka_protocol::{
    messages::{
        ControlledShutdownRequest, ControlledShutdownResponse, TopicName,
        controlled_shutdown_response::RemainingPartition,
    },
    protocol::StrBytes,
};

use crate::api::Context;

/// From here the broker says which of its lives asks.
const BROKER_EPOCH_SINCE: i16 = 2;
const UNKNOWN_BROKER_EPOCH: i64 = -1;

pub async fn handle(ctx: &Context<'_>, request: ControlledShutdownRequest) -> ControlledShutdownResponse {
    let broker_epoch = if ctx.version >= BROKER_EPOCH_SINCE { request.broker_epoch } else { UNKNOWN_BROKER_EPOCH };
    match ctx.services.controller.controlled_shutdown(request.broker_id.0, broker_epoch).await {
        Ok(remaining) => {
            let partitions = remaining.into_iter().map(|tp| {
                RemainingPartition::default()
                    .with_topic_name(TopicName(StrBytes::from_string(tp.topic.to_string())))
                    .with_partition_index(tp.partition)
            });
            ControlledShutdownResponse::default().with_remaining_partitions(partitions.collect())
        }
        Err(code) => ControlledShutdownResponse::default().with_error_code(code.code()),
    }
}
