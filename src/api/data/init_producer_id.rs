//! InitProducerId (key 22), v0–5 (KIP-98).
//! v2 flexible · v3 current id and epoch (KIP-360) · v4 PRODUCER_FENCED · v5 as v4 (KIP-890)

use std::sync::Arc;

use futures::future::BoxFuture;
use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};

use crate::{
    api::Context,
    common::{
        ErrorCode, ProducerEpoch,
        ids::{NO_PRODUCER_EPOCH, NO_PRODUCER_ID},
    },
    coordinator::transaction::InitProducerId,
};

pub async fn handle(ctx: &Context<'_>, request: InitProducerIdRequest) -> InitProducerIdResponse {
    match producer_id(ctx, &request).await {
        Ok((id, epoch)) => {
            InitProducerIdResponse::default().with_producer_id(ProducerId(id)).with_producer_epoch(epoch)
        }
        Err(code) => InitProducerIdResponse::default()
            .with_error_code(told_to(ctx.version, code).code())
            .with_producer_id(ProducerId(NO_PRODUCER_ID))
            .with_producer_epoch(NO_PRODUCER_EPOCH),
    }
}

async fn producer_id(ctx: &Context<'_>, request: &InitProducerIdRequest) -> Result<(i64, ProducerEpoch), ErrorCode> {
    let (id, epoch) = (request.producer_id.0, request.producer_epoch);
    // Both or neither.
    if (id == NO_PRODUCER_ID) != (epoch == NO_PRODUCER_EPOCH) {
        return Err(ErrorCode::InvalidRequest);
    }
    let services = &ctx.services;
    let fresh_id = || -> BoxFuture<'_, _> { Box::pin(services.producer_ids.next_id()) };
    let Some(transactional_id) = request.transactional_id.as_ref() else {
        // An idempotent producer gets a new id each time, whatever it had.
        return Ok((fresh_id().await?, 0));
    };
    let command = InitProducerId {
        transactional_id: Arc::from(transactional_id.as_str()),
        timeout_ms: request.transaction_timeout_ms,
        expected: (id != NO_PRODUCER_ID).then_some((id, epoch)),
    };
    services.transactions.init_producer_id(command, fresh_id).await
}

/// Versions below 4 know no PRODUCER_FENCED; INVALID_PRODUCER_EPOCH makes their clients do the same.
fn told_to(version: i16, error: ErrorCode) -> ErrorCode {
    if version < 4 && error == ErrorCode::ProducerFenced { ErrorCode::InvalidProducerEpoch } else { error }
}
