//! The checks a value passes once it has its type (class `ConfigDef.Validator` and its kin), with Kafka's words.

use super::{error::ConfigError, metadata_version, value::Value, value::double_text};

/// What values a key allows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Validator {
    Any,
    /// Both ends inclusive.
    Range {
        min: Option<f64>,
        max: Option<f64>,
    },
    OneOf(&'static [&'static str]),
    OneOfIgnoringCase(&'static [&'static str]),
    /// Every item of a list.
    EachOf(&'static [&'static str]),
    NonNull,
    /// Null is allowed, the empty text is not.
    NonEmpty,
    /// 1 to 9, or −1.
    GzipLevel,
    /// −1, or positive.
    ThreadPoolSize,
    /// A release of Kafka or one of its inter-broker protocol versions.
    MetadataVersion,
    /// `partition:broker` pairs, or `*`.
    ThrottledReplicas,
    /// `id@host:port` (KRaft).
    QuorumVoters,
    /// `host:port` (KRaft).
    BootstrapServers,
}

#[must_use]
pub const fn at_least(min: f64) -> Validator {
    Validator::Range { min: Some(min), max: None }
}

#[must_use]
pub const fn between(min: f64, max: f64) -> Validator {
    Validator::Range { min: Some(min), max: Some(max) }
}

#[must_use]
pub const fn one_of(values: &'static [&'static str]) -> Validator {
    Validator::OneOf(values)
}

#[must_use]
pub const fn one_of_ignoring_case(values: &'static [&'static str]) -> Validator {
    Validator::OneOfIgnoringCase(values)
}

#[must_use]
pub const fn each_of(values: &'static [&'static str]) -> Validator {
    Validator::EachOf(values)
}

impl Validator {
    pub fn ensure_valid(&self, name: &str, value: &Value) -> Result<(), ConfigError> {
        let refuse = |reason: &str| Err(ConfigError::value(name, &value.printable(), Some(reason)));
        match (self, value) {
            (Self::NonNull, Value::Null) => refuse("entry must be non null"),
            (Self::Any | Self::NonNull, _) => Ok(()),
            (Self::NonEmpty, Value::String(text)) if text.is_empty() => refuse("String must be non-empty"),
            (Self::OneOf(allowed), Value::String(text)) => one_of_them(name, text, allowed),
            (Self::EachOf(allowed), Value::List(items)) => {
                items.iter().try_for_each(|item| one_of_them(name, item, allowed))
            }
            (Self::OneOfIgnoringCase(allowed), Value::String(text))
                if !allowed.iter().any(|it| it.eq_ignore_ascii_case(text)) =>
            {
                refuse(&format!("String must be one of (case insensitive): {}", allowed.join(", ")))
            }
            (Self::MetadataVersion, Value::String(text)) if !metadata_version::is_valid(text) => {
                refuse(&format!("Version {text} is not a valid version"))
            }
            (Self::ThrottledReplicas, Value::List(items)) if !are_throttled_replicas(items) => refuse(&format!(
                "{name} must be the literal '*' or a list of replicas in the following format: \
                 [partitionId]:[brokerId],[partitionId]:[brokerId],..."
            )),
            (Self::QuorumVoters, Value::List(items)) => {
                items.iter().filter(|it| !it.is_empty()).try_for_each(|it| voter(name, it, value))
            }
            (Self::BootstrapServers, Value::List(items)) => {
                items.iter().filter(|it| !it.is_empty()).try_for_each(|it| host_and_port(name, it, value))
            }
            (_, number) => match number.as_number() {
                Some(number) => self.check_number(number).or_else(|reason| refuse(&reason)),
                None => Ok(()),
            },
        }
    }

    fn check_number(&self, number: f64) -> Result<(), String> {
        match *self {
            Self::Range { min: Some(min), .. } if number < min => {
                Err(format!("Value must be at least {}", bound_text(min)))
            }
            Self::Range { max: Some(max), .. } if number > max => {
                Err(format!("Value must be no more than {}", bound_text(max)))
            }
            Self::GzipLevel if number > 9.0 || (number < 1.0 && number != -1.0) => {
                Err("Value must be between 1 and 9 or equal to -1".to_owned())
            }
            Self::ThreadPoolSize if number < -1.0 || number == 0.0 => {
                Err("Value can be -1 or greater than 0".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// What is allowed, for the documentation; empty if anything is.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Any | Self::NonNull => String::new(),
            Self::Range { min, max } => match (min, max) {
                (Some(min), Some(max)) => format!("{} to {}", bound_text(*min), bound_text(*max)),
                (Some(min), None) => format!("≥ {}", bound_text(*min)),
                (None, Some(max)) => format!("≤ {}", bound_text(*max)),
                (None, None) => String::new(),
            },
            Self::OneOf(allowed) | Self::OneOfIgnoringCase(allowed) => format!("one of {}", allowed.join(", ")),
            Self::EachOf(allowed) => format!("any of {}", allowed.join(", ")),
            Self::NonEmpty => "not empty".to_owned(),
            Self::GzipLevel => "1 to 9, or -1".to_owned(),
            Self::ThreadPoolSize => "≥ 1, or -1".to_owned(),
            Self::MetadataVersion => "a Kafka version".to_owned(),
            Self::ThrottledReplicas => "`partition:broker,…` or `*`".to_owned(),
            Self::QuorumVoters => "`id@host:port,…`".to_owned(),
            Self::BootstrapServers => "`host:port,…`".to_owned(),
        }
    }
}

/// Bounds are written as the integers they are.
fn bound_text(bound: f64) -> String {
    if bound.fract() == 0.0 { format!("{bound:.0}") } else { double_text(bound) }
}

fn one_of_them(name: &str, text: &str, allowed: &[&str]) -> Result<(), ConfigError> {
    if allowed.contains(&text) {
        return Ok(());
    }
    Err(ConfigError::value(name, text, Some(&format!("String must be one of: {}", allowed.join(", ")))))
}

fn are_throttled_replicas(items: &[String]) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let is_replica =
        |item: &str| item.split_once(':').is_some_and(|(partition, broker)| is_number(partition) && is_number(broker));
    let trimmed = || items.iter().map(|item| item.trim());
    trimmed().all(|item| item.is_empty() || is_replica(item)) || trimmed().collect::<String>() == "*"
}

fn voter(name: &str, item: &str, value: &Value) -> Result<(), ConfigError> {
    match item.split_once('@') {
        Some((id, address)) if id.parse::<i32>().is_ok() => host_and_port(name, address, value),
        Some((id, _)) => Err(ConfigError::value(
            name,
            &value.printable(),
            Some(&format!("Failed to parse voter ID as an integer from {id}")),
        )),
        None => Err(ConfigError::value(
            name,
            &value.printable(),
            Some(&format!("No value provided for voter address in {item}")),
        )),
    }
}

fn host_and_port(name: &str, item: &str, value: &Value) -> Result<(), ConfigError> {
    match item.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(()),
        _ => Err(ConfigError::value(
            name,
            &value.printable(),
            Some(&format!("Failed to parse host and port from {item}")),
        )),
    }
}
