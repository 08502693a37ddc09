//! The declarations: thirteen families of broker keys, and the topic keys.

use std::{collections::BTreeMap, sync::LazyLock};

use super::def::ConfigKey;

pub mod general;
pub mod group;
pub mod kraft;
pub mod log;
pub mod network;
pub mod quota;
pub mod remote;
pub mod replication;
pub mod sasl;
pub mod security;
pub mod ssl;
pub mod topic;
pub mod transaction;
pub mod zookeeper;

/// Families in the order of the documentation, each with its heading.
pub const FAMILIES: &[(&str, &[ConfigKey])] = &[
    ("General", general::GeneralKeys::KEYS),
    ("Network", network::NetworkKeys::KEYS),
    ("ZooKeeper", zookeeper::ZookeeperKeys::KEYS),
    ("Log", log::LogKeys::KEYS),
    ("Replication", replication::ReplicationKeys::KEYS),
    ("Groups and offsets", group::GroupKeys::KEYS),
    ("Transactions", transaction::TransactionKeys::KEYS),
    ("Quotas", quota::QuotaKeys::KEYS),
    ("Security", security::SecurityKeys::KEYS),
    ("SASL", sasl::SaslKeys::KEYS),
    ("TLS", ssl::SslKeys::KEYS),
    ("Tiered storage", remote::RemoteKeys::KEYS),
    ("KRaft (accepted, without effect)", kraft::KraftKeys::KEYS),
];

static BY_NAME: LazyLock<BTreeMap<&'static str, &'static ConfigKey>> =
    LazyLock::new(|| FAMILIES.iter().flat_map(|(_, keys)| keys.iter()).map(|key| (key.name, key)).collect());

/// The broker key of that name.
#[must_use]
pub fn key(name: &str) -> Option<&'static ConfigKey> {
    BY_NAME.get(name).copied()
}

/// Every broker key, ordered by name.
pub fn keys() -> impl Iterator<Item = &'static ConfigKey> {
    BY_NAME.values().copied()
}

/// The topic key of that name.
#[must_use]
pub fn topic_key(name: &str) -> Option<&'static ConfigKey> {
    let keys = topic::TopicValues::KEYS;
    keys.binary_search_by_key(&name, |key| key.name).ok().map(|at| &keys[at])
}

/// Broker keys that give the topic key its default, the first one set counting.
#[must_use]
pub fn server_keys(topic_key: &str) -> &'static [&'static str] {
    topic::TopicValues::KEYS
        .binary_search_by_key(&topic_key, |key| key.name)
        .ok()
        .map_or(&[], |at| topic::TopicValues::SERVER_KEYS[at])
}
