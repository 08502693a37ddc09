//! SyncGroup (key 14), v0–5.
//! v1 throttle time · v3 static membership (KIP-345) · v4 flexible · v5 protocol type and name are mandatory (KIP-559)

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::wire::{framed, malformed};
use crate::{
    api::{BadRequest, Context, Reply},
    common::ErrorCode,
    coordinator::group::command::{SyncGroup, SyncReply},
    protocol::hot::group::{SyncGroupRequest, SyncGroupResponse},
};

pub async fn handle(ctx: &Context<'_>, body: BytesMut) -> Result<Reply, BadRequest> {
    let request = SyncGroupRequest::decode(ctx.version, &body).map_err(|fault| malformed(ctx, fault))?;
    let reply = if ctx.version >= 5 && (request.protocol_type.is_none() || request.protocol_name.is_none()) {
        SyncReply::error(ErrorCode::InconsistentGroupProtocol)
    } else {
        let reply = ctx.services.groups.sync_group(command(&request));
        // What waits for the leader's assignment needs nothing of the request.
        drop(request);
        drop(body);
        reply.await
    };
    framed(ctx, reply.error, response(&reply).encode(ctx.correlation_id, ctx.version))
}

fn command<'a>(request: &SyncGroupRequest<'a>) -> SyncGroup<'a> {
    let share = |(member, share): &(&str, &[u8])| (Arc::from(*member), Bytes::copy_from_slice(share));
    SyncGroup {
        group_id: request.group_id,
        generation: request.generation_id,
        member_id: request.member_id.into(),
        group_instance_id: request.group_instance_id.map(Arc::from),
        protocol_type: request.protocol_type,
        protocol_name: request.protocol_name,
        assignment: request.assignments.iter().map(share).collect(),
    }
}

pub(super) fn response(reply: &SyncReply) -> SyncGroupResponse<'_> {
    SyncGroupResponse {
        error: reply.error,
        protocol_type: reply.protocol_type.as_deref(),
        protocol_name: reply.protocol_name.as_deref(),
        assignment: &reply.assignment,
    }
}
