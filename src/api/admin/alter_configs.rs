//! AlterConfigs.

use kafka_protocol::messages::{AlterConfigsRequest, AlterConfigsResponse};

use crate::api::Context;

#[allow(clippy::unused_async)]
pub async fn handle(_ctx: &Context, _request: AlterConfigsRequest) -> AlterConfigsResponse {
    todo!()
}
