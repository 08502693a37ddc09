//! `/config/changes/config_change_<seq>`: what changed (class `ConfigEntityChangeNotificationSequenceZNode`).

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{BadZnode, json, parse};

const WHAT: &str = "configuration change";

#[derive(Serialize)]
struct V2<'a> {
    version: i32,
    entity_path: &'a str,
}

#[derive(Deserialize)]
struct Any {
    version: i32,
    #[serde(default)]
    entity_path: Option<String>,
    #[serde(default)]
    entity_type: Option<String>,
    #[serde(default)]
    entity_name: Option<String>,
}

/// `entity_path` is sanitised, e.g. `topics/foo`, `users/alice/clients/<default>`.
#[must_use]
pub fn encode(entity_path: &str) -> Bytes {
    json(&V2 { version: 2, entity_path })
}

/// The entity's path, whichever version announced it.
pub fn decode(bytes: &[u8]) -> Result<String, BadZnode> {
    let any: Any = parse(WHAT, bytes)?;
    match any {
        Any { version: 1, entity_type: Some(kind), entity_name: Some(name), .. } => Ok(format!("{kind}/{name}")),
        Any { version: 2, entity_path: Some(path), .. } => Ok(path),
        Any { version, .. } => Err(BadZnode::new(WHAT, format!("version {version} without its fields"))),
    }
}
