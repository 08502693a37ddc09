//! CreatePartitions.

use kafka_protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse};

use crate::api::Context;

#[allow(clippy::unused_async)]
pub async fn handle(_ctx: &Context, _request: CreatePartitionsRequest) -> CreatePartitionsResponse {
    todo!()
}
