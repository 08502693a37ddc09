//! What DescribeConfigs tells of a key: its value, where it comes from, and what it stands over (class `ConfigHelper`).

use indexmap::IndexMap;

use super::{
    def::{ConfigKey, Dynamic},
    dynamic::{Current, DynamicConfig, Overrides, mode},
    error::ConfigError,
    synonyms::broker_synonyms,
    table, topic,
    value::Kind,
};

/// Where a value was given; the numbers travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i8)]
pub enum ConfigSource {
    Topic = 1,
    DynamicBroker = 2,
    DynamicDefaultBroker = 3,
    StaticBroker = 4,
    Default = 5,
    BrokerLogger = 6,
}

/// One of the names and places a value could come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigSynonym {
    pub name: String,
    /// `None` for a secret.
    pub value: Option<String>,
    pub source: ConfigSource,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigEntry {
    pub name: String,
    /// `None` for null and for a secret.
    pub value: Option<String>,
    pub source: ConfigSource,
    pub read_only: bool,
    pub sensitive: bool,
    /// Strongest first; the first one is the value that counts.
    pub synonyms: Vec<ConfigSynonym>,
    /// `None` for a key nobody declared.
    pub kind: Option<Kind>,
    pub documentation: Option<&'static str>,
}

/// Every key of this broker: the declared ones that are not internal, and whatever else was given.
#[must_use]
pub fn describe_broker(config: &DynamicConfig) -> Vec<ConfigEntry> {
    let current = config.current();
    let snapshot = &current.snapshot;
    let declared = table::keys().filter(|key| !key.internal).map(|key| {
        let value = snapshot.value(key.name).and_then(|value| value.to_text());
        broker_entry(config, &current, key.name, value, true)
    });
    let given = snapshot
        .originals()
        .iter()
        .filter(|(name, _)| table::key(name).is_none_or(|key| key.internal))
        .map(|(name, value)| broker_entry(config, &current, name, Some(value.clone()), true));
    declared.chain(given).collect()
}

/// The keys set for the whole cluster, and nothing else.
#[must_use]
pub fn describe_cluster_default(config: &DynamicConfig) -> Vec<ConfigEntry> {
    let current = config.current();
    let set = current.cluster_default.iter();
    set.map(|(name, value)| broker_entry(config, &current, name, Some(value.clone()), false)).collect()
}

/// Every key of a topic with these overrides. The error is for stored overrides that don't parse.
pub fn describe_topic(config: &DynamicConfig, overrides: &Overrides) -> Result<Vec<ConfigEntry>, ConfigError> {
    let current = config.current();
    let values = topic::values_by_name(&current.snapshot, overrides)?;
    let known = values.into_iter().map(|(name, value)| {
        topic_entry(config, &current, table::topic_key(name), name, value.to_text(), overrides.contains_key(name))
    });
    let unknown = overrides
        .iter()
        .filter(|(name, _)| table::topic_key(name).is_none())
        .map(|(name, _)| topic_entry(config, &current, None, name, None, true));
    Ok(known.chain(unknown).collect())
}

fn topic_entry(
    config: &DynamicConfig,
    current: &Current,
    key: Option<&'static ConfigKey>,
    name: &str,
    value: Option<String>,
    overridden: bool,
) -> ConfigEntry {
    let sensitive = key.is_none_or(ConfigKey::is_sensitive);
    let value = value.filter(|_| !sensitive);
    let mut synonyms = Vec::new();
    if overridden {
        synonyms.push(ConfigSynonym { name: name.to_owned(), value: value.clone(), source: ConfigSource::Topic });
    }
    if let Some(server) = table::server_keys(name).first() {
        synonyms.extend(broker_synonym_values(config, current, server, sensitive));
    }
    ConfigEntry {
        name: name.to_owned(),
        value,
        source: synonyms.first().map_or(ConfigSource::Default, |synonym| synonym.source),
        read_only: false,
        sensitive,
        synonyms,
        kind: key.map(|key| key.kind),
        documentation: key.map(|key| key.doc.trim_start()),
    }
}

fn broker_entry(
    config: &DynamicConfig,
    current: &Current,
    name: &str,
    value: Option<String>,
    per_broker: bool,
) -> ConfigEntry {
    let kind = kind_of(name);
    // What nobody declared could be anything, a secret too.
    let sensitive = kind.is_none_or(|kind| kind == Kind::Password);
    let mut synonyms = broker_synonym_values(config, current, name, sensitive);
    if !per_broker {
        synonyms.retain(|synonym| synonym.source == ConfigSource::DynamicDefaultBroker);
    }
    ConfigEntry {
        name: name.to_owned(),
        value: value.filter(|_| !sensitive),
        source: synonyms.first().map_or(ConfigSource::Default, |synonym| synonym.source),
        read_only: table::key(name).is_none_or(|key| key.dynamic == Dynamic::ReadOnly),
        sensitive,
        synonyms,
        kind,
        documentation: table::key(name).map(|key| key.doc.trim_start()),
    }
}

/// The key's type; a listener's key has that of the key it overrides.
fn kind_of(name: &str) -> Option<Kind> {
    if let Some(key) = table::key(name) {
        return Some(key.kind);
    }
    if mode(name) != Dynamic::ReadOnly {
        return Some(Kind::Long);
    }
    broker_synonyms(name, true).into_iter().find_map(table::key).map(|key| key.kind)
}

/// All names of the setting, source by source. What stands before the asked name is dropped: a stronger synonym is
/// described under its own name (Kafka does so, which leaves some keys without any).
fn broker_synonym_values(config: &DynamicConfig, current: &Current, name: &str, sensitive: bool) -> Vec<ConfigSynonym> {
    let names = broker_synonyms(name, true);
    let defaults: IndexMap<String, String> = names
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), table::key(name)?.default_value().to_text()?)))
        .collect();
    let sources = [
        (&current.per_broker, ConfigSource::DynamicBroker),
        (&current.cluster_default, ConfigSource::DynamicDefaultBroker),
        (config.static_values(), ConfigSource::StaticBroker),
        (&defaults, ConfigSource::Default),
    ];
    sources
        .iter()
        .flat_map(|(values, source)| {
            names.iter().filter_map(move |name| {
                let value = values.get(*name)?;
                Some(ConfigSynonym {
                    name: (*name).to_owned(),
                    value: (!sensitive).then(|| value.clone()),
                    source: *source,
                })
            })
        })
        .skip_while(|synonym| synonym.name != name)
        .collect()
}
