//! `/config/changes/config_change_<seq>`: what changed (class `ConfigEntityChangeNotificationSequenceZNode`).

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{BadZnode, json, parse};
use crate::common::BrokerId;

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

#[derive(Serialize, Deserialize)]
struct LogDirEvent {
    version: i32,
    broker: BrokerId,
    event: i32,
}

/// The only event there is: a log dir failed.
const LOG_DIR_FAILURE: i32 = 1;

/// `/log_dir_event_notification/log_dir_event_<seq>`: a log dir of `broker` failed
/// (class `LogDirEventNotificationSequenceZNode`).
#[must_use]
pub fn encode_log_dir_failure(broker: BrokerId) -> Bytes {
    json(&LogDirEvent { version: 1, broker, event: LOG_DIR_FAILURE })
}

/// The broker whose log dir failed.
pub fn decode_log_dir_failure(bytes: &[u8]) -> Result<BrokerId, BadZnode> {
    let event: LogDirEvent = parse("log dir event", bytes)?;
    if event.event != LOG_DIR_FAILURE {
        return Err(BadZnode::new("log dir event", format!("event {}", event.event)));
    }
    Ok(event.broker)
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
