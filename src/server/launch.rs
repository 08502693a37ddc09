//! From a command line to a checked configuration.

use std::path::Path;

use indexmap::IndexMap;

use super::{
    outside::ThisMachine,
    replication::{LEADER_SELECTOR, RACK_AWARE_SELECTOR},
};
use crate::config::{BrokerConfig, ConfigError, DynamicConfig, SecurityProtocol, properties, providers};

/// Folder of a broker started without a configuration.
const DEVELOPMENT_DIR: &str = "monedula-data";

/// What a developer's broker differs in from Kafka's defaults: one broker, nobody to wait for, reachable from here only.
/// The values are those of the `server.properties` that Kafka ships.
const DEVELOPMENT: &[(&str, &str)] = &[
    ("broker.id", "0"),
    ("listeners", "PLAINTEXT://localhost:9092"),
    ("log.dirs", DEVELOPMENT_DIR),
    ("offsets.topic.replication.factor", "1"),
    ("transaction.state.log.replication.factor", "1"),
    ("transaction.state.log.min.isr", "1"),
    ("group.initial.rebalance.delay.ms", "0"),
];

/// Why there is no broker; `Display` is one line.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct LaunchError(pub String);

/// A configuration that a broker can start with.
pub struct Launch {
    pub config: DynamicConfig,
}

impl Launch {
    /// Reads `file`, or the development defaults without one, and applies `overrides` (`key=value`).
    pub fn load(file: Option<&Path>, overrides: &[String]) -> Result<Self, LaunchError> {
        let bytes = match file {
            Some(file) => {
                std::fs::read(file).map_err(|fault| LaunchError(format!("cannot read {}: {fault}", file.display())))?
            }
            None => development_properties().into_bytes(),
        };
        let refused = |fault: ConfigError| LaunchError(fault.to_string());
        let mut loaded = properties::load(&bytes, overrides).map_err(refused)?;
        let notes = providers::resolve(&mut loaded.properties, &ThisMachine).map_err(refused)?;
        for warning in loaded.warnings.iter().chain(&notes) {
            tracing::warn!("{warning}");
        }
        Self::from_properties(loaded.properties)
    }

    pub fn from_properties(properties: IndexMap<String, String>) -> Result<Self, LaunchError> {
        let config = DynamicConfig::new(properties).map_err(|fault| LaunchError(fault.to_string()))?;
        refuse_what_is_not_built(&config.snapshot())?;
        Ok(Self { config })
    }
}

fn development_properties() -> String {
    DEVELOPMENT.iter().map(|(key, value)| format!("{key}={value}\n")).collect()
}

/// Better no broker than one that is silently less than its configuration says.
fn refuse_what_is_not_built(config: &BrokerConfig) -> Result<(), LaunchError> {
    if let Some(listener) = config.listeners().iter().find(|it| it.protocol != SecurityProtocol::Plaintext) {
        return Err(LaunchError(format!(
            "listener {} asks for {}: only PLAINTEXT listeners are built yet",
            listener.name,
            listener.protocol.name()
        )));
    }
    if !config.security.authorizer_class_name.trim().is_empty() {
        return Err(LaunchError(format!(
            "authorizer.class.name={}: no authorizer is built yet",
            config.security.authorizer_class_name
        )));
    }
    let selector = config.replication.replica_selector_class.as_deref().map(str::trim).unwrap_or_default();
    if !["", RACK_AWARE_SELECTOR, LEADER_SELECTOR].contains(&selector) {
        return Err(LaunchError(format!("replica.selector.class={selector}: no such class is built in")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(pairs: &[(&str, &str)]) -> Result<Launch, LaunchError> {
        Launch::from_properties(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    }

    #[test]
    fn without_a_file_a_developer_gets_a_broker_on_localhost() {
        let launch = Launch::load(None, &["num.partitions=3".to_owned()]).unwrap();
        let config = launch.config.snapshot();
        assert_eq!(config.listeners()[0].connection_string(), "PLAINTEXT://localhost:9092");
        assert_eq!(config.general.num_partitions, 3);
    }

    #[test]
    fn what_is_not_built_is_refused_by_name() {
        let fault = start(&[("listeners", "SSL://:9093"), ("security.inter.broker.protocol", "SSL")]).err().unwrap();
        assert!(fault.0.contains("listener SSL"), "{fault}");
        let fault = start(&[("authorizer.class.name", "kafka.security.authorizer.AclAuthorizer")]).err().unwrap();
        assert!(fault.0.contains("authorizer.class.name"), "{fault}");
    }

    #[test]
    fn a_wrong_value_is_one_line_that_names_key_and_value() {
        let fault = start(&[("num.partitions", "many")]).err().unwrap().to_string();
        assert!(fault.contains("num.partitions") && fault.contains("many") && !fault.contains('\n'), "{fault}");
    }
}
