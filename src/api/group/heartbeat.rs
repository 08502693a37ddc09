//! Heartbeat (key 12), v0–4.
//! v1 throttle time · v3 static membership (KIP-345) · v4 flexible

use kafka_protocol::messages::{HeartbeatRequest, HeartbeatResponse};

use crate::{api::Context, coordinator::group::command::Heartbeat};

#[allow(clippy::unused_async)]
pub async fn handle(ctx: &Context<'_>, request: HeartbeatRequest) -> HeartbeatResponse {
    let command = Heartbeat {
        group_id: request.group_id.as_str(),
        generation: request.generation_id,
        member_id: request.member_id.as_str(),
        group_instance_id: request.group_instance_id.as_deref(),
    };
    HeartbeatResponse::default().with_error_code(ctx.services.groups.heartbeat(command).code())
}
