//! From a frame to its handler and back (class `KafkaApis.handle`).

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::{messages::ApiKey, protocol::Encodable};
use smallvec::{SmallVec, smallvec};

use super::{ConnectionInfo, Context, Services, metadata::api_versions, table, table::Handler};
use crate::protocol::{chunk::Chunk, guard, header::RequestHeader};

/// What goes back to the connection.
#[derive(Debug)]
pub enum Reply {
    /// A whole response frame with its length, in wire order.
    Frame(SmallVec<[Chunk; 1]>),
    /// Produce with acks=0: nothing is sent.
    Nothing,
    /// Produce with acks=0 that failed: the only way to tell the client is to hang up.
    Close,
}

/// A request that gets no answer but a closed connection, as in Kafka; the text is for one log line.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadRequest(pub String);

/// Runs the request in `frame` (without its length) and returns its response frame.
pub async fn dispatch(
    services: &Arc<Services>,
    connection: &Arc<ConnectionInfo>,
    mut frame: BytesMut,
) -> Result<Reply, BadRequest> {
    let header = RequestHeader::parse(&mut frame).map_err(|fault| BadRequest(fault.to_string()))?;
    let context = Context {
        services,
        connection,
        api_key: header.api_key,
        version: header.api_version,
        correlation_id: header.correlation_id,
        client_id: header.client_id,
    };
    let Some(row) = table::row(header.api_key) else {
        return Err(BadRequest(format!("api key {} is not served", header.api_key)));
    };
    if !(row.min_version..=row.max_version).contains(&header.api_version) {
        if header.api_key == ApiKey::ApiVersions as i16 {
            return api_versions::unsupported_version(&context);
        }
        return Err(BadRequest(format!("{} version {} is not served", row.name, header.api_version)));
    }
    services.request_metrics.received(header.api_key, header.api_version);
    match row.handler {
        Handler::Now(handle) => handle(&context, frame),
        Handler::Later(handle) => handle(&context, frame).await,
    }
}

/// Decodes a body that the guard has let through.
pub fn decode<R: kafka_protocol::protocol::Request>(ctx: &Context<'_>, body: BytesMut) -> Result<R, BadRequest> {
    let mut body: Bytes = body.freeze();
    guard::check(ctx.api_key, ctx.version, &body).map_err(|fault| BadRequest(fault.to_string()))?;
    R::decode(&mut body, ctx.version).map_err(|fault| {
        BadRequest(format!("cannot parse {:?} version {}: {fault:#}", ApiKey::try_from(R::KEY), ctx.version))
    })
}

/// A response frame: length, header, body.
pub fn encode<R: Encodable + kafka_protocol::protocol::HeaderVersion>(
    ctx: &Context<'_>,
    response: &R,
) -> Result<Reply, BadRequest> {
    encode_as(ctx, response, ctx.version)
}

/// As [`encode`], in another version than the request's (ApiVersions only).
pub fn encode_as<R: Encodable + kafka_protocol::protocol::HeaderVersion>(
    ctx: &Context<'_>,
    response: &R,
    version: i16,
) -> Result<Reply, BadRequest> {
    let fault = |fault| BadRequest(format!("cannot encode response of api {}: {fault:#}", ctx.api_key));
    let header_size = if R::header_version(version) >= 1 { 9 } else { 8 };
    // As large as it will be: then it need not grow, and is frozen without another allocation.
    let mut frame = BytesMut::with_capacity(header_size + response.compute_size(version).map_err(fault)?);
    frame.put_i32(0);
    frame.put_i32(ctx.correlation_id);
    if header_size > 8 {
        frame.put_u8(0);
    }
    response.encode(&mut frame, version).map_err(fault)?;
    let length = i32::try_from(frame.len() - 4).map_err(|_| BadRequest("response over 2 GiB".into()))?;
    frame[..4].copy_from_slice(&length.to_be_bytes());
    Ok(Reply::Frame(smallvec![Chunk::Bytes(frame.freeze())]))
}
