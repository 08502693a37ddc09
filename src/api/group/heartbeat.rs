//! Heartbeat (key 12), v0–4.
//! v1 throttle time · v3 static membership (KIP-345) · v4 flexible

use bytes::BytesMut;

use super::wire::{framed, malformed};
use crate::{
    api::{BadRequest, Context, Reply},
    coordinator::group::command::Heartbeat,
    protocol::hot::group::{HeartbeatRequest, encode_heartbeat},
};

pub fn handle(ctx: &Context<'_>, body: BytesMut) -> Result<Reply, BadRequest> {
    let request = HeartbeatRequest::decode(ctx.version, &body).map_err(|fault| malformed(ctx, fault))?;
    let error = ctx.services.groups.heartbeat(Heartbeat {
        group_id: request.group_id,
        generation: request.generation_id,
        member_id: request.member_id,
        group_instance_id: request.group_instance_id,
    });
    framed(ctx, error, encode_heartbeat(ctx.correlation_id, ctx.version, error))
}
