//! LeaveGroup.

use kafka_protocol::messages::{LeaveGroupRequest, LeaveGroupResponse};

use crate::api::Context;

#[allow(clippy::unused_async)]
pub async fn handle(_ctx: &Context, _request: LeaveGroupRequest) -> LeaveGroupResponse {
    todo!()
}
