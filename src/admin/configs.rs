//! Describing and changing configurations (classes `ConfigAdminManager`, `ZkAdminManager`, `ConfigHelper`).
//!
//! A change is written to the coordination store and announced there; this broker takes it up, as every other one,
//! when it hears the announcement.

use std::collections::BTreeSet;

use indexmap::IndexMap;

use crate::{
    common::{BrokerId, ErrorCode, topic_name},
    config::{
        ConfigError, ConfigErrorKind, DynamicConfig, Loggers,
        def::{ConfigKey, Kind},
        describe::{self, ConfigEntry, ConfigSource},
        dynamic, loggers, table, topic,
    },
    coordination::{ClusterStore, CoordinationError},
    metadata::MetadataCache,
};

/// Where the cluster's dynamic defaults are stored.
const CLUSTER_DEFAULT: &str = "<default>";

/// What a configuration belongs to (class `ConfigResource.Type`); the numbers travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResourceType {
    Topic,
    Broker,
    BrokerLogger,
    ClientMetrics,
    Group,
    Unknown,
}

impl ResourceType {
    #[must_use]
    pub const fn from_id(id: i8) -> Self {
        match id {
            2 => Self::Topic,
            4 => Self::Broker,
            8 => Self::BrokerLogger,
            16 => Self::ClientMetrics,
            32 => Self::Group,
            _ => Self::Unknown,
        }
    }

    /// As Kafka's messages write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Topic => "TOPIC",
            Self::Broker => "BROKER",
            Self::BrokerLogger => "BROKER_LOGGER",
            Self::ClientMetrics => "CLIENT_METRICS",
            Self::Group => "GROUP",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// What to do with one key; the numbers travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpType {
    Set,
    Delete,
    Append,
    Subtract,
    Unknown(i8),
}

impl OpType {
    #[must_use]
    pub const fn from_id(id: i8) -> Self {
        match id {
            0 => Self::Set,
            1 => Self::Delete,
            2 => Self::Append,
            3 => Self::Subtract,
            other => Self::Unknown(other),
        }
    }
}

/// One step of a change.
#[derive(Debug, Clone)]
pub struct ConfigOp {
    pub name: String,
    pub op: OpType,
    pub value: Option<String>,
}

/// The change asked for one resource.
#[derive(Debug, Clone)]
pub struct ResourceChange {
    /// As it travelled: an unknown number is quoted in the answer.
    pub type_id: i8,
    pub name: String,
    pub ops: Vec<ConfigOp>,
}

/// Why a resource was not served: the code, and the text if the code alone doesn't tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub code: ErrorCode,
    pub message: Option<String>,
}

impl Refusal {
    fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: Some(message.into()) }
    }

    fn invalid_request(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidRequest, message)
    }

    /// The text stays here: it could tell secrets.
    fn server_error() -> Self {
        Self { code: ErrorCode::UnknownServerError, message: None }
    }
}

impl From<CoordinationError> for Refusal {
    fn from(fault: CoordinationError) -> Self {
        tracing::error!(%fault, "Cannot read or write a configuration in the coordination store");
        Self::server_error()
    }
}

/// One request's view of what describing and changing needs.
pub struct ConfigAdmin<'a> {
    pub broker_id: BrokerId,
    pub config: &'a DynamicConfig,
    pub loggers: &'a Loggers,
    pub cluster: &'a ClusterStore,
    pub metadata: &'a MetadataCache,
}

type Props = IndexMap<String, String>;

impl ConfigAdmin<'_> {
    /// Every key of the resource.
    pub async fn describe(&self, type_id: i8, name: &str) -> Result<Vec<ConfigEntry>, Refusal> {
        match ResourceType::from_id(type_id) {
            ResourceType::Topic => self.describe_topic(name).await,
            ResourceType::Broker if name.is_empty() => Ok(describe::describe_cluster_default(self.config)),
            ResourceType::Broker => {
                let expected = format!("{} or empty string,", self.broker_id);
                self.check_broker_id("Broker", name, &expected)?;
                Ok(describe::describe_broker(self.config))
            }
            ResourceType::BrokerLogger if name.is_empty() => {
                Err(Refusal::invalid_request("Broker id must not be empty"))
            }
            ResourceType::BrokerLogger => {
                self.check_broker_id("Broker", name, &self.broker_id.to_string())?;
                Ok(self.loggers.describe().into_iter().map(logger_entry).collect())
            }
            ResourceType::ClientMetrics if name.is_empty() => {
                Err(Refusal::invalid_request("Client metrics subscription name must not be empty"))
            }
            ResourceType::ClientMetrics => {
                Err(Refusal::invalid_request("Config type client-metrics is only supported on KRaft clusters"))
            }
            other => Err(Refusal::invalid_request(format!("Unsupported resource type: {}", other.name()))),
        }
    }

    async fn describe_topic(&self, name: &str) -> Result<Vec<ConfigEntry>, Refusal> {
        topic_name::validate(name).map_err(|fault| Refusal::new(ErrorCode::InvalidTopicException, fault))?;
        if self.metadata.load().topic(name).is_none() {
            return Err(Refusal::new(ErrorCode::UnknownTopicOrPartition, ""));
        }
        let overrides = self.cluster.entity_config(&topic_path(name)).await?;
        describe::describe_topic(self.config, &overrides).map_err(|fault| {
            tracing::error!(topic = name, %fault, "The stored configuration of a topic is invalid");
            Refusal::server_error()
        })
    }

    /// IncrementalAlterConfigs: one outcome per change, in their order.
    pub async fn incremental_alter(&self, changes: &[ResourceChange], validate_only: bool) -> Vec<Result<(), Refusal>> {
        let mut outcomes = Vec::with_capacity(changes.len());
        for change in changes {
            outcomes.push(match check_shape(changes, change) {
                Ok(()) => self.incremental_alter_one(change, validate_only).await,
                refused => refused,
            });
        }
        outcomes
    }

    async fn incremental_alter_one(&self, change: &ResourceChange, validate_only: bool) -> Result<(), Refusal> {
        match ResourceType::from_id(change.type_id) {
            ResourceType::BrokerLogger => self.alter_loggers(change, validate_only),
            ResourceType::Broker => {
                let path = self.broker_path(&change.name)?;
                let per_broker = !change.name.is_empty();
                if let Some(ConfigOp { op: OpType::Unknown(id), .. }) = change.ops.iter().find(|op| is_unknown(op.op)) {
                    return Err(Refusal::invalid_request(format!("Unknown operations type {id}")));
                }
                let mut props = self.cluster.entity_config(&path).await?;
                props.retain(|name, _| !dynamic::is_password(name));
                apply(&change.ops, &mut props, table::key)?;
                self.alter_broker(&path, &props, per_broker, validate_only).await
            }
            ResourceType::Topic if change.name.is_empty() => {
                Err(Refusal::invalid_request("Default topic resources are not allowed."))
            }
            ResourceType::Topic => {
                let mut props = self.cluster.entity_config(&topic_path(&change.name)).await?;
                apply(&change.ops, &mut props, table::topic_key)?;
                self.alter_topic(&change.name, &props, validate_only).await
            }
            _ => Err(unsupported(change.type_id)),
        }
    }

    /// AlterConfigs, the older API: what is given becomes the whole set. One outcome per change, in their order.
    pub async fn alter(&self, changes: &[ResourceChange], validate_only: bool) -> Vec<Result<(), Refusal>> {
        let mut outcomes = Vec::with_capacity(changes.len());
        for change in changes {
            outcomes.push(match check_shape(changes, change) {
                Ok(()) => self.alter_one(change, validate_only).await,
                refused => refused,
            });
        }
        outcomes
    }

    async fn alter_one(&self, change: &ResourceChange, validate_only: bool) -> Result<(), Refusal> {
        let props: Props = change.ops.iter().filter_map(|op| Some((op.name.clone(), op.value.clone()?))).collect();
        match ResourceType::from_id(change.type_id) {
            ResourceType::Broker => {
                let path = self.broker_path(&change.name)?;
                self.alter_broker(&path, &props, !change.name.is_empty(), validate_only).await
            }
            ResourceType::Topic if change.name.is_empty() => {
                Err(Refusal::invalid_request("Default topic resources are not allowed."))
            }
            ResourceType::Topic => self.alter_topic(&change.name, &props, validate_only).await,
            ResourceType::BrokerLogger => Err(unknown_type(change.type_id)),
            _ => Err(unsupported(change.type_id)),
        }
    }

    async fn alter_topic(&self, name: &str, props: &Props, validate_only: bool) -> Result<(), Refusal> {
        if self.metadata.load().topic(name).is_none() {
            let message = format!("The topic '{name}' does not exist.");
            return Err(Refusal::new(ErrorCode::UnknownTopicOrPartition, message));
        }
        topic_name::validate(name).map_err(|fault| Refusal::new(ErrorCode::InvalidTopicException, fault))?;
        topic::validate(&self.config.snapshot(), props)
            .map_err(|fault| invalid_config(ResourceType::Topic, name, &fault))?;
        if !validate_only {
            tracing::info!(topic = name, keys = ?props.keys().collect::<Vec<_>>(), "Updating a topic's configuration");
            self.cluster.set_entity_config(&topic_path(name), props).await?;
        }
        Ok(())
    }

    async fn alter_broker(
        &self,
        path: &str,
        props: &Props,
        per_broker: bool,
        validate_only: bool,
    ) -> Result<(), Refusal> {
        self.config.validate(props, per_broker).map_err(|fault| Refusal::invalid_request(fault.message))?;
        if validate_only {
            return Ok(());
        }
        if props.keys().any(|name| dynamic::is_password(name)) {
            let message = if per_broker {
                "Password encoder secret not configured"
            } else {
                "Password config can be defined only at broker level"
            };
            let name = if per_broker { self.broker_id.to_string() } else { String::new() };
            return Err(invalid_config(ResourceType::Broker, &name, &ConfigError::invalid(message)));
        }
        tracing::info!(path, keys = ?props.keys().collect::<Vec<_>>(), "Updating a broker's configuration");
        Ok(self.cluster.set_entity_config(path, props).await?)
    }

    fn alter_loggers(&self, change: &ResourceChange, validate_only: bool) -> Result<(), Refusal> {
        let id: i32 = change
            .name
            .parse()
            .map_err(|_| Refusal::invalid_request(format!("Node id must be an integer, but it is: {}", change.name)))?;
        if id != self.broker_id {
            // Kafka prints its own id twice.
            let own = self.broker_id;
            return Err(Refusal::invalid_request(format!("Unexpected node id. Expected {own}, but received {own}")));
        }
        for op in &change.ops {
            self.check_logger_op(op)?;
        }
        if !validate_only {
            for op in &change.ops {
                let level = op.value.as_deref().filter(|_| op.op == OpType::Set);
                tracing::warn!(logger = op.name, level, "Updating a log level");
                self.loggers.set(&op.name, level);
            }
        }
        Ok(())
    }

    fn check_logger_op(&self, op: &ConfigOp) -> Result<(), Refusal> {
        let refused = |fault: ConfigError| Refusal::new(ErrorCode::InvalidConfig, fault.message);
        let not_allowed =
            |what: &str| Err(Refusal::invalid_request(format!("{what} is not allowed for the BROKER_LOGGER resource")));
        match op.op {
            OpType::Set => self.loggers.check(&op.name, op.value.as_deref().unwrap_or_default()).map_err(refused),
            OpType::Delete => {
                self.loggers.check_exists(&op.name).map_err(refused)?;
                if op.name == loggers::ROOT {
                    return Err(Refusal::invalid_request("Removing the log level of the root logger is not allowed"));
                }
                Ok(())
            }
            OpType::Append => not_allowed("APPEND operation"),
            OpType::Subtract => not_allowed("SUBTRACT operation"),
            OpType::Unknown(id) => not_allowed(&format!("Unknown operation type {id}")),
        }
    }

    /// Path of the stored set: that of this broker, or of the cluster for the empty name.
    fn broker_path(&self, name: &str) -> Result<String, Refusal> {
        if name.is_empty() {
            return Ok(format!("brokers/{CLUSTER_DEFAULT}"));
        }
        self.check_broker_id("Node", name, &format!("{},", self.broker_id))?;
        Ok(format!("brokers/{}", self.broker_id))
    }

    fn check_broker_id(&self, what: &str, name: &str, expected: &str) -> Result<(), Refusal> {
        match name.parse::<i32>() {
            Ok(id) if id == self.broker_id => Ok(()),
            Ok(_) => {
                Err(Refusal::invalid_request(format!("Unexpected broker id, expected {expected} but received {name}")))
            }
            Err(_) => Err(Refusal::invalid_request(format!("{what} id must be an integer, but it is: {name}"))),
        }
    }
}

fn topic_path(name: &str) -> String {
    format!("topics/{name}")
}

fn logger_entry((name, level): (String, String)) -> ConfigEntry {
    ConfigEntry {
        name,
        value: Some(level),
        source: ConfigSource::BrokerLogger,
        read_only: false,
        sensitive: false,
        synonyms: Vec::new(),
        kind: None,
        documentation: None,
    }
}

fn is_unknown(op: OpType) -> bool {
    matches!(op, OpType::Unknown(_))
}

fn unknown_type(type_id: i8) -> Refusal {
    Refusal::invalid_request(format!("Unknown resource type {type_id}"))
}

/// Client metrics pass the first look and are refused by the second; anything else is unknown already to the first.
fn unsupported(type_id: i8) -> Refusal {
    match ResourceType::from_id(type_id) {
        ResourceType::ClientMetrics => Refusal::invalid_request(
            "AlterConfigs is only supported for topics and brokers, but resource type is CLIENT_METRICS",
        ),
        _ => unknown_type(type_id),
    }
}

/// Checks that need nothing but the request.
fn check_shape(changes: &[ResourceChange], change: &ResourceChange) -> Result<(), Refusal> {
    let same = |other: &&ResourceChange| other.type_id == change.type_id && other.name == change.name;
    if changes.iter().filter(same).count() > 1 {
        return Err(Refusal::invalid_request("Each resource must appear at most once."));
    }
    let mut names = BTreeSet::new();
    if !change.ops.iter().all(|op| names.insert(op.name.as_str())) {
        return Err(Refusal::invalid_request("Error due to duplicate config keys"));
    }
    let without_value: Vec<&str> = change
        .ops
        .iter()
        .filter(|op| op.op != OpType::Delete && op.value.is_none())
        .map(|op| op.name.as_str())
        .collect();
    if without_value.is_empty() {
        return Ok(());
    }
    Err(Refusal::invalid_request(format!("Null value not supported for : {}", without_value.join(", "))))
}

/// Kafka quotes the resource for a wrong value, and only the rule for a wrong name or a contradiction.
fn invalid_config(resource: ResourceType, name: &str, fault: &ConfigError) -> Refusal {
    let message = match fault.kind {
        ConfigErrorKind::Value => format!(
            "Invalid config value for resource ConfigResource(type={}, name='{name}'): {fault}",
            resource.name()
        ),
        ConfigErrorKind::Refused => fault.message.clone(),
    };
    Refusal::new(ErrorCode::InvalidConfig, message)
}

/// Applies the steps to the stored set. Lists are taken apart at bare commas, as Kafka does: spaces stay.
fn apply(ops: &[ConfigOp], props: &mut Props, key_of: fn(&str) -> Option<&'static ConfigKey>) -> Result<(), Refusal> {
    for op in ops {
        let value = op.value.as_deref().unwrap_or_default();
        match op.op {
            OpType::Set => {
                props.insert(op.name.clone(), value.to_owned());
            }
            OpType::Delete => {
                props.shift_remove(&op.name);
            }
            OpType::Append => {
                let text = list_text(&op.name, "append", props, key_of)?;
                let mut items = if text.is_empty() { Vec::new() } else { split(&text) };
                let added = split(value).into_iter().filter(|item| !items.contains(item)).collect::<Vec<_>>();
                items.extend(added);
                props.insert(op.name.clone(), items.join(","));
            }
            OpType::Subtract => {
                let text = list_text(&op.name, "subtract", props, key_of)?;
                let mut items = split(&text);
                for item in split(value) {
                    if let Some(at) = items.iter().position(|it| *it == item) {
                        items.remove(at);
                    }
                }
                props.insert(op.name.clone(), items.join(","));
            }
            OpType::Unknown(_) => return Err(Refusal::server_error()),
        }
    }
    Ok(())
}

/// The text a list has now: the stored one, else that of the default.
fn list_text(
    name: &str,
    verb: &str,
    props: &Props,
    key_of: fn(&str) -> Option<&'static ConfigKey>,
) -> Result<String, Refusal> {
    // Kafka trips over a name it does not know.
    let key = key_of(name).ok_or_else(Refusal::server_error)?;
    if key.kind != Kind::List {
        let message = format!("Config value {verb} is not allowed for config key: {name}");
        return Err(Refusal::new(ErrorCode::InvalidConfig, message));
    }
    Ok(props.get(name).cloned().or_else(|| key.default_value().to_text()).unwrap_or_default())
}

/// Java's `split(",")`: empty items at the end are dropped, but an empty text is one empty item.
fn split(text: &str) -> Vec<&str> {
    let mut items: Vec<&str> = text.split(',').collect();
    while items.len() > 1 && items.last().is_some_and(|item| item.is_empty()) {
        items.pop();
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    fn op(op: OpType, name: &str, value: &str) -> ConfigOp {
        ConfigOp { name: name.to_owned(), op, value: Some(value.to_owned()) }
    }

    fn change(type_id: i8, name: &str, ops: Vec<ConfigOp>) -> ResourceChange {
        ResourceChange { type_id, name: name.to_owned(), ops }
    }

    /// A list grows from its default, items are not repeated, and taking all away leaves an empty value, not none.
    #[test]
    fn lists_are_appended_to_and_subtracted_from() {
        let mut props = Props::new();
        let mut step =
            |ops: &[ConfigOp]| apply(ops, &mut props, table::topic_key).map(|()| props.get("cleanup.policy").cloned());
        let key = "cleanup.policy";
        assert_eq!(step(&[op(OpType::Append, key, "compact,delete")]), Ok(Some("delete,compact".into())));
        assert_eq!(step(&[op(OpType::Subtract, key, "delete")]), Ok(Some("compact".into())));
        assert_eq!(step(&[op(OpType::Subtract, key, "compact")]), Ok(Some(String::new())));
        assert_eq!(step(&[op(OpType::Append, key, "compact")]), Ok(Some("compact".into())));
        assert_eq!(step(&[op(OpType::Delete, key, "")]), Ok(None));
        let refused = step(&[op(OpType::Append, "retention.ms", "5")]).unwrap_err();
        assert_eq!(refused.code, ErrorCode::InvalidConfig);
        assert_eq!(step(&[op(OpType::Append, "nope", "5")]), Err(Refusal::server_error()));
    }

    #[test]
    fn a_malformed_change_is_refused_before_anything_is_read() {
        let message = |changes: &[ResourceChange]| check_shape(changes, &changes[0]).unwrap_err().message.unwrap();
        let set = || op(OpType::Set, "retention.ms", "5");
        let twice = [change(2, "a", vec![set()]), change(2, "a", vec![])];
        assert_eq!(message(&twice), "Each resource must appear at most once.");
        assert_eq!(message(&[change(2, "a", vec![set(), set()])]), "Error due to duplicate config keys");
        let null = ConfigOp { value: None, ..set() };
        assert_eq!(message(&[change(2, "a", vec![null])]), "Null value not supported for : retention.ms");
        let other = [change(2, "a", vec![set()]), change(4, "a", vec![])];
        assert!(check_shape(&other, &other[0]).is_ok());
    }

    #[test]
    fn a_wrong_value_names_the_resource_and_a_contradiction_only_itself() {
        let value = ConfigError::value("retention.ms", "abc", Some("Not a number of type LONG"));
        assert_eq!(
            invalid_config(ResourceType::Topic, "foo", &value).message.unwrap(),
            "Invalid config value for resource ConfigResource(type=TOPIC, name='foo'): Invalid value abc for \
             configuration retention.ms: Not a number of type LONG"
        );
        let refused = ConfigError::refused("Unknown topic config name: nope");
        assert_eq!(
            invalid_config(ResourceType::Topic, "foo", &refused).message.unwrap(),
            "Unknown topic config name: nope"
        );
    }
}
