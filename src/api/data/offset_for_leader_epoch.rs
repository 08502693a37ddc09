//! OffsetForLeaderEpoch.

use kafka_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};

use crate::api::Context;

#[allow(clippy::unused_async)]
pub async fn handle(_ctx: &Context, _request: OffsetForLeaderEpochRequest) -> OffsetForLeaderEpochResponse {
    todo!()
}
