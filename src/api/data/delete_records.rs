//! DeleteRecords.

use kafka_protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse};

use crate::api::Context;

#[allow(clippy::unused_async)]
pub async fn handle(_ctx: &Context, _request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    todo!()
}
