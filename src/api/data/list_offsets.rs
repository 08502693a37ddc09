//! ListOffsets.

use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};

use crate::api::Context;

#[allow(clippy::unused_async)]
pub async fn handle(_ctx: &Context, _request: ListOffsetsRequest) -> ListOffsetsResponse {
    todo!()
}
