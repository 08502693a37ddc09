//! Paths and payloads of the znodes, byte for byte Kafka's (class `ZkData`). Pure: text in, values out.
//!
//! Order of JSON keys is that of a running Apache Kafka 3.9.1, odd as it is where a Scala hash map chose it. Decoders
//! take every version Kafka takes, in any order, and ignore fields they don't know.

pub mod access;
pub mod admin;
pub mod broker;
pub mod cluster;
pub mod config;
pub mod controller;
pub mod notification;
pub mod partition_state;
pub mod paths;
pub mod producer_ids;
pub mod topic;

#[cfg(test)]
mod tests;

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

/// A payload that is not what its path promises.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot parse {what}: {why}")]
pub struct BadZnode {
    pub what: &'static str,
    pub why: String,
}

impl BadZnode {
    fn new(what: &'static str, why: impl std::fmt::Display) -> Self {
        Self { what, why: why.to_string() }
    }
}

impl From<BadZnode> for crate::coordination::CoordinationError {
    fn from(fault: BadZnode) -> Self {
        Self::Store(fault.to_string())
    }
}

fn parse<T: DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, BadZnode> {
    serde_json::from_slice(bytes).map_err(|fault| BadZnode::new(what, fault))
}

/// Our own values always serialise; an empty node would be seen as corrupt by whoever reads it.
fn json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).unwrap_or_default().into()
}

/// Numbers that some writers put in quotes.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Number {
    Plain(i64),
    Quoted(String),
}

impl Number {
    fn value(&self) -> Option<i64> {
        match self {
            Number::Plain(number) => Some(*number),
            Number::Quoted(text) => text.parse().ok(),
        }
    }
}
