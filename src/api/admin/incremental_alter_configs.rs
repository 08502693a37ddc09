//! IncrementalAlterConfigs.

use kafka_protocol::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};

use crate::api::Context;

#[allow(clippy::unused_async)]
pub async fn handle(_ctx: &Context, _request: IncrementalAlterConfigsRequest) -> IncrementalAlterConfigsResponse {
    todo!()
}
