//! EndTxn (key 26), v0–4.
//! v2 PRODUCER_FENCED · v3 flexible · v4 as v3 (KIP-890)

use kafka_protocol::messages::{EndTxnRequest, EndTxnResponse};

use super::told_to;
use crate::api::{Context, group::wire::shared};

pub async fn handle(ctx: &Context<'_>, request: EndTxnRequest) -> EndTxnResponse {
    let id = shared(&request.transactional_id);
    let producer = (request.producer_id.0, request.producer_epoch);
    let error = ctx.services.transactions.end_transaction(&id, producer, request.committed).await;
    EndTxnResponse::default().with_error_code(told_to(ctx.version, error).code())
}
