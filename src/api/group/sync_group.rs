//! SyncGroup (key 14), v0–5.
//! v1 throttle time · v3 static membership (KIP-345) · v4 flexible · v5 protocol type and name are mandatory (KIP-559)

use bytes::Bytes;
use kafka_protocol::messages::{SyncGroupRequest, SyncGroupResponse};

use super::wire::{shared, shared_option, wire_option};
use crate::{
    api::Context,
    common::ErrorCode,
    coordinator::group::command::{SyncGroup, SyncReply},
};

pub async fn handle(ctx: &Context<'_>, request: SyncGroupRequest) -> SyncGroupResponse {
    if ctx.version >= 5 && (request.protocol_type.is_none() || request.protocol_name.is_none()) {
        return respond(SyncReply::error(ErrorCode::InconsistentGroupProtocol));
    }
    let command = SyncGroup {
        group_id: request.group_id.as_str(),
        generation: request.generation_id,
        member_id: shared(&request.member_id),
        group_instance_id: shared_option(request.group_instance_id.as_ref()),
        protocol_type: request.protocol_type.as_deref(),
        protocol_name: request.protocol_name.as_deref(),
        assignment: request
            .assignments
            .iter()
            .map(|share| (shared(&share.member_id), Bytes::copy_from_slice(&share.assignment)))
            .collect(),
    };
    let reply = ctx.services.groups.sync_group(command);
    drop(request);
    respond(reply.await)
}

pub(super) fn respond(reply: SyncReply) -> SyncGroupResponse {
    SyncGroupResponse::default()
        .with_error_code(reply.error.code())
        .with_protocol_type(wire_option(reply.protocol_type.as_ref()))
        .with_protocol_name(wire_option(reply.protocol_name.as_ref()))
        .with_assignment(reply.assignment)
}
