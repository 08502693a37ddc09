//! `/cluster/id` (class `ClusterIdZNode`). Its version is a string, for no reason that survives.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{BadZnode, json, parse};

#[derive(Serialize)]
struct Written<'a> {
    version: &'static str,
    id: &'a str,
}

#[derive(Deserialize)]
struct Read {
    id: String,
}

#[must_use]
pub fn encode(id: &str) -> Bytes {
    json(&Written { version: "1", id })
}

pub fn decode(bytes: &[u8]) -> Result<String, BadZnode> {
    Ok(parse::<Read>("cluster id", bytes)?.id)
}
