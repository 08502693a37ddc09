//! `/config/<entity>`: an entity's overrides, all of them strings (class `ConfigEntityZNode`).

use bytes::Bytes;
use indexmap::IndexMap;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{BadZnode, json, parse};

#[derive(Serialize)]
struct V1 {
    version: i32,
    config: Map<String, Value>,
}

#[must_use]
pub fn encode(config: &IndexMap<String, String>) -> Bytes {
    let text = |text: &String| Value::String(text.clone());
    json(&V1 { version: 1, config: config.iter().map(|(key, value)| (key.clone(), text(value))).collect() })
}

/// Kafka takes an empty node, or one without `config`, for no overrides; old writers put plain numbers.
pub fn decode(bytes: &[u8]) -> Result<IndexMap<String, String>, BadZnode> {
    if bytes.is_empty() {
        return Ok(IndexMap::new());
    }
    let value: Value = parse("configuration", bytes)?;
    let Some(Value::Object(config)) = value.get("config") else { return Ok(IndexMap::new()) };
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    Ok(config.iter().map(|(key, value)| (key.clone(), text(value))).collect())
}
