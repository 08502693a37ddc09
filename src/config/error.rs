//! What can be wrong with a configuration, in one line that names the key.

/// Kafka tells two kinds apart, and answers them with different words to an admin client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigErrorKind {
    /// A value that does not parse or that a check refuses (class `ConfigException`).
    Value,
    /// Names or values that contradict each other (class `InvalidConfigurationException`).
    Refused,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ConfigError {
    pub kind: ConfigErrorKind,
    pub message: String,
}

impl ConfigError {
    /// `Invalid value X for configuration Y: reason`.
    #[must_use]
    pub fn value(name: &str, value: &str, reason: Option<&str>) -> Self {
        let message = match reason {
            Some(reason) => format!("Invalid value {value} for configuration {name}: {reason}"),
            None => format!("Invalid value {value} for configuration {name}"),
        };
        Self { kind: ConfigErrorKind::Value, message }
    }

    #[must_use]
    pub fn invalid(message: impl Into<String>) -> Self {
        Self { kind: ConfigErrorKind::Value, message: message.into() }
    }

    /// A rule between keys is broken; Kafka checks these with Scala's `require`, which prefixes the text.
    #[must_use]
    pub fn requirement(message: impl AsRef<str>) -> Self {
        Self { kind: ConfigErrorKind::Value, message: format!("requirement failed: {}", message.as_ref()) }
    }

    #[must_use]
    pub fn refused(message: impl Into<String>) -> Self {
        Self { kind: ConfigErrorKind::Refused, message: message.into() }
    }
}
