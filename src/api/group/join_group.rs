//! JoinGroup.

use kafka_protocol::messages::{JoinGroupRequest, JoinGroupResponse};

use crate::api::Context;

#[allow(clippy::unused_async)]
pub async fn handle(_ctx: &Context, _request: JoinGroupRequest) -> JoinGroupResponse {
    todo!()
}
