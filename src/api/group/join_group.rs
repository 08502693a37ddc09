//! JoinGroup (key 11), v0–9.
//! v1 rebalance timeout · v2 throttle time · v4 MEMBER_ID_REQUIRED (KIP-394) · v5 static membership (KIP-345) ·
//! v6 flexible · v7 protocol type, nullable protocol name · v8 reason (KIP-800) · v9 skip assignment (KIP-814)

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use uuid::Uuid;

use super::wire::{framed, malformed};
use crate::{
    api::{BadRequest, Context, Reply},
    common::chance,
    coordinator::group::command::{JoinGroup, JoinReply, JoinedMember},
    protocol::hot::group::{JoinGroupRequest, JoinGroupResponse, JoinedMember as MemberOut},
};

pub async fn handle(ctx: &Context<'_>, body: BytesMut) -> Result<Reply, BadRequest> {
    let request = JoinGroupRequest::decode(ctx.version, &body).map_err(|fault| malformed(ctx, fault))?;
    let reply = ctx.services.groups.join_group(command(ctx, &request));
    // What waits for the others needs nothing of the request.
    drop(request);
    drop(body);
    let reply = reply.await;
    framed(ctx, reply.error, response(&reply).encode(ctx.correlation_id, ctx.version))
}

fn command<'a>(ctx: &'a Context<'_>, request: &JoinGroupRequest<'a>) -> JoinGroup<'a> {
    let protocol = |(name, metadata): &(&str, &[u8])| (Arc::from(*name), Bytes::copy_from_slice(metadata));
    JoinGroup {
        group_id: request.group_id,
        member_id: request.member_id.into(),
        group_instance_id: request.group_instance_id.map(Arc::from),
        requires_known_member_id: ctx.version >= 4 && request.group_instance_id.is_none(),
        can_skip_assignment: ctx.version >= 9,
        client_id: ctx.client_id.as_str(),
        client_host: &ctx.connection.client_host,
        // Before v1 a rebalance took as long as a session at most.
        rebalance_timeout_ms: if ctx.version == 0 { request.session_timeout_ms } else { request.rebalance_timeout_ms },
        session_timeout_ms: request.session_timeout_ms,
        protocol_type: request.protocol_type,
        protocols: request.protocols.iter().map(protocol).collect(),
        reason: request.reason,
        fresh_id: if request.member_id.is_empty() { chance::uuid() } else { Uuid::nil() },
    }
}

pub(super) fn response(
    reply: &JoinReply,
) -> JoinGroupResponse<'_, impl ExactSizeIterator<Item = MemberOut<'_>> + Clone> {
    JoinGroupResponse {
        error: reply.error,
        generation_id: reply.generation,
        protocol_type: reply.protocol_type.as_deref(),
        // An empty name counts as none.
        protocol_name: reply.protocol_name.as_deref().filter(|name| !name.is_empty()),
        leader: &reply.leader,
        skip_assignment: reply.skip_assignment,
        member_id: &reply.member_id,
        members: reply.members.iter().map(member),
    }
}

fn member(member: &JoinedMember) -> MemberOut<'_> {
    MemberOut {
        member_id: &member.member_id,
        group_instance_id: member.group_instance_id.as_deref(),
        metadata: &member.metadata,
    }
}
