//! OffsetFetch (key 9), v0–9.
//! v0 reads from ZooKeeper · v2 all partitions, top-level error · v3 throttle time · v5 leader epoch (KIP-320) ·
//! v6 flexible · v7 require stable (KIP-447) · v8 several groups (KIP-709) · v9 member epoch (KIP-848, not served)

use std::sync::Arc;

use kafka_protocol::{
    messages::{
        GroupId, OffsetFetchRequest, OffsetFetchResponse,
        offset_fetch_response::{
            OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
            OffsetFetchResponseTopic, OffsetFetchResponseTopics,
        },
    },
    protocol::StrBytes,
};

use super::wire::{by_topic, shared, topic_name, wire};
use crate::{
    api::Context,
    common::{
        ErrorCode, TopicPartition,
        ids::{NO_LEADER_EPOCH, NO_OFFSET},
    },
    coordinator::group::command::FetchedOffset,
};

pub async fn handle(ctx: &Context<'_>, request: OffsetFetchRequest) -> OffsetFetchResponse {
    if ctx.version >= 8 {
        let groups = request.groups.iter().map(|group| {
            let topics = group.topics.as_ref().map(|topics| topics.iter().map(|t| (&t.name.0, &t.partition_indexes)));
            fetch_group(ctx, &group.group_id, topics.map(partitions), request.require_stable)
        });
        return OffsetFetchResponse::default().with_groups(groups.collect());
    }
    let topics = request.topics.as_ref().map(|topics| topics.iter().map(|t| (&t.name.0, &t.partition_indexes)));
    let asked = topics.map(partitions);
    if ctx.version == 0 {
        return respond_single(Ok(fetch_from_znodes(ctx, &request.group_id, asked.unwrap_or_default()).await));
    }
    // v1 has no place for an error of the whole group: as with Kafka, such an answer names no partition at all.
    respond_single(ctx.services.groups.fetch_offsets(&request.group_id, asked, request.require_stable))
}

fn partitions<'a>(topics: impl Iterator<Item = (&'a StrBytes, &'a Vec<i32>)>) -> Vec<TopicPartition> {
    topics
        .flat_map(|(name, indexes)| {
            let name = shared(name);
            indexes.iter().map(move |index| TopicPartition::new(Arc::clone(&name), *index))
        })
        .collect()
}

fn fetch_group(
    ctx: &Context<'_>,
    group_id: &GroupId,
    asked: Option<Vec<TopicPartition>>,
    require_stable: bool,
) -> OffsetFetchResponseGroup {
    let response = OffsetFetchResponseGroup::default().with_group_id(GroupId(wire(group_id)));
    let fetched = match ctx.services.groups.fetch_offsets(group_id, asked, require_stable) {
        Ok(fetched) => fetched,
        Err(error) => return response.with_error_code(error.code()),
    };
    let partition = |(index, fetched): (i32, FetchedOffset)| {
        OffsetFetchResponsePartitions::default()
            .with_partition_index(index)
            .with_committed_offset(fetched.offset)
            .with_committed_leader_epoch(fetched.leader_epoch)
            .with_metadata(Some(wire(&fetched.metadata)))
            .with_error_code(fetched.error.code())
    };
    let topics = by_topic(keyed(fetched)).into_iter().map(|(name, partitions)| {
        OffsetFetchResponseTopics::default()
            .with_name(topic_name(&name))
            .with_partitions(partitions.into_iter().map(partition).collect())
    });
    response.with_topics(topics.collect())
}

/// v0, of the consumers that kept their offsets in ZooKeeper themselves.
async fn fetch_from_znodes(ctx: &Context<'_>, group_id: &str, asked: Vec<TopicPartition>) -> Vec<FetchedOffset> {
    let image = ctx.services.metadata.image();
    let mut fetched = Vec::with_capacity(asked.len());
    for tp in asked {
        if image.partition(&tp.topic, tp.partition).is_none() {
            fetched.push(nothing(tp, ErrorCode::UnknownTopicOrPartition));
            continue;
        }
        fetched.push(match ctx.services.cluster.legacy_offset(group_id, &tp.topic, tp.partition).await {
            Ok(Some(offset)) => FetchedOffset { offset, ..nothing(tp, ErrorCode::None) },
            Ok(None) => nothing(tp, ErrorCode::UnknownTopicOrPartition),
            Err(fault) => {
                tracing::warn!(group_id, %tp, %fault, "offset could not be read from the coordination store");
                nothing(tp, ErrorCode::UnknownServerError)
            }
        });
    }
    fetched
}

fn nothing(topic_partition: TopicPartition, error: ErrorCode) -> FetchedOffset {
    FetchedOffset { topic_partition, offset: NO_OFFSET, leader_epoch: NO_LEADER_EPOCH, metadata: "".into(), error }
}

fn keyed(fetched: Vec<FetchedOffset>) -> impl Iterator<Item = (TopicPartition, FetchedOffset)> {
    fetched.into_iter().map(|fetched| (fetched.topic_partition.clone(), fetched))
}

/// Before v8: one group.
pub(super) fn respond_single(outcome: Result<Vec<FetchedOffset>, ErrorCode>) -> OffsetFetchResponse {
    let fetched = match outcome {
        Ok(fetched) => fetched,
        Err(error) => return OffsetFetchResponse::default().with_error_code(error.code()),
    };
    let partition = |(index, fetched): (i32, FetchedOffset)| {
        OffsetFetchResponsePartition::default()
            .with_partition_index(index)
            .with_committed_offset(fetched.offset)
            .with_committed_leader_epoch(fetched.leader_epoch)
            .with_metadata(Some(wire(&fetched.metadata)))
            .with_error_code(fetched.error.code())
    };
    let topics = by_topic(keyed(fetched)).into_iter().map(|(name, partitions)| {
        OffsetFetchResponseTopic::default()
            .with_name(topic_name(&name))
            .with_partitions(partitions.into_iter().map(partition).collect())
    });
    OffsetFetchResponse::default().with_topics(topics.collect())
}
