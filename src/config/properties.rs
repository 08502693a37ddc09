//! `server.properties` and `--override key=value` into one map (classes `Utils.loadProps`, `Kafka.getPropsFromArgs`).

use indexmap::IndexMap;

use super::{error::ConfigError, synonyms, table};

/// Keys that Kafka's plugins read but its definition does not list.
const UNDECLARED: &[&str] = &[
    "super.users",
    "allow.everyone.if.no.acl.found",
    "config.providers",
    "leader.replication.throttled.rate",
    "follower.replication.throttled.rate",
    "replica.alter.log.dirs.io.max.bytes.per.second",
];
const UNDECLARED_PREFIXES: &[&str] = &["authorizer.", "config.providers.", "rlmm.config.", "rsm.config."];

/// What a start reads.
#[derive(Debug, Default)]
pub struct Loaded {
    /// In the order of the file, overrides last. Holds secrets.
    pub properties: IndexMap<String, String>,
    /// A line for the log each; none of them prevents a start.
    pub warnings: Vec<String>,
}

/// Reads a properties file's bytes and applies overrides, each `key=value`, in their order.
pub fn load(file: &[u8], overrides: &[String]) -> Result<Loaded, ConfigError> {
    let mut properties = IndexMap::new();
    java_properties::PropertiesIter::new(file)
        .read_into(|key, value| {
            properties.insert(key, value);
        })
        .map_err(|fault| ConfigError::invalid(format!("Cannot read properties: {fault}")))?;
    for entry in overrides {
        match entry.split_once('=') {
            Some((key, value)) if !key.is_empty() => properties.insert(key.to_owned(), value.to_owned()),
            _ => return Err(ConfigError::invalid(format!("Invalid command line properties: {entry}"))),
        };
    }
    let warnings = warnings(&properties);
    Ok(Loaded { properties, warnings })
}

/// Lines about keys nobody reads, and about keys that have no effect here.
#[must_use]
pub fn warnings(properties: &IndexMap<String, String>) -> Vec<String> {
    let mut warnings = Vec::new();
    for name in properties.keys().filter(|name| !is_known(name)) {
        warnings.push(format!("The configuration '{name}' was supplied but isn't a known config."));
    }
    if properties.get("process.roles").is_some_and(|roles| !roles.trim().is_empty()) {
        warnings.push(
            "process.roles is ignored: this broker keeps its metadata as in ZooKeeper mode, and runs no KRaft quorum."
                .to_owned(),
        );
    }
    if properties.contains_key("offsets.commit.required.acks") {
        warnings
            .push("offsets.commit.required.acks is deprecated and it will be removed in Apache Kafka 4.0.".to_owned());
    }
    warnings
}

fn is_known(name: &str) -> bool {
    let base = synonyms::listener_base_name(name);
    table::key(name).is_some()
        || UNDECLARED.contains(&name)
        || UNDECLARED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || base.is_some_and(|base| {
            table::key(base).is_some() || base.split_once('.').is_some_and(|(_, key)| table::key(key).is_some())
        })
}
