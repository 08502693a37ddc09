//! CreateTopics.

use kafka_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse};

use crate::api::Context;

#[allow(clippy::unused_async)]
pub async fn handle(_ctx: &Context, _request: CreateTopicsRequest) -> CreateTopicsResponse {
    todo!()
}
