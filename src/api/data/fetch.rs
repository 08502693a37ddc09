//! Fetch.

use bytes::BytesMut;

use crate::api::{BadRequest, Context, Reply};

#[allow(clippy::unused_async)]
pub async fn handle(_ctx: &Context, _body: BytesMut) -> Result<Reply, BadRequest> {
    todo!()
}
