//! ApiVersions (key 18), v0–4.
//! v3 flexible, client name and version (KIP-511), features (KIP-584) · the response header is always v0.

use bytes::BytesMut;
use kafka_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse, api_versions_response::ApiVersion};

use crate::{
    api::{
        BadRequest, Context, Reply,
        dispatch::{decode, encode, encode_as},
        table::API_TABLE,
    },
    common::ErrorCode,
};

#[allow(clippy::unused_async)]
pub async fn handle(ctx: &Context, body: BytesMut) -> Result<Reply, BadRequest> {
    let request: ApiVersionsRequest = decode(ctx, body)?;
    let valid = ctx.version < 3
        || (is_software_name(&request.client_software_name) && is_software_name(&request.client_software_version));
    if !valid {
        return encode(ctx, &ApiVersionsResponse::default().with_error_code(ErrorCode::InvalidRequest.code()));
    }
    encode(ctx, &served())
}

/// A version we don't know is answered in version 0, with the ranges, so that the client can come again.
pub fn unsupported_version(ctx: &Context) -> Result<Reply, BadRequest> {
    encode_as(ctx, &served().with_error_code(ErrorCode::UnsupportedVersion.code()), 0)
}

fn served() -> ApiVersionsResponse {
    let keys = API_TABLE.iter().map(|row| {
        ApiVersion::default().with_api_key(row.key).with_min_version(row.min_version).with_max_version(row.max_version)
    });
    ApiVersionsResponse::default().with_api_keys(keys.collect()).with_finalized_features_epoch(0)
}

/// `[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?` (KIP-511).
fn is_software_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    first.is_ascii_alphanumeric()
        && last.is_ascii_alphanumeric()
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
}
