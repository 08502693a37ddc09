//! TxnOffsetCommit (key 28), v0–4.
//! v2 leader epoch (KIP-320) · v3 member, generation, instance (KIP-447), flexible · v4 TRANSACTION_ABORTABLE (KIP-890)

use kafka_protocol::messages::{
    TxnOffsetCommitRequest, TxnOffsetCommitResponse,
    txn_offset_commit_request::TxnOffsetCommitRequestPartition,
    txn_offset_commit_response::{TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic},
};

use super::verify::{Writer, verify};
use crate::{
    api::{
        Context,
        group::wire::{by_topic, check_partitions, shared, shared_option, topic_name},
    },
    common::{ErrorCode, Timestamp, TopicPartition, ids::NO_SEQUENCE, topic_name::GROUP_METADATA_TOPIC},
    coordinator::group::{
        command::{CommitOffsets, TransactionalProducer},
        commit_error,
        records::OffsetAndMetadata,
    },
    storage::Verification,
};

pub async fn handle(ctx: &Context<'_>, request: TxnOffsetCommitRequest) -> TxnOffsetCommitResponse {
    let now = ctx.services.clock.now_ms();
    let asked = request.topics.iter().flat_map(|topic| {
        let name = shared(&topic.name);
        topic.partitions.iter().map(move |partition| {
            (TopicPartition::new(name.clone(), partition.partition_index), offset_and_metadata(partition, now))
        })
    });
    let (offsets, mut answers) = check_partitions(&ctx.services.metadata.image(), asked);
    if offsets.is_empty() {
        return respond(ctx.version, answers);
    }
    let verified = verified(ctx, &request).await;
    if verified.is_ok() && request.producer_epoch < 0 {
        // Nobody's epoch: Kafka fails to write such a batch, and the whole request with it.
        let all = answers.into_iter().map(|(tp, _)| tp).chain(offsets.into_keys());
        return respond(ctx.version, all.map(|tp| (tp, ErrorCode::UnknownServerError)).collect());
    }
    match verified {
        Err(error) => answers.extend(offsets.into_keys().map(|tp| (tp, error))),
        Ok(verification) => {
            let id = request.producer_id.0;
            let command = CommitOffsets {
                group_id: shared(&request.group_id),
                member_id: shared(&request.member_id),
                group_instance_id: shared_option(request.group_instance_id.as_ref()),
                generation: request.generation_id,
                offsets,
                transaction: Some(TransactionalProducer { id, epoch: request.producer_epoch, verification }),
            };
            drop(request);
            answers.extend(ctx.services.groups.commit_offsets(command).await);
        }
    }
    respond(ctx.version, answers)
}

/// Whether the group's partition of `__consumer_offsets` is in the transaction.
async fn verified(ctx: &Context<'_>, request: &TxnOffsetCommitRequest) -> Result<Verification, ErrorCode> {
    let partition = ctx.services.groups.check_group(&request.group_id)?;
    let writer = Writer {
        transactional_id: &request.transactional_id,
        producer: (request.producer_id.0, request.producer_epoch),
        knows_abortable: ctx.version >= 4,
    };
    let offsets = TopicPartition::new(GROUP_METADATA_TOPIC, partition);
    let outcome = verify(ctx.services, writer, &[(offsets, NO_SEQUENCE)]).await.pop();
    outcome.unwrap_or(Err(ErrorCode::UnknownServerError)).map_err(commit_error)
}

fn offset_and_metadata(partition: &TxnOffsetCommitRequestPartition, now: Timestamp) -> OffsetAndMetadata {
    OffsetAndMetadata {
        offset: partition.committed_offset,
        leader_epoch: partition.committed_leader_epoch,
        metadata: shared_option(partition.committed_metadata.as_ref()).unwrap_or_default(),
        commit_timestamp: now,
        expire_timestamp: None,
    }
}

pub(super) fn respond(version: i16, answers: Vec<(TopicPartition, ErrorCode)>) -> TxnOffsetCommitResponse {
    let partition = |(index, error): (i32, ErrorCode)| {
        // Producers before 2.0 crash on the code for loading (KAFKA-7296).
        let error = match error {
            ErrorCode::CoordinatorLoadInProgress if version < 2 => ErrorCode::CoordinatorNotAvailable,
            other => other,
        };
        TxnOffsetCommitResponsePartition::default().with_partition_index(index).with_error_code(error.code())
    };
    let topics = by_topic(answers).into_iter().map(|(name, partitions)| {
        TxnOffsetCommitResponseTopic::default()
            .with_name(topic_name(&name))
            .with_partitions(partitions.into_iter().map(partition).collect())
    });
    TxnOffsetCommitResponse::default().with_topics(topics.collect())
}
