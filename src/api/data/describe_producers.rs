//! DescribeProducers (key 61), v0 (KIP-664): who produces idempotently to a partition, as its log remembers.

use kafka_protocol::{
    messages::{
        DescribeProducersRequest, DescribeProducersResponse, ProducerId,
        describe_producers_response::{PartitionResponse, ProducerState, TopicResponse},
    },
    protocol::StrBytes,
};

use crate::{
    api::Context,
    common::{ErrorCode, TopicPartition, topic_name},
    storage::log::ProducerSnapshot,
};

/// Kafka's words for UNKNOWN_TOPIC_OR_PARTITION.
const UNHOSTED: &str = "This server does not host this topic-partition.";

#[allow(clippy::unused_async)]
pub async fn handle(ctx: &Context<'_>, request: DescribeProducersRequest) -> DescribeProducersResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let refused = refuse_topic(ctx, &topic.name);
        let name = super::list_offsets::topic_name(ctx, &topic.name);
        let partitions = topic.partition_indexes.into_iter().map(|index| {
            let response = PartitionResponse::default().with_partition_index(index);
            match &refused {
                Some((code, message)) => {
                    let message = message.clone().map(StrBytes::from_string);
                    response.with_error_code(code.code()).with_error_message(message)
                }
                None => describe(ctx, &TopicPartition::new(std::sync::Arc::clone(&name), index), response),
            }
        });
        let partitions = partitions.collect();
        TopicResponse::default().with_name(topic.name).with_partitions(partitions)
    });
    DescribeProducersResponse::default().with_topics(topics.collect())
}

fn refuse_topic(ctx: &Context<'_>, topic: &str) -> Option<(ErrorCode, Option<String>)> {
    if let Err(message) = topic_name::validate(topic) {
        return Some((ErrorCode::InvalidTopicException, Some(message)));
    }
    let is_known = ctx.services.metadata.load().topic(topic).is_some();
    (!is_known).then(|| (ErrorCode::UnknownTopicOrPartition, Some(UNHOSTED.to_owned())))
}

fn describe(ctx: &Context<'_>, tp: &TopicPartition, response: PartitionResponse) -> PartitionResponse {
    match ctx.services.replicas.any_log(tp) {
        Ok(log) => response.with_active_producers(log.active_producers().into_iter().map(producer).collect()),
        Err(code) => response.with_error_code(code.code()),
    }
}

fn producer(known: ProducerSnapshot) -> ProducerState {
    ProducerState::default()
        .with_producer_id(ProducerId(known.producer_id))
        .with_producer_epoch(i32::from(known.producer_epoch))
        .with_last_sequence(known.last_sequence)
        .with_last_timestamp(known.last_timestamp)
        .with_coordinator_epoch(known.coordinator_epoch)
        .with_current_txn_start_offset(known.current_txn_start_offset)
}
