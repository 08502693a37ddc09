//! Kafka's configuration keys: one declaration each (`table/`), and everything derived from it.

pub mod broker;
pub mod check;
pub mod def;
pub mod describe;
pub mod docs;
pub mod dynamic;
pub mod error;
pub mod listeners;
pub mod loggers;
pub mod metadata_version;
pub mod properties;
pub mod providers;
pub mod rules;
pub mod synonyms;
pub mod table;
pub mod topic;
pub mod value;

#[cfg(test)]
mod tests;

pub use broker::BrokerConfig;
pub use dynamic::{Change, DynamicConfig};
pub use error::{ConfigError, ConfigErrorKind};
pub use listeners::{ListenerConfig, SecurityProtocol};
pub use loggers::Loggers;
pub use topic::LogConfig;
