//! FindCoordinator.

use kafka_protocol::messages::{FindCoordinatorRequest, FindCoordinatorResponse};

use crate::api::Context;

#[allow(clippy::unused_async)]
pub async fn handle(_ctx: &Context, _request: FindCoordinatorRequest) -> FindCoordinatorResponse {
    todo!()
}
