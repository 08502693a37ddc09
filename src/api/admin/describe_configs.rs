//! DescribeConfigs.

use kafka_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};

use crate::api::Context;

#[allow(clippy::unused_async)]
pub async fn handle(_ctx: &Context, _request: DescribeConfigsRequest) -> DescribeConfigsResponse {
    todo!()
}
