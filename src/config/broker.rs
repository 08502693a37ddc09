//! The broker's configuration as one immutable, typed snapshot (class `KafkaConfig`). Rooms hold an `Arc` of it and
//! read fields; nobody looks a key up by its name on a path that matters.

use std::path::PathBuf;

use indexmap::IndexMap;

use super::{
    error::ConfigError,
    listeners::{self, ListenerConfig, SecurityProtocol},
    rules,
    table::{
        self, general::GeneralKeys, group::GroupKeys, kraft::KraftKeys, log::LogKeys, network::NetworkKeys,
        quota::QuotaKeys, remote::RemoteKeys, replication::ReplicationKeys, sasl::SaslKeys, security::SecurityKeys,
        ssl::SslKeys, transaction::TransactionKeys, zookeeper::ZookeeperKeys,
    },
    topic::LogConfig,
    value::Value,
};

const MS_PER_MINUTE: i64 = 60_000;
const MS_PER_HOUR: i64 = 60 * MS_PER_MINUTE;

/// A checked configuration: holding one is the proof that every value and every rule between keys is in order.
#[derive(Debug, Clone, PartialEq)]
pub struct BrokerConfig {
    pub general: GeneralKeys,
    pub network: NetworkKeys,
    pub zookeeper: ZookeeperKeys,
    pub log: LogKeys,
    pub replication: ReplicationKeys,
    pub group: GroupKeys,
    pub transaction: TransactionKeys,
    pub quota: QuotaKeys,
    pub security: SecurityKeys,
    pub sasl: SaslKeys,
    pub ssl: SslKeys,
    pub remote: RemoteKeys,
    pub kraft: KraftKeys,
    /// What was given, as text: known keys, listeners' keys and unknown ones.
    originals: Originals,
    listeners: Vec<ListenerConfig>,
    advertised_listeners: Vec<ListenerConfig>,
    inter_broker_listener: (String, SecurityProtocol),
    log_dirs: Vec<PathBuf>,
}

/// Given values; may hold secrets, so printing shows names only.
#[derive(Clone, PartialEq)]
struct Originals(IndexMap<String, String>);

impl std::fmt::Debug for Originals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl BrokerConfig {
    /// Parses and checks; the error names the key. `broker.id` and `node.id` stand in for each other.
    pub fn new(mut given: IndexMap<String, String>) -> Result<Self, ConfigError> {
        populate_ids(&mut given);
        let network = NetworkKeys::parse(&given)?;
        let kraft = KraftKeys::parse(&given)?;
        let general = GeneralKeys::parse(&given)?;
        let log = LogKeys::parse(&given)?;
        let protocols = rules::effective_protocols(&given, &network, &general, &kraft)?;
        let controller = rules::controller_listener_names(&kraft);
        let mut listeners = listeners::parse_listeners(&network.listeners, &protocols, true)?;
        let mut advertised = match &network.advertised_listeners {
            Some(text) => listeners::parse_listeners(text, &protocols, false)?,
            None => listeners.clone(),
        };
        // A file written for KRaft: the controller's listeners have nobody behind them here.
        listeners.retain(|it| !controller.contains(&it.name));
        advertised.retain(|it| !controller.contains(&it.name));
        let inter_broker_listener = rules::inter_broker_listener(&given, &network, &protocols)?;
        let log_dirs = listeners::parse_csv(log.log_dirs.as_deref().unwrap_or(&log.log_dir));
        let config = Self {
            zookeeper: ZookeeperKeys::parse(&given)?,
            replication: ReplicationKeys::parse(&given)?,
            group: GroupKeys::parse(&given)?,
            transaction: TransactionKeys::parse(&given)?,
            quota: QuotaKeys::parse(&given)?,
            security: SecurityKeys::parse(&given)?,
            sasl: SaslKeys::parse(&given)?,
            ssl: SslKeys::parse(&given)?,
            remote: RemoteKeys::parse(&given)?,
            general,
            network,
            log,
            kraft,
            originals: Originals(given),
            listeners,
            advertised_listeners: advertised,
            inter_broker_listener,
            log_dirs: log_dirs.into_iter().map(PathBuf::from).collect(),
        };
        rules::check(&config)?;
        super::topic::validate_broker_defaults(&config)?;
        Ok(config)
    }

    /// Addresses to bind.
    #[must_use]
    pub fn listeners(&self) -> &[ListenerConfig] {
        &self.listeners
    }

    /// Addresses to register; a host of `None` is this host's canonical name.
    #[must_use]
    pub fn advertised_listeners(&self) -> &[ListenerConfig] {
        &self.advertised_listeners
    }

    /// Name and protocol of the listener among brokers.
    #[must_use]
    pub fn inter_broker_listener(&self) -> (&str, SecurityProtocol) {
        (&self.inter_broker_listener.0, self.inter_broker_listener.1)
    }

    /// Directories of the logs, `log.dirs` before `log.dir`.
    #[must_use]
    pub fn log_dirs(&self) -> &[PathBuf] {
        &self.log_dirs
    }

    /// `log.retention.ms`, else minutes, else hours; −1 keeps all.
    #[must_use]
    pub fn log_retention_ms(&self) -> i64 {
        let ms = self
            .log
            .log_retention_ms
            .or_else(|| self.log.log_retention_minutes.map(|minutes| i64::from(minutes) * MS_PER_MINUTE))
            .unwrap_or(i64::from(self.log.log_retention_hours) * MS_PER_HOUR);
        if ms < 0 { -1 } else { ms }
    }

    /// `log.roll.ms`, else hours.
    #[must_use]
    pub fn log_roll_ms(&self) -> i64 {
        self.log.log_roll_ms.unwrap_or(i64::from(self.log.log_roll_hours) * MS_PER_HOUR)
    }

    /// `log.roll.jitter.ms`, else hours.
    #[must_use]
    pub fn log_roll_jitter_ms(&self) -> i64 {
        self.log.log_roll_jitter_ms.unwrap_or(i64::from(self.log.log_roll_jitter_hours) * MS_PER_HOUR)
    }

    /// `log.flush.interval.ms`, else the flush check's interval.
    #[must_use]
    pub fn log_flush_interval_ms(&self) -> i64 {
        self.log.log_flush_interval_ms.unwrap_or(self.log.log_flush_scheduler_interval_ms)
    }

    /// `zookeeper.connection.timeout.ms`, else the session timeout.
    #[must_use]
    pub fn zookeeper_connection_timeout_ms(&self) -> i32 {
        self.zookeeper.zookeeper_connection_timeout_ms.unwrap_or(self.zookeeper.zookeeper_session_timeout_ms)
    }

    /// What a log obeys whose topic overrides nothing.
    #[must_use]
    pub fn default_log_config(&self) -> LogConfig {
        // Checked when the snapshot was built.
        LogConfig::from_overrides(self, &IndexMap::new()).unwrap_or_default()
    }

    /// The typed value of any declared key, given or default.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<Value> {
        table::key(name).and_then(|key| key.parse(self.original(name)).ok())
    }

    /// The text given for a key, known or not.
    #[must_use]
    pub fn original(&self, name: &str) -> Option<&str> {
        self.originals.0.get(name).map(String::as_str)
    }

    /// Everything given. Holds secrets: not for a log line.
    #[must_use]
    pub fn originals(&self) -> &IndexMap<String, String> {
        &self.originals.0
    }

    /// The text of `key` for one listener: under its prefix, else the plain key.
    #[must_use]
    pub fn listener_original(&self, listener: &str, key: &str) -> Option<&str> {
        let prefixed = format!("listener.name.{}.{key}", listener.to_lowercase());
        self.original(&prefixed).or_else(|| self.original(key))
    }
}

fn populate_ids(given: &mut IndexMap<String, String>) {
    const IDS: [&str; 2] = ["broker.id", "node.id"];
    for (one, other) in [(IDS[0], IDS[1]), (IDS[1], IDS[0])] {
        if let (Some(id), None) = (given.get(one).cloned(), given.get(other)) {
            given.insert(other.to_owned(), id);
        }
    }
}
