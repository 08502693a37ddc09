//! ListGroups.

use kafka_protocol::messages::{ListGroupsRequest, ListGroupsResponse};

use crate::api::Context;

#[allow(clippy::unused_async)]
pub async fn handle(_ctx: &Context, _request: ListGroupsRequest) -> ListGroupsResponse {
    todo!()
}
