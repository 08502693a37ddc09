//! DescribeCluster.

use kafka_protocol::messages::{DescribeClusterRequest, DescribeClusterResponse};

use crate::api::Context;

#[allow(clippy::unused_async)]
pub async fn handle(_ctx: &Context, _request: DescribeClusterRequest) -> DescribeClusterResponse {
    todo!()
}
