//! SyncGroup.

use kafka_protocol::messages::{SyncGroupRequest, SyncGroupResponse};

use crate::api::Context;

#[allow(clippy::unused_async)]
pub async fn handle(_ctx: &Context, _request: SyncGroupRequest) -> SyncGroupResponse {
    todo!()
}
