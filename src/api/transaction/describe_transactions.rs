//! DescribeTransactions (key 65), v0 (KIP-664).

use kafka_protocol::messages::{
    DescribeTransactionsRequest, DescribeTransactionsResponse, ProducerId, TransactionalId,
    describe_transactions_response::{TopicData, TransactionState},
};

use crate::{
    api::{
        Context,
        group::wire::{by_topic, topic_name, wire},
    },
    common::ErrorCode,
    coordinator::transaction::TransactionDescription,
};

#[allow(clippy::unused_async)]
pub async fn handle(ctx: &Context<'_>, request: DescribeTransactionsRequest) -> DescribeTransactionsResponse {
    let states = request.transactional_ids.into_iter().map(|id| {
        let found = ctx.services.transactions.describe(&id);
        respond(id, found)
    });
    DescribeTransactionsResponse::default().with_transaction_states(states.collect())
}

pub(super) fn respond(id: TransactionalId, found: Result<TransactionDescription, ErrorCode>) -> TransactionState {
    let state = TransactionState::default().with_transactional_id(id);
    let found = match found {
        Ok(found) => found,
        Err(error) => return state.with_error_code(error.code()),
    };
    let topics = by_topic(found.partitions.into_iter().map(|tp| (tp, ()))).into_iter().map(|(name, partitions)| {
        TopicData::default()
            .with_topic(topic_name(&name))
            .with_partitions(partitions.into_iter().map(|(index, ())| index).collect())
    });
    state
        .with_producer_id(ProducerId(found.producer_id))
        .with_producer_epoch(found.producer_epoch)
        .with_transaction_state(wire(found.state.name()))
        .with_transaction_timeout_ms(found.timeout_ms)
        .with_transaction_start_time_ms(found.start_timestamp)
        .with_topics(topics.collect())
}
