//! OffsetDelete (key 47), v0 (KIP-496).

use kafka_protocol::messages::{
    OffsetDeleteRequest, OffsetDeleteResponse,
    offset_delete_response::{OffsetDeleteResponsePartition, OffsetDeleteResponseTopic},
};

use super::wire::{by_topic, check_partitions, shared, topic_name};
use crate::{
    api::Context,
    common::{ErrorCode, TopicPartition},
};

pub async fn handle(ctx: &Context<'_>, request: OffsetDeleteRequest) -> OffsetDeleteResponse {
    let asked = request.topics.iter().flat_map(|topic| {
        let name = shared(&topic.name);
        topic.partitions.iter().map(move |p| (TopicPartition::new(name.clone(), p.partition_index), ()))
    });
    let (known, mut answers) = check_partitions(&ctx.services.metadata.image(), asked);
    // Asked even if nothing is left: the group's own error counts then.
    match ctx.services.groups.delete_offsets(&request.group_id, known.into_keys().collect()).await {
        Err(error) => OffsetDeleteResponse::default().with_error_code(error.code()),
        Ok(deleted) => {
            answers.extend(deleted);
            respond(answers)
        }
    }
}

fn respond(answers: Vec<(TopicPartition, ErrorCode)>) -> OffsetDeleteResponse {
    let partition = |(index, error): (i32, ErrorCode)| {
        OffsetDeleteResponsePartition::default().with_partition_index(index).with_error_code(error.code())
    };
    let topics = by_topic(answers).into_iter().map(|(name, partitions)| {
        OffsetDeleteResponseTopic::default()
            .with_name(topic_name(&name))
            .with_partitions(partitions.into_iter().map(partition).collect())
    });
    OffsetDeleteResponse::default().with_topics(topics.collect())
}
