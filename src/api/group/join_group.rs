//! JoinGroup (key 11), v0–9.
//! v1 rebalance timeout · v2 throttle time · v4 MEMBER_ID_REQUIRED (KIP-394) · v5 static membership (KIP-345) ·
//! v6 flexible · v7 protocol type, nullable protocol name · v8 reason (KIP-800) · v9 skip assignment (KIP-814)

use bytes::Bytes;
use kafka_protocol::messages::{
    JoinGroupRequest, JoinGroupResponse, join_group_request::JoinGroupRequestProtocol,
    join_group_response::JoinGroupResponseMember,
};
use uuid::Uuid;

use super::wire::{shared, shared_option, wire, wire_option};
use crate::{
    api::Context,
    common::{ErrorCode, chance},
    coordinator::group::{
        STRING_BYTES_MAX,
        command::{JoinGroup, JoinReply, JoinedMember},
    },
};

pub async fn handle(ctx: &Context<'_>, request: JoinGroupRequest) -> JoinGroupResponse {
    if has_oversized_text(&request) {
        return respond(ctx.version, JoinReply::error("".into(), ErrorCode::InvalidRequest));
    }
    let reply = ctx.services.groups.join_group(command(ctx, &request));
    drop(request);
    respond(ctx.version, reply.await)
}

fn command<'a>(ctx: &'a Context<'_>, request: &'a JoinGroupRequest) -> JoinGroup<'a> {
    let protocol = |asked: &JoinGroupRequestProtocol| (shared(&asked.name), Bytes::copy_from_slice(&asked.metadata));
    JoinGroup {
        group_id: request.group_id.as_str(),
        member_id: shared(&request.member_id),
        group_instance_id: shared_option(request.group_instance_id.as_ref()),
        requires_known_member_id: ctx.version >= 4 && request.group_instance_id.is_none(),
        can_skip_assignment: ctx.version >= 9,
        client_id: ctx.client_id.as_str(),
        client_host: &ctx.connection.client_host,
        // Before v1 a rebalance took as long as a session at most.
        rebalance_timeout_ms: if ctx.version == 0 { request.session_timeout_ms } else { request.rebalance_timeout_ms },
        session_timeout_ms: request.session_timeout_ms,
        protocol_type: request.protocol_type.as_str(),
        protocols: request.protocols.iter().map(protocol).collect(),
        reason: request.reason.as_deref(),
        fresh_id: if request.member_id.is_empty() { chance::uuid() } else { Uuid::nil() },
    }
}

/// Flexible versions could carry strings that no record of the log can hold.
fn has_oversized_text(request: &JoinGroupRequest) -> bool {
    // A member id is made of one of these and a UUID.
    let stem_bytes_max = STRING_BYTES_MAX - 64;
    request.member_id.len() > STRING_BYTES_MAX
        || request.group_instance_id.as_ref().is_some_and(|id| id.len() > stem_bytes_max)
        || request.protocol_type.len() > STRING_BYTES_MAX
        || request.protocols.iter().any(|protocol| protocol.name.len() > STRING_BYTES_MAX)
}

pub(super) fn respond(version: i16, reply: JoinReply) -> JoinGroupResponse {
    let member = |member: JoinedMember| {
        JoinGroupResponseMember::default()
            .with_member_id(wire(&member.member_id))
            .with_group_instance_id(if version >= 5 { wire_option(member.group_instance_id.as_ref()) } else { None })
            .with_metadata(member.metadata)
    };
    // Null from v7 on, empty before; an empty name counts as none.
    let protocol_name = wire_option(reply.protocol_name.as_ref().filter(|name| !name.is_empty()));
    JoinGroupResponse::default()
        .with_error_code(reply.error.code())
        .with_generation_id(reply.generation)
        .with_protocol_type(wire_option(reply.protocol_type.as_ref()))
        .with_protocol_name(if version >= 7 { protocol_name } else { Some(protocol_name.unwrap_or_default()) })
        .with_leader(wire(&reply.leader))
        .with_skip_assignment(version >= 9 && reply.skip_assignment)
        .with_member_id(wire(&reply.member_id))
        .with_members(reply.members.into_iter().map(member).collect())
}
