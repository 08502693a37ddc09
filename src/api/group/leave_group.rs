//! LeaveGroup (key 13), v0–5.
//! v1 throttle time · v3 several members, static membership (KIP-345) · v4 flexible · v5 reason (KIP-800)

use kafka_protocol::messages::{
    LeaveGroupRequest, LeaveGroupResponse, leave_group_request::MemberIdentity, leave_group_response::MemberResponse,
};

use super::wire::{shared, shared_option, wire, wire_option};
use crate::{
    api::Context,
    common::ErrorCode,
    coordinator::group::command::{LeaveGroup, LeaveReply, LeavingMember, LeftMember},
};

pub async fn handle(ctx: &Context<'_>, request: LeaveGroupRequest) -> LeaveGroupResponse {
    let has_batch = ctx.version >= 3;
    let command = command(has_batch, &request);
    drop(request);
    respond(has_batch, ctx.services.groups.leave_group(command).await)
}

fn command(has_batch: bool, request: &LeaveGroupRequest) -> LeaveGroup {
    let leaving = |member: &MemberIdentity| LeavingMember {
        member_id: shared(&member.member_id),
        group_instance_id: shared_option(member.group_instance_id.as_ref()),
        reason: shared_option(member.reason.as_ref()),
    };
    let alone = || LeavingMember { member_id: shared(&request.member_id), group_instance_id: None, reason: None };
    LeaveGroup {
        group_id: shared(&request.group_id),
        members: if has_batch { request.members.iter().map(leaving).collect() } else { vec![alone()] },
    }
}

pub(super) fn respond(has_batch: bool, reply: LeaveReply) -> LeaveGroupResponse {
    if !has_batch {
        // One member, whose error is the request's.
        let of_member = reply.members.first().map_or(ErrorCode::None, |member| member.error);
        let error = if reply.error.is_none() { of_member } else { reply.error };
        return LeaveGroupResponse::default().with_error_code(error.code());
    }
    let member = |left: LeftMember| {
        MemberResponse::default()
            .with_member_id(wire(&left.member_id))
            .with_group_instance_id(wire_option(left.group_instance_id.as_ref()))
            .with_error_code(left.error.code())
    };
    LeaveGroupResponse::default()
        .with_error_code(reply.error.code())
        .with_members(reply.members.into_iter().map(member).collect())
}
