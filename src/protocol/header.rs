//! Request headers v0–2 (class `RequestHeader`).

use bytes::{Buf, BytesMut};
use kafka_protocol::{messages::ApiKey, protocol::StrBytes};

/// What stands before every request's body.
#[derive(Debug, Clone)]
pub struct RequestHeader {
    pub api_key: i16,
    pub api_version: i16,
    pub correlation_id: i32,
    /// Empty for null.
    pub client_id: StrBytes,
}

/// Why a header cannot be read. The connection is closed, as in Kafka.
#[derive(Debug, thiserror::Error)]
pub enum HeaderError {
    #[error("request header is cut short")]
    Truncated,
    #[error("client id is not UTF-8")]
    ClientId,
}

impl RequestHeader {
    /// Takes the header off the front of `frame`. Keys and versions that are not known are read as far as every header
    /// version agrees, so that the caller can refuse them by name.
    pub fn parse(frame: &mut BytesMut) -> Result<Self, HeaderError> {
        if frame.len() < 8 {
            return Err(HeaderError::Truncated);
        }
        let api_key = frame.get_i16();
        let api_version = frame.get_i16();
        let correlation_id = frame.get_i32();
        let header_version = header_version(api_key, api_version);
        let mut header = Self { api_key, api_version, correlation_id, client_id: StrBytes::default() };
        if header_version >= 1 {
            header.client_id = take_client_id(frame)?;
        }
        if header_version >= 2 {
            skip_tagged_fields(frame)?;
        }
        Ok(header)
    }
}

fn header_version(api_key: i16, api_version: i16) -> i16 {
    match ApiKey::try_from(api_key) {
        // A newer ApiVersions than ours still has a header we can read.
        Ok(key) => key.request_header_version(api_version.min(key.valid_versions().max)),
        Err(()) => 0,
    }
}

fn take_client_id(frame: &mut BytesMut) -> Result<StrBytes, HeaderError> {
    if frame.len() < 2 {
        return Err(HeaderError::Truncated);
    }
    let length = frame.get_i16();
    let Ok(length) = usize::try_from(length) else { return Ok(StrBytes::default()) };
    if frame.len() < length {
        return Err(HeaderError::Truncated);
    }
    // Copied, not sliced: a slice would share the frame, and the produce path wants it unshared and mutable.
    let text = std::str::from_utf8(&frame[..length]).map_err(|_| HeaderError::ClientId)?.to_owned();
    frame.advance(length);
    Ok(StrBytes::from_string(text))
}

fn skip_tagged_fields(frame: &mut BytesMut) -> Result<(), HeaderError> {
    let count = take_unsigned_varint(frame)?;
    for _ in 0..count {
        take_unsigned_varint(frame)?;
        let size = take_unsigned_varint(frame)? as usize;
        if frame.len() < size {
            return Err(HeaderError::Truncated);
        }
        frame.advance(size);
    }
    Ok(())
}

fn take_unsigned_varint(frame: &mut BytesMut) -> Result<u32, HeaderError> {
    let mut value = 0u32;
    for shift in (0..35).step_by(7) {
        if !frame.has_remaining() {
            return Err(HeaderError::Truncated);
        }
        let byte = frame.get_u8();
        value |= u32::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(HeaderError::Truncated)
}
