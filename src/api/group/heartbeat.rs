//! Heartbeat (key 12), v0–4.
//! v1 throttle time · v3 static membership (KIP-345) · v4 flexible

use kafka_protocol::messages::{HeartbeatRequest, HeartbeatResponse};

use super::wire::{shared, shared_option};
use crate::{api::Context, coordinator::group::command::Heartbeat};

#[allow(clippy::unused_async)]
pub async fn handle(ctx: &Context, request: HeartbeatRequest) -> HeartbeatResponse {
    let command = Heartbeat {
        group_id: shared(&request.group_id),
        generation: request.generation_id,
        member_id: shared(&request.member_id),
        group_instance_id: shared_option(request.group_instance_id.as_ref()),
    };
    HeartbeatResponse::default().with_error_code(ctx.services.groups.heartbeat(&command).code())
}
