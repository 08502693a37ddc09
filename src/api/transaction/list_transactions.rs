//! ListTransactions (key 66), v0–1 (KIP-664).
//! v1 only those open for longer than a duration (KIP-994)

use kafka_protocol::messages::{
    ListTransactionsRequest, ListTransactionsResponse, ProducerId, TransactionalId,
    list_transactions_response::TransactionState as ListedTransaction,
};

use crate::{
    api::{Context, group::wire::wire},
    coordinator::transaction::{TransactionFilter, TransactionOverview, TransactionState},
};

#[allow(clippy::unused_async)]
pub async fn handle(ctx: &Context<'_>, request: ListTransactionsRequest) -> ListTransactionsResponse {
    let (known, unknown): (Vec<_>, Vec<_>) =
        request.state_filters.iter().cloned().partition(|name| TransactionState::from_name(name).is_some());
    let states = known.iter().filter_map(|name| TransactionState::from_name(name)).collect();
    let filter = TransactionFilter {
        producer_ids: request.producer_id_filters.iter().map(|id| id.0).collect(),
        states: (!request.state_filters.is_empty()).then_some(states),
        duration_ms: request.duration_filter,
    };
    match ctx.services.transactions.list(&filter) {
        Err(error) => ListTransactionsResponse::default().with_error_code(error.code()),
        Ok(found) => ListTransactionsResponse::default()
            .with_unknown_state_filters(unknown)
            .with_transaction_states(found.into_iter().map(listed).collect()),
    }
}

fn listed(transaction: TransactionOverview) -> ListedTransaction {
    ListedTransaction::default()
        .with_transactional_id(TransactionalId(wire(&transaction.transactional_id)))
        .with_producer_id(ProducerId(transaction.producer_id))
        .with_transaction_state(wire(transaction.state.name()))
}
