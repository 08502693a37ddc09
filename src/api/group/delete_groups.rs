//! DeleteGroups (key 42), v0–2 (KIP-229).
//! v2 flexible

use indexmap::IndexSet;
use kafka_protocol::messages::{
    DeleteGroupsRequest, DeleteGroupsResponse, GroupId, delete_groups_response::DeletableGroupResult,
};

use super::wire::wire;
use crate::api::Context;

pub async fn handle(ctx: &Context<'_>, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    let names: IndexSet<&str> = request.groups_names.iter().map(|name| name.as_str()).collect();
    let mut results = Vec::with_capacity(names.len());
    for name in names {
        let error = ctx.services.groups.delete_group(name).await;
        let result = DeletableGroupResult::default().with_group_id(GroupId(wire(name)));
        results.push(result.with_error_code(error.code()));
    }
    DeleteGroupsResponse::default().with_results(results)
}
