//! OffsetFetch.

use kafka_protocol::messages::{OffsetFetchRequest, OffsetFetchResponse};

use crate::api::Context;

#[allow(clippy::unused_async)]
pub async fn handle(_ctx: &Context, _request: OffsetFetchRequest) -> OffsetFetchResponse {
    todo!()
}
