//! ListGroups (key 16), v0–5.
//! v1 throttle time · v3 flexible · v4 filter and tell states (KIP-518) · v5 filter and tell types (KIP-848)

use kafka_protocol::messages::{GroupId, ListGroupsRequest, ListGroupsResponse, list_groups_response::ListedGroup};

use super::wire::wire;
use crate::{api::Context, coordinator::group::command::GroupOverview};

/// The only type this coordinator has (`Group.GroupType`).
const CLASSIC: &str = "classic";

#[allow(clippy::unused_async)]
pub async fn handle(ctx: &Context<'_>, request: ListGroupsRequest) -> ListGroupsResponse {
    let (error, groups) = ctx.services.groups.list_groups();
    let is_asked_type = request.types_filter.is_empty()
        || request.types_filter.iter().any(|asked| asked.as_str().eq_ignore_ascii_case(CLASSIC));
    let is_asked = |group: &GroupOverview| {
        is_asked_type
            && (request.states_filter.is_empty()
                || request.states_filter.iter().any(|asked| asked.as_str().eq_ignore_ascii_case(group.state)))
    };
    let listed = |group: GroupOverview| {
        ListedGroup::default()
            .with_group_id(GroupId(wire(&group.group_id)))
            .with_protocol_type(wire(&group.protocol_type))
            .with_group_state(wire(if ctx.version >= 4 { group.state } else { "" }))
            .with_group_type(wire(if ctx.version >= 5 { CLASSIC } else { "" }))
    };
    ListGroupsResponse::default()
        .with_error_code(error.code())
        .with_groups(groups.into_iter().filter(is_asked).map(listed).collect())
}
