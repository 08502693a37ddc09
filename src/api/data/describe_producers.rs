//! DescribeProducers.

use kafka_protocol::messages::{DescribeProducersRequest, DescribeProducersResponse};

use crate::api::Context;

#[allow(clippy::unused_async)]
pub async fn handle(_ctx: &Context, _request: DescribeProducersRequest) -> DescribeProducersResponse {
    todo!()
}
