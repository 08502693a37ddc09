//! OffsetForLeaderEpoch (key 23), v0–4: where an epoch ends, so that a reader finds out where its log parts from ours.
//! v1 epoch of the answer · v2 current leader epoch (KIP-320) · v3 replica id · v4 flexible

use std::sync::Arc;

use kafka_protocol::messages::{
    OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
    offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult},
};

use super::list_offsets::topic_name;
use crate::{
    api::Context,
    common::{
        TopicPartition,
        ids::{NO_LEADER_EPOCH, NO_OFFSET},
    },
};

#[allow(clippy::unused_async)]
pub async fn handle(ctx: &Context<'_>, request: OffsetForLeaderEpochRequest) -> OffsetForLeaderEpochResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let name = topic_name(ctx, &topic.topic);
        let partitions = topic.partitions.into_iter().map(|asked| {
            let tp = TopicPartition::new(Arc::clone(&name), asked.partition);
            let answer = EpochEndOffset::default()
                .with_partition(asked.partition)
                .with_leader_epoch(NO_LEADER_EPOCH)
                .with_end_offset(NO_OFFSET);
            let current = asked.current_leader_epoch;
            match ctx.services.replicas.end_offset_for_epoch(&tp, current, asked.leader_epoch) {
                Ok(Some(end)) => answer.with_leader_epoch(end.leader_epoch).with_end_offset(end.offset),
                Ok(None) => answer,
                Err(code) => answer.with_error_code(code.code()),
            }
        });
        let partitions = partitions.collect();
        OffsetForLeaderTopicResult::default().with_topic(topic.topic).with_partitions(partitions)
    });
    OffsetForLeaderEpochResponse::default().with_topics(topics.collect())
}
