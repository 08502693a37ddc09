//! Heartbeat.

use kafka_protocol::messages::{HeartbeatRequest, HeartbeatResponse};

use crate::api::Context;

#[allow(clippy::unused_async)]
pub async fn handle(_ctx: &Context, _request: HeartbeatRequest) -> HeartbeatResponse {
    todo!()
}
