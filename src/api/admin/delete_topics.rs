//! DeleteTopics.

use kafka_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse};

use crate::api::Context;

#[allow(clippy::unused_async)]
pub async fn handle(_ctx: &Context, _request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    todo!()
}
