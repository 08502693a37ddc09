//! DescribeGroups.

use kafka_protocol::messages::{DescribeGroupsRequest, DescribeGroupsResponse};

use crate::api::Context;

#[allow(clippy::unused_async)]
pub async fn handle(_ctx: &Context, _request: DescribeGroupsRequest) -> DescribeGroupsResponse {
    todo!()
}
