//! DescribeLogDirs.

use kafka_protocol::messages::{DescribeLogDirsRequest, DescribeLogDirsResponse};

use crate::api::Context;

#[allow(clippy::unused_async)]
pub async fn handle(_ctx: &Context, _request: DescribeLogDirsRequest) -> DescribeLogDirsResponse {
    todo!()
}
