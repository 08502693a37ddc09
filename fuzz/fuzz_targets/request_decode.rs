//! A request as a connection reads it: the guard first, then the message crate. What the guard lets through must
//! decode within its bounds; what it refuses never gets there. The hot codecs guard themselves, as strictly at least.
//!
//! Input: API key and version (16 bits each), then the body after the request header.
//!
//! `cargo +nightly fuzz run request_decode -- -rss_limit_mb=512 -malloc_limit_mb=64`

#![no_main]

use bytes::Bytes;
use kafka_protocol::messages::{ApiKey, RequestKind};
use libfuzzer_sys::fuzz_target;
use monedula::protocol::{
    guard,
    hot::{
        group::{HeartbeatRequest, JoinGroupRequest, SyncGroupRequest},
        produce::ProduceRequest,
    },
};

fuzz_target!(|data: &[u8]| {
    let &[k0, k1, v0, v1, ref body @ ..] = data else { return };
    let (key, version) = (i16::from_be_bytes([k0, k1]), i16::from_be_bytes([v0, v1]));
    let Ok(api_key) = ApiKey::try_from(key) else { return };
    let range = api_key.valid_versions();
    if version < range.min || version > range.max {
        return;
    }
    let is_read = match api_key {
        ApiKey::Produce => {
            let _ = ProduceRequest::decode(version, body.into());
            false
        }
        ApiKey::JoinGroup => JoinGroupRequest::decode(version, body).is_ok(),
        ApiKey::Heartbeat => HeartbeatRequest::decode(version, body).is_ok(),
        ApiKey::SyncGroup => SyncGroupRequest::decode(version, body).is_ok(),
        _ => false,
    };
    if guard::check(key, version, body).is_err() {
        assert!(!is_read, "{api_key:?} version {version} is read where the guard refuses it");
        return;
    }
    let _ = RequestKind::decode(api_key, &mut Bytes::copy_from_slice(body), version);
});
