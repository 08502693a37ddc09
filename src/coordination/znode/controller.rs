//! `/controller` and `/controller_epoch`: who decides, and the number that fences those who did.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{BadZnode, json, parse};
use crate::common::{BrokerId, Timestamp};

#[derive(Serialize)]
struct V2 {
    version: i32,
    brokerid: BrokerId,
    timestamp: String,
    #[serde(rename = "kraftControllerEpoch")]
    kraft_controller_epoch: i32,
}

/// The registration of a controller.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ControllerRegistration {
    #[serde(rename = "brokerid")]
    pub broker: BrokerId,
    /// 0 and up only while a migration to KRaft runs.
    #[serde(rename = "kraftControllerEpoch", default = "none")]
    pub kraft_epoch: i32,
}

fn none() -> i32 {
    -1
}

#[must_use]
pub fn encode(broker: BrokerId, timestamp_ms: Timestamp) -> Bytes {
    json(&V2 { version: 2, brokerid: broker, timestamp: timestamp_ms.to_string(), kraft_controller_epoch: -1 })
}

pub fn decode(bytes: &[u8]) -> Result<ControllerRegistration, BadZnode> {
    parse("controller registration", bytes)
}

#[must_use]
pub fn encode_epoch(epoch: i32) -> Bytes {
    epoch.to_string().into()
}

pub fn decode_epoch(bytes: &[u8]) -> Result<i32, BadZnode> {
    let bad = |why: String| BadZnode::new("controller epoch", why);
    let text = std::str::from_utf8(bytes).map_err(|fault| bad(fault.to_string()))?;
    text.parse().map_err(|_| bad(format!("'{text}'")))
}
