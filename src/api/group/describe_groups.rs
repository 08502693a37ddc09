//! DescribeGroups (key 15), v0–5.
//! v1 throttle time · v3 authorized operations (KIP-430) · v4 instance id (KIP-345) · v5 flexible

use kafka_protocol::messages::{
    DescribeGroupsRequest, DescribeGroupsResponse, GroupId,
    describe_groups_response::{DescribedGroup, DescribedGroupMember},
};

use super::wire::{wire, wire_option};
use crate::{
    api::Context,
    coordinator::group::command::{GroupDescription, MemberDescription},
};

/// Read, delete and describe, as bits of `AclOperation`: without an authorizer everything a group knows is allowed.
const ALL_GROUP_OPERATIONS: i32 = (1 << 3) | (1 << 6) | (1 << 8);

#[allow(clippy::unused_async)]
pub async fn handle(ctx: &Context<'_>, request: DescribeGroupsRequest) -> DescribeGroupsResponse {
    let has_operations = ctx.version >= 3 && request.include_authorized_operations;
    let has_instance_id = ctx.version >= 4;
    let describe = |group_id: &GroupId| {
        let described = DescribedGroup::default().with_group_id(GroupId(wire(group_id)));
        match ctx.services.groups.describe_group(group_id) {
            Err(error) => described.with_error_code(error.code()),
            Ok(group) => {
                let described = fill(described, group, has_instance_id);
                if has_operations { described.with_authorized_operations(ALL_GROUP_OPERATIONS) } else { described }
            }
        }
    };
    DescribeGroupsResponse::default().with_groups(request.groups.iter().map(describe).collect())
}

pub(super) fn fill(described: DescribedGroup, group: GroupDescription, has_instance_id: bool) -> DescribedGroup {
    let member = |member: MemberDescription| {
        DescribedGroupMember::default()
            .with_member_id(wire(&member.member_id))
            .with_group_instance_id(wire_option(member.group_instance_id.as_ref().filter(|_| has_instance_id)))
            .with_client_id(wire(&member.client_id))
            .with_client_host(wire(&member.client_host))
            .with_member_metadata(member.metadata)
            .with_member_assignment(member.assignment)
    };
    described
        .with_group_state(wire(group.state))
        .with_protocol_type(wire(&group.protocol_type))
        .with_protocol_data(wire(&group.protocol))
        .with_members(group.members.into_iter().map(member).collect())
}
