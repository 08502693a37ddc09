//! Metadata.

use kafka_protocol::messages::{MetadataRequest, MetadataResponse};

use crate::api::Context;

#[allow(clippy::unused_async)]
pub async fn handle(_ctx: &Context, _request: MetadataRequest) -> MetadataResponse {
    todo!()
}
