//! Request headers v0–2 (class `RequestHeader`).

use bytes::{Buf, BytesMut};
use kafka_protocol::messages::ApiKey;
use smallvec::SmallVec;

/// Kafka 3.9's headers define none; a newer client may send a few.
const TAGGED_FIELDS_MAX: u32 = 64;

/// What stands before every request's body.
#[derive(Debug, Clone)]
pub struct RequestHeader {
    pub api_key: i16,
    pub api_version: i16,
    pub correlation_id: i32,
    pub client_id: ClientId,
}

/// What a client calls itself; empty if it does not. Copied out of the frame, which stays whole, and without an
/// allocation as long as it is as short as most are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientId(SmallVec<[u8; 32]>);

impl ClientId {
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Was looked at when it came.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Why a header cannot be read. The connection is closed, as in Kafka.
#[derive(Debug, thiserror::Error)]
pub enum HeaderError {
    #[error("request header is cut short")]
    Truncated,
    #[error("client id is not UTF-8")]
    ClientId,
    #[error("request header has {0} tagged fields")]
    TaggedFields(u32),
    #[error("a varint in the request header is longer than five bytes")]
    Varint,
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
        let mut header = Self { api_key, api_version, correlation_id, client_id: ClientId::default() };
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

fn take_client_id(frame: &mut BytesMut) -> Result<ClientId, HeaderError> {
    let length = frame.try_get_i16().map_err(|_| HeaderError::Truncated)?;
    // Any negative length is null, and even flexible headers have this old kind of string.
    let Ok(length) = usize::try_from(length) else { return Ok(ClientId::default()) };
    if frame.len() < length {
        return Err(HeaderError::Truncated);
    }
    let text = std::str::from_utf8(&frame[..length]).map_err(|_| HeaderError::ClientId)?;
    let client_id = ClientId(SmallVec::from_slice(text.as_bytes()));
    frame.advance(length);
    Ok(client_id)
}

fn skip_tagged_fields(frame: &mut BytesMut) -> Result<(), HeaderError> {
    let count = take_unsigned_varint(frame)?;
    if count > TAGGED_FIELDS_MAX {
        return Err(HeaderError::TaggedFields(count));
    }
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
        let byte = frame.try_get_u8().map_err(|_| HeaderError::Truncated)?;
        value |= u32::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(HeaderError::Varint)
}

#[cfg(test)]
mod tests {
    use bytes::{BufMut, Bytes};
    use kafka_protocol::{
        messages::RequestHeader as Reference,
        protocol::{Encodable, StrBytes},
    };

    use super::*;

    fn reference(key: ApiKey, version: i16, client_id: Option<&str>) -> BytesMut {
        let mut frame = BytesMut::new();
        Reference::default()
            .with_request_api_key(key as i16)
            .with_request_api_version(version)
            .with_correlation_id(-7)
            .with_client_id(client_id.map(|id| StrBytes::from_string(id.to_owned())))
            .encode(&mut frame, key.request_header_version(version))
            .unwrap();
        frame
    }

    #[test]
    fn reads_what_the_message_crate_writes() {
        for key in 0..75 {
            let key = ApiKey::try_from(key).unwrap();
            let versions = key.valid_versions();
            for version in versions.min..=versions.max {
                let has_id = key.request_header_version(version) >= 1;
                for id in [None, Some(""), Some("client-é"), Some(&*"é".repeat(60))]
                    .into_iter()
                    .filter(|id| has_id || id.is_none())
                {
                    let mut frame = reference(key, version, id);
                    frame.put_slice(b"body");
                    let header = RequestHeader::parse(&mut frame).unwrap();
                    assert_eq!((header.api_key, header.api_version, header.correlation_id), (key as i16, version, -7));
                    assert_eq!(header.client_id.as_str(), id.unwrap_or(""));
                    assert_eq!(&frame[..], b"body", "{key:?} {version}");
                }
            }
        }
    }

    #[test]
    fn every_truncation_is_an_error() {
        let whole = reference(ApiKey::Metadata, 12, Some("me"));
        for length in 0..whole.len() {
            assert!(RequestHeader::parse(&mut BytesMut::from(&whole[..length])).is_err());
        }
    }

    #[test]
    fn tagged_fields_are_skipped_and_bounded() {
        let mut bare = reference(ApiKey::Metadata, 12, None);
        bare.truncate(bare.len() - 1);
        let mut frame = bare.clone();
        frame.put_slice(&[2, 0, 3, 1, 2, 3, 9, 0, 77]);
        RequestHeader::parse(&mut frame).unwrap();
        assert_eq!(&frame[..], [77]);
        for hostile in [&[0xff, 0xff, 0xff, 0xff, 0x0f][..], &[0x80; 9], &[1, 0, 200]] {
            let mut frame = bare.clone();
            frame.put_slice(hostile);
            assert!(RequestHeader::parse(&mut frame).is_err());
        }
    }

    #[test]
    fn the_rest_of_the_frame_stays_mutable_while_the_client_id_lives() {
        let mut frame = reference(ApiKey::Produce, 9, Some("producer-1"));
        frame.put_slice(b"records");
        let header = RequestHeader::parse(&mut frame).unwrap();
        frame[0] = b'R';
        assert_eq!(frame, Bytes::from_static(b"Records"));
        assert_eq!(header.client_id.as_str(), "producer-1");
    }

    #[test]
    fn an_api_versions_newer_than_ours_has_a_header_we_can_read() {
        let mut frame = reference(ApiKey::ApiVersions, 4, Some("new"));
        frame[3] = 9;
        assert_eq!(RequestHeader::parse(&mut frame).unwrap().client_id.as_str(), "new");
        assert!(frame.is_empty());
    }
}
