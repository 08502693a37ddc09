//! InitProducerId (key 22), v0–5 (KIP-98).
//! v2 flexible · v3 current id and epoch (KIP-360) · v4 PRODUCER_FENCED · v5 as v4 (KIP-890)
//!
//! Without a transaction coordinator only idempotent producers are served.

use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};

use crate::{
    api::Context,
    common::{
        ErrorCode,
        ids::{NO_PRODUCER_EPOCH, NO_PRODUCER_ID},
    },
};

pub async fn handle(ctx: &Context, request: InitProducerIdRequest) -> InitProducerIdResponse {
    match producer_id(ctx, &request).await {
        Ok(id) => InitProducerIdResponse::default().with_producer_id(ProducerId(id)).with_producer_epoch(0),
        Err(code) => InitProducerIdResponse::default()
            .with_error_code(code.code())
            .with_producer_id(ProducerId(NO_PRODUCER_ID))
            .with_producer_epoch(NO_PRODUCER_EPOCH),
    }
}

async fn producer_id(ctx: &Context, request: &InitProducerIdRequest) -> Result<i64, ErrorCode> {
    // Both or neither.
    if (request.producer_id.0 == NO_PRODUCER_ID) != (request.producer_epoch == NO_PRODUCER_EPOCH) {
        return Err(ErrorCode::InvalidRequest);
    }
    match request.transactional_id.as_ref().map(|id| id.as_str()) {
        // An idempotent producer gets a new id each time, whatever it had.
        None => ctx.services.producer_ids.next_id(&ctx.services.cluster).await,
        Some("") => Err(ErrorCode::InvalidRequest),
        Some(_) => Err(ErrorCode::CoordinatorNotAvailable),
    }
}
