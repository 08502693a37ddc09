//! DeleteGroups.

use kafka_protocol::messages::{DeleteGroupsRequest, DeleteGroupsResponse};

use crate::api::Context;

#[allow(clippy::unused_async)]
pub async fn handle(_ctx: &Context, _request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    todo!()
}
