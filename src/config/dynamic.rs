//! Changing the configuration while the broker runs (KIP-226, class `DynamicBrokerConfig`): what may be changed
//! where, and which of the four sources counts: this broker's value, then the cluster's, then `server.properties`,
//! then the default.

use std::{collections::BTreeSet, sync::Arc};

use arc_swap::ArcSwap;
use indexmap::{IndexMap, IndexSet};
use parking_lot::Mutex;

use super::{
    broker::BrokerConfig,
    def::Dynamic,
    error::ConfigError,
    synonyms, table,
    topic::not_more_than,
    value::{self, Kind},
};

/// Keys that only a listener's prefix may change, never the plain name.
const LISTENER_ONLY: &[&str] = &[
    "ssl.key.password",
    "ssl.keystore.certificate.chain",
    "ssl.keystore.key",
    "ssl.keystore.location",
    "ssl.keystore.password",
    "ssl.keystore.type",
    "ssl.truststore.certificates",
    "ssl.truststore.location",
    "ssl.truststore.password",
    "ssl.truststore.type",
];
/// Listener keys that the whole cluster may share.
const CLUSTER_WIDE_LISTENER: &[&str] = &["max.connections", "max.connection.creation.rate", "num.network.threads"];
/// Rates that exist only as dynamic values, in bytes per second.
const DYNAMIC_ONLY: &[&str] = &[
    "leader.replication.throttled.rate",
    "follower.replication.throttled.rate",
    "replica.alter.log.dirs.io.max.bytes.per.second",
];

/// A set of keys and values, as given.
pub type Overrides = IndexMap<String, String>;

/// What an update did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Keys whose given text is new, different or gone; rooms look here for what concerns them.
    pub changed: BTreeSet<String>,
    /// Lines for the log about stored values that were passed over.
    pub ignored: Vec<String>,
}

impl Change {
    /// Whether a key changed that logs take defaults from, so that every log's configuration has to be made anew.
    #[must_use]
    pub fn affects_logs(&self) -> bool {
        self.changed.iter().any(|name| table::key(name).is_some_and(|key| key.topic.is_some()))
    }
}

/// The running configuration: static values, the two layers of dynamic ones, and the snapshot they make.
pub struct DynamicConfig {
    static_values: Overrides,
    current: ArcSwap<Current>,
    /// Held while a new snapshot is made, so that two updates don't lose one another.
    update: Mutex<()>,
}

#[derive(Debug)]
pub(super) struct Current {
    pub(super) snapshot: Arc<BrokerConfig>,
    pub(super) per_broker: Overrides,
    pub(super) cluster_default: Overrides,
}

impl DynamicConfig {
    /// From what `server.properties` and the command line gave.
    pub fn new(properties: Overrides) -> Result<Self, ConfigError> {
        let snapshot = BrokerConfig::new(properties)?;
        let static_values = snapshot.originals().clone();
        let current =
            Current { snapshot: Arc::new(snapshot), per_broker: Overrides::new(), cluster_default: Overrides::new() };
        Ok(Self { static_values, current: ArcSwap::from_pointee(current), update: Mutex::new(()) })
    }

    #[must_use]
    pub fn snapshot(&self) -> Arc<BrokerConfig> {
        Arc::clone(&self.current.load().snapshot)
    }

    /// What is stored under `brokers/<id>`: replaces the layer and makes a new snapshot. An error leaves all as it was.
    pub fn set_broker_overrides(&self, stored: &Overrides) -> Result<Change, ConfigError> {
        self.replace(stored, true)
    }

    /// What is stored under `brokers/<default>`.
    pub fn set_default_overrides(&self, stored: &Overrides) -> Result<Change, ConfigError> {
        self.replace(stored, false)
    }

    /// Whether `overrides` could become a whole layer; the error is fit for an admin client.
    pub fn validate(&self, overrides: &Overrides, per_broker: bool) -> Result<(), ConfigError> {
        validate_keys(overrides, per_broker)?;
        let current = self.current.load();
        let merged = if per_broker {
            self.merge(&current.cluster_default, overrides)
        } else {
            self.merge(overrides, &current.per_broker)
        };
        let next = BrokerConfig::new(merged)?;
        if next.originals() == current.snapshot.originals() {
            return Ok(());
        }
        // Kafka passes the message where the name belongs and the exception where the value does; clients see this.
        check_reconfiguration(&current.snapshot, &next).map_err(|objection| {
            let nested = format!("org.apache.kafka.common.config.ConfigException: {objection}");
            ConfigError::value("Invalid dynamic configuration", &nested, None)
        })
    }

    fn replace(&self, stored: &Overrides, per_broker: bool) -> Result<Change, ConfigError> {
        let _one_at_a_time = self.update.lock();
        let (accepted, ignored) = without_invalid(stored, per_broker);
        let current = self.current.load_full();
        let (broker, default) = if per_broker {
            (accepted, current.cluster_default.clone())
        } else {
            (current.per_broker.clone(), accepted)
        };
        let next = BrokerConfig::new(self.merge(&default, &broker))?;
        let changed = difference(current.snapshot.originals(), next.originals());
        self.current.store(Arc::new(Current {
            snapshot: Arc::new(next),
            per_broker: broker,
            cluster_default: default,
        }));
        Ok(Change { changed, ignored })
    }

    /// Static values under the cluster's under this broker's; a stronger value drives out its synonyms below.
    fn merge(&self, cluster_default: &Overrides, per_broker: &Overrides) -> Overrides {
        let mut merged = self.static_values.clone();
        for (name, value) in cluster_default.iter().chain(per_broker) {
            for synonym in synonyms::broker_synonyms(name, false) {
                merged.shift_remove(synonym);
            }
            merged.insert(name.clone(), value.clone());
        }
        merged
    }

    pub(super) fn current(&self) -> Arc<Current> {
        self.current.load_full()
    }

    pub(super) fn static_values(&self) -> &Overrides {
        &self.static_values
    }
}

/// Whether and where the key may be changed; a listener's key counts as the key it overrides.
#[must_use]
pub fn mode(name: &str) -> Dynamic {
    if DYNAMIC_ONLY.contains(&name) {
        return Dynamic::ClusterWide;
    }
    table::key(name).map_or(Dynamic::ReadOnly, |key| key.dynamic)
}

/// Whether the key's text is a secret that has to be encrypted before it is stored.
#[must_use]
pub fn is_password(name: &str) -> bool {
    table::keys()
        .filter(|key| key.kind == Kind::Password && key.dynamic != Dynamic::ReadOnly)
        .any(|key| name.ends_with(key.name))
}

fn validate_keys(overrides: &Overrides, per_broker: bool) -> Result<(), ConfigError> {
    refuse(&non_dynamic(overrides), "Cannot update these configs dynamically", "Set")?;
    refuse(
        &listener_only(overrides),
        "These security configs can be dynamically updated only per-listener using the listener prefix",
        // The name of the collection class shows through in Kafka's message.
        "HashSet",
    )?;
    overrides.iter().try_for_each(|(name, text)| validate_value(name, text))?;
    if per_broker {
        return Ok(());
    }
    refuse(
        &per_broker_only(overrides),
        "Cannot update these configs at default cluster level, broker id must be specified",
        "Set",
    )
}

fn refuse(names: &IndexSet<&str>, message: &str, set: &str) -> Result<(), ConfigError> {
    if names.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = names.iter().copied().collect();
    Err(ConfigError::invalid(format!("{message}: {set}({})", names.join(", "))))
}

fn non_dynamic(overrides: &Overrides) -> IndexSet<&str> {
    let is_fixed = |name: &&str| table::key(name).is_some_and(|key| key.dynamic == Dynamic::ReadOnly);
    overrides.keys().map(String::as_str).filter(is_fixed).collect()
}

fn listener_only(overrides: &Overrides) -> IndexSet<&str> {
    LISTENER_ONLY.iter().copied().filter(|name| overrides.contains_key(*name)).collect()
}

fn per_broker_only(overrides: &Overrides) -> IndexSet<&str> {
    let is_per_broker = |name: &&str| {
        mode(name) == Dynamic::PerBroker
            || synonyms::listener_base_name(name).is_some_and(|base| !CLUSTER_WIDE_LISTENER.contains(&base))
    };
    overrides.keys().map(String::as_str).filter(is_per_broker).collect()
}

/// Only dynamic keys have a type here; anything else is somebody's own and passes.
fn validate_value(name: &str, text: &str) -> Result<(), ConfigError> {
    let name = synonyms::listener_base_name(name).unwrap_or(name);
    if DYNAMIC_ONLY.contains(&name) {
        let parsed = value::parse(name, text, Kind::Long)?;
        return super::check::at_least(0.0).ensure_valid(name, &parsed);
    }
    match table::key(name) {
        Some(key) if key.dynamic != Dynamic::ReadOnly => key.parse(Some(text)).map(|_| ()),
        _ => Ok(()),
    }
}

/// What is stored may be older than a rule: bad entries are left out, and the rest counts.
fn without_invalid(stored: &Overrides, per_broker: bool) -> (Overrides, Vec<String>) {
    let mut ignored = Vec::new();
    let mut accepted = stored.clone();
    let wrong_names: Vec<(IndexSet<&str>, &str)> = vec![
        (
            stored
                .iter()
                .filter(|(name, text)| validate_value(name, text).is_err())
                .map(|(it, _)| it.as_str())
                .collect(),
            "Dynamic config contains invalid values, these configs will be ignored",
        ),
        (non_dynamic(stored), "Non-dynamic configs configured in ZooKeeper will be ignored"),
        (
            listener_only(stored),
            "Security configs can be dynamically updated only using listener prefix, base configs will be ignored",
        ),
        (
            if per_broker { IndexSet::new() } else { per_broker_only(stored) },
            "Per-broker configs defined at default cluster level will be ignored",
        ),
        (
            stored.keys().map(String::as_str).filter(|name| is_password(name)).collect(),
            "Dynamic password configs could not be decoded, ignoring",
        ),
    ];
    for (names, message) in wrong_names.iter().filter(|(names, _)| !names.is_empty()) {
        let list: Vec<&str> = names.iter().copied().collect();
        ignored.push(format!("{message}: {}", list.join(", ")));
        accepted.retain(|name, _| !names.contains(name.as_str()));
    }
    (accepted, ignored)
}

fn difference(old: &Overrides, new: &Overrides) -> BTreeSet<String> {
    let added = new.iter().filter(|(name, value)| old.get(*name) != Some(*value)).map(|(name, _)| name);
    let removed = old.keys().filter(|name| !new.contains_key(*name));
    added.chain(removed).cloned().collect()
}

/// Limits on a change, as opposed to on a value: the rooms that are reconfigured set them.
fn check_reconfiguration(old: &BrokerConfig, new: &BrokerConfig) -> Result<(), ConfigError> {
    check_thread_counts(old, new)?;
    let cleaners = (old.log.log_cleaner_threads, new.log.log_cleaner_threads);
    if cleaners.1 < cleaners.0 / 2 {
        return Err(ConfigError::invalid(format!(
            "Log cleaner threads cannot be reduced to less than half the current value {}",
            cleaners.0
        )));
    }
    if cleaners.1 > cleaners.0.saturating_mul(2) {
        return Err(ConfigError::invalid(format!(
            "Log cleaner threads cannot be increased to more than double the current value {}",
            cleaners.0
        )));
    }
    let retention_ms = Some(new.log_retention_ms()).filter(|ms| *ms != -1);
    let retention_bytes = Some(new.log.log_retention_bytes).filter(|bytes| *bytes > -1);
    not_more_than("log.local.retention.ms", new.log.log_local_retention_ms, "log.retention.ms", retention_ms)?;
    not_more_than(
        "log.local.retention.bytes",
        new.log.log_local_retention_bytes,
        "log.retention.bytes",
        retention_bytes,
    )?;
    check_listener_change(old, new)
}

/// A thread count may at most halve or double at a time.
fn check_thread_counts(old: &BrokerConfig, new: &BrokerConfig) -> Result<(), ConfigError> {
    let counts = [
        ("num.io.threads", old.network.num_io_threads, new.network.num_io_threads),
        ("num.network.threads", old.network.num_network_threads, new.network.num_network_threads),
        ("num.replica.fetchers", old.replication.num_replica_fetchers, new.replication.num_replica_fetchers),
        (
            "num.recovery.threads.per.data.dir",
            old.log.num_recovery_threads_per_data_dir,
            new.log.num_recovery_threads_per_data_dir,
        ),
        ("background.threads", old.general.background_threads, new.general.background_threads),
    ];
    for (name, old, new) in counts {
        let reason = if new < old / 2 {
            format!("value should be at least half the current value {old}")
        } else if new > old.saturating_mul(2) {
            format!("value should not be greater than double the current value {old}")
        } else {
            continue;
        };
        return Err(ConfigError::invalid(format!(
            "Dynamic thread count update validation failed for {name}={new}, {reason}"
        )));
    }
    Ok(())
}

/// A listener that stays keeps its security protocol; bound and advertised ones may come and go.
fn check_listener_change(old: &BrokerConfig, new: &BrokerConfig) -> Result<(), ConfigError> {
    for listener in new.listeners() {
        let before = old.listeners().iter().find(|it| it.name == listener.name);
        if before.is_some_and(|it| it.protocol != listener.protocol) {
            return Err(ConfigError::invalid(format!(
                "Security protocol cannot be updated for existing listener {}",
                listener.name
            )));
        }
    }
    Ok(())
}
