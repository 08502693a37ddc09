//! OffsetCommit.

use kafka_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse};

use crate::api::Context;

#[allow(clippy::unused_async)]
pub async fn handle(_ctx: &Context, _request: OffsetCommitRequest) -> OffsetCommitResponse {
    todo!()
}
