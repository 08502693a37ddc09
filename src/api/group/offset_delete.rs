//! OffsetDelete.

use kafka_protocol::messages::{OffsetDeleteRequest, OffsetDeleteResponse};

use crate::api::Context;

#[allow(clippy::unused_async)]
pub async fn handle(_ctx: &Context, _request: OffsetDeleteRequest) -> OffsetDeleteResponse {
    todo!()
}
