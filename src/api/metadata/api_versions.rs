//! ApiVersions (key 18), v0–4.
//! v3 flexible, client name and version (KIP-511), features (KIP-584) · the response header is always v0.

use bytes::BytesMut;
use kafka_protocol::{
    messages::{ApiVersionsRequest, ApiVersionsResponse, api_versions_response::ApiVersion},
    protocol::Request,
};

use crate::{
    api::{
        BadRequest, Context, Reply,
        dispatch::{decode, encode, encode_as},
        table::{API_TABLE, ApiRow},
    },
    common::ErrorCode,
};

#[allow(clippy::unused_async)]
pub async fn handle(ctx: &Context<'_>, body: BytesMut) -> Result<Reply, BadRequest> {
    let request: ApiVersionsRequest = decode(ctx, body)?;
    let valid = ctx.version < 3
        || (is_software_name(&request.client_software_name) && is_software_name(&request.client_software_version));
    let response =
        if valid { served() } else { ApiVersionsResponse::default().with_error_code(ErrorCode::InvalidRequest.code()) };
    ctx.count_errors(&response);
    encode(ctx, &response)
}

/// A version we don't know is answered in version 0, with this API's own range alone, so that the client can come again
/// (KIP-511).
pub fn unsupported_version(ctx: &Context<'_>) -> Result<Reply, BadRequest> {
    let response = unsupported();
    ctx.count_errors(&response);
    encode_as(ctx, &response, 0)
}

fn unsupported() -> ApiVersionsResponse {
    let own = API_TABLE.iter().filter(|row| row.key == ApiVersionsRequest::KEY).map(range);
    ApiVersionsResponse::default().with_error_code(ErrorCode::UnsupportedVersion.code()).with_api_keys(own.collect())
}

fn served() -> ApiVersionsResponse {
    ApiVersionsResponse::default().with_api_keys(API_TABLE.iter().map(range).collect()).with_finalized_features_epoch(0)
}

fn range(row: &ApiRow) -> ApiVersion {
    ApiVersion::default().with_api_key(row.key).with_min_version(row.min_version).with_max_version(row.max_version)
}

/// `[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?` (KIP-511).
fn is_software_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    first.is_ascii_alphanumeric()
        && last.is_ascii_alphanumeric()
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_in_a_version_of_the_future_learns_which_ones_there_are() {
        let answer = unsupported();
        assert_eq!(answer.error_code, ErrorCode::UnsupportedVersion.code());
        let ranges: Vec<_> =
            answer.api_keys.iter().map(|key| (key.api_key, key.min_version, key.max_version)).collect();
        assert_eq!(ranges, [(18, 0, 4)]);
    }
}
