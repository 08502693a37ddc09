//! AddPartitionsToTxn (key 24), v0–5.
//! v2 PRODUCER_FENCED · v3 flexible · v4 many transactions at once and asking only, between brokers (KIP-890) · v5 as v4

use std::sync::Arc;

use kafka_protocol::messages::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, TransactionalId,
    add_partitions_to_txn_request::{AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction},
    add_partitions_to_txn_response::{
        AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResult, AddPartitionsToTxnTopicResult,
    },
};

use super::told_to;
use crate::{
    api::{
        Context,
        group::wire::{by_topic, shared, topic_name},
    },
    common::{ErrorCode, TopicPartition},
};

/// Since this version the request carries a list of transactions.
const BATCHED_SINCE: i16 = 4;

pub async fn handle(ctx: &Context<'_>, request: AddPartitionsToTxnRequest) -> AddPartitionsToTxnResponse {
    if ctx.version < BATCHED_SINCE {
        let transaction = AddPartitionsToTxnTransaction::default()
            .with_transactional_id(request.v3_and_below_transactional_id)
            .with_producer_id(request.v3_and_below_producer_id)
            .with_producer_epoch(request.v3_and_below_producer_epoch)
            .with_topics(request.v3_and_below_topics);
        let results = add(ctx, transaction).await.1;
        return AddPartitionsToTxnResponse::default().with_results_by_topic_v3_and_below(topics(results));
    }
    let mut results = Vec::with_capacity(request.transactions.len());
    for transaction in request.transactions {
        let (id, answers) = add(ctx, transaction).await;
        let result = AddPartitionsToTxnResult::default().with_transactional_id(id).with_topic_results(topics(answers));
        results.push(result);
    }
    AddPartitionsToTxnResponse::default().with_results_by_transaction(results)
}

type Answers = Vec<(TopicPartition, ErrorCode)>;

async fn add(ctx: &Context<'_>, transaction: AddPartitionsToTxnTransaction) -> (TransactionalId, Answers) {
    let partitions = partitions_of(&transaction.topics);
    let image = ctx.services.metadata.image();
    let exists = |tp: &TopicPartition| image.partition(&tp.topic, tp.partition).is_some();
    if !partitions.iter().all(exists) {
        // One that cannot be added keeps out the others.
        let judge = |tp: TopicPartition| {
            let error = if exists(&tp) { ErrorCode::OperationNotAttempted } else { ErrorCode::UnknownTopicOrPartition };
            (tp, error)
        };
        return (transaction.transactional_id, partitions.into_iter().map(judge).collect());
    }
    let id = shared(&transaction.transactional_id);
    let producer = (transaction.producer_id.0, transaction.producer_epoch);
    let transactions = &ctx.services.transactions;
    let answers = if transaction.verify_only {
        let failed = partitions.clone();
        match transactions.verify_partitions(&id, producer, partitions) {
            Ok(found) => found,
            Err(error) => answer_all(failed, error),
        }
    } else {
        let error = transactions.add_partitions(&id, producer, partitions.clone()).await;
        answer_all(partitions, told_to(ctx.version, error))
    };
    (transaction.transactional_id, answers)
}

fn partitions_of(topics: &[AddPartitionsToTxnTopic]) -> Vec<TopicPartition> {
    let of_topic = |topic: &AddPartitionsToTxnTopic| {
        let name = shared(&topic.name);
        topic.partitions.iter().map(move |index| TopicPartition::new(Arc::clone(&name), *index)).collect::<Vec<_>>()
    };
    topics.iter().flat_map(of_topic).collect()
}

fn answer_all(partitions: Vec<TopicPartition>, error: ErrorCode) -> Answers {
    partitions.into_iter().map(|tp| (tp, error)).collect()
}

pub(super) fn topics(answers: Answers) -> Vec<AddPartitionsToTxnTopicResult> {
    let partition = |(index, error): (i32, ErrorCode)| {
        AddPartitionsToTxnPartitionResult::default().with_partition_index(index).with_partition_error_code(error.code())
    };
    let topics = by_topic(answers).into_iter().map(|(name, partitions)| {
        AddPartitionsToTxnTopicResult::default()
            .with_name(topic_name(&name))
            .with_results_by_partition(partitions.into_iter().map(partition).collect())
    });
    topics.collect()
}
