//! OffsetCommit (key 8), v0–9.
//! v0 stores in ZooKeeper · v1 generation, member, commit timestamp (v1 only) · v2 retention (v2–4) · v3 throttle time ·
//! v6 leader epoch (KIP-320) · v7 static membership (KIP-345) · v8 flexible · v9 member epoch (KIP-848, not served)

use indexmap::IndexMap;
use kafka_protocol::messages::{
    OffsetCommitRequest, OffsetCommitResponse,
    offset_commit_request::OffsetCommitRequestPartition,
    offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic},
};

use super::wire::{by_topic, check_partitions, shared, shared_option, topic_name};
use crate::{
    api::Context,
    common::{ErrorCode, Timestamp, TopicPartition, ids::NO_TIMESTAMP},
    coordinator::group::{command::CommitOffsets, records::OffsetAndMetadata},
};

pub async fn handle(ctx: &Context<'_>, request: OffsetCommitRequest) -> OffsetCommitResponse {
    let now = ctx.services.clock.now_ms();
    let expire_timestamp = (request.retention_time_ms != -1).then(|| now.saturating_add(request.retention_time_ms));
    let asked = request.topics.iter().flat_map(|topic| {
        let name = shared(&topic.name);
        topic.partitions.iter().map(move |partition| {
            let tp = TopicPartition::new(name.clone(), partition.partition_index);
            (tp, offset_and_metadata(partition, now, expire_timestamp))
        })
    });
    let (offsets, mut answers) = check_partitions(&ctx.services.metadata.image(), asked);
    if offsets.is_empty() {
        return respond(answers);
    }
    if ctx.version == 0 {
        answers.extend(commit_to_znodes(ctx, &request.group_id, offsets).await);
        return respond(answers);
    }
    let command = CommitOffsets {
        group_id: shared(&request.group_id),
        member_id: shared(&request.member_id),
        group_instance_id: shared_option(request.group_instance_id.as_ref()),
        generation: request.generation_id_or_member_epoch,
        offsets,
        transaction: None,
    };
    drop(request);
    answers.extend(ctx.services.groups.commit_offsets(command).await);
    respond(answers)
}

fn offset_and_metadata(
    partition: &OffsetCommitRequestPartition,
    now: Timestamp,
    expire_timestamp: Option<Timestamp>,
) -> OffsetAndMetadata {
    let given = partition.commit_timestamp;
    OffsetAndMetadata {
        offset: partition.committed_offset,
        leader_epoch: partition.committed_leader_epoch,
        metadata: shared_option(partition.committed_metadata.as_ref()).unwrap_or_default(),
        commit_timestamp: if given == NO_TIMESTAMP { now } else { given },
        expire_timestamp,
    }
}

/// v0, of the consumers that kept their offsets in ZooKeeper themselves.
async fn commit_to_znodes(
    ctx: &Context<'_>,
    group_id: &str,
    offsets: IndexMap<TopicPartition, OffsetAndMetadata>,
) -> Vec<(TopicPartition, ErrorCode)> {
    let units_max = usize::try_from(ctx.services.groups.config().offset_metadata_max_bytes).unwrap_or(0);
    let mut answers = Vec::with_capacity(offsets.len());
    for (tp, value) in offsets {
        let error = if value.metadata.encode_utf16().count() > units_max {
            ErrorCode::OffsetMetadataTooLarge
        } else {
            match ctx.services.cluster.set_legacy_offset(group_id, &tp.topic, tp.partition, value.offset).await {
                Ok(()) => ErrorCode::None,
                Err(fault) => {
                    tracing::warn!(group_id, %tp, %fault, "offset could not be stored in the coordination store");
                    ErrorCode::UnknownServerError
                }
            }
        };
        answers.push((tp, error));
    }
    answers
}

pub(super) fn respond(answers: Vec<(TopicPartition, ErrorCode)>) -> OffsetCommitResponse {
    let partition = |(index, error): (i32, ErrorCode)| {
        OffsetCommitResponsePartition::default().with_partition_index(index).with_error_code(error.code())
    };
    let topics = by_topic(answers).into_iter().map(|(name, partitions)| {
        OffsetCommitResponseTopic::default()
            .with_name(topic_name(&name))
            .with_partitions(partitions.into_iter().map(partition).collect())
    });
    OffsetCommitResponse::default().with_topics(topics.collect())
}
