//! The topic-level keys as typed values (class `LogConfig`): what one log obeys, and what a topic may be given.

use indexmap::IndexMap;

use super::{
    broker::BrokerConfig,
    error::ConfigError,
    table::{self, topic::TopicValues},
    value::{Value, double_text},
};
use crate::protocol::records::batch::TimestampType;

/// `compression.type` / `log.compression.type` of the broker side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BrokerCompression {
    /// Keep what the producer sent.
    Producer,
    Uncompressed,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

/// What one log obeys. Field names are the topic keys with `_` for `.`; values are Kafka's defaults by `Default`.
#[derive(Debug, Clone, PartialEq)]
pub struct LogConfig {
    pub segment_bytes: i32,
    pub segment_ms: i64,
    pub segment_jitter_ms: i64,
    pub segment_index_bytes: i32,
    pub flush_messages: i64,
    pub flush_ms: i64,
    pub retention_bytes: i64,
    pub retention_ms: i64,
    pub local_retention_ms: i64,
    pub local_retention_bytes: i64,
    pub max_message_bytes: i32,
    pub index_interval_bytes: i32,
    pub file_delete_delay_ms: i64,
    pub delete_retention_ms: i64,
    pub min_compaction_lag_ms: i64,
    pub max_compaction_lag_ms: i64,
    pub min_cleanable_dirty_ratio: f64,
    pub cleanup_compact: bool,
    pub cleanup_delete: bool,
    pub unclean_leader_election_enable: bool,
    pub min_insync_replicas: i32,
    pub compression: BrokerCompression,
    pub compression_gzip_level: i32,
    pub compression_lz4_level: i32,
    pub compression_zstd_level: i32,
    pub preallocate: bool,
    pub message_timestamp_type: TimestampType,
    pub message_timestamp_difference_max_ms: i64,
    pub message_timestamp_before_max_ms: i64,
    pub message_timestamp_after_max_ms: i64,
    pub message_downconversion_enable: bool,
    pub leader_replication_throttled_replicas: Vec<String>,
    pub follower_replication_throttled_replicas: Vec<String>,
    pub remote_storage_enable: bool,
    pub remote_log_copy_disable: bool,
    pub remote_log_delete_on_disable: bool,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            segment_bytes: 1 << 30,
            segment_ms: 604_800_000,
            segment_jitter_ms: 0,
            segment_index_bytes: 10 << 20,
            flush_messages: i64::MAX,
            flush_ms: i64::MAX,
            retention_bytes: -1,
            retention_ms: 604_800_000,
            local_retention_ms: -2,
            local_retention_bytes: -2,
            max_message_bytes: 1_048_588,
            index_interval_bytes: 4096,
            file_delete_delay_ms: 60_000,
            delete_retention_ms: 86_400_000,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: i64::MAX,
            min_cleanable_dirty_ratio: 0.5,
            cleanup_compact: false,
            cleanup_delete: true,
            unclean_leader_election_enable: false,
            min_insync_replicas: 1,
            compression: BrokerCompression::Producer,
            compression_gzip_level: -1,
            compression_lz4_level: 9,
            compression_zstd_level: 3,
            preallocate: false,
            message_timestamp_type: TimestampType::CreateTime,
            message_timestamp_difference_max_ms: i64::MAX,
            message_timestamp_before_max_ms: i64::MAX,
            message_timestamp_after_max_ms: i64::MAX,
            message_downconversion_enable: true,
            leader_replication_throttled_replicas: Vec::new(),
            follower_replication_throttled_replicas: Vec::new(),
            remote_storage_enable: false,
            remote_log_copy_disable: false,
            remote_log_delete_on_disable: false,
        }
    }
}

impl BrokerCompression {
    fn from_name(name: &str) -> Self {
        match name {
            "uncompressed" => Self::Uncompressed,
            "gzip" => Self::Gzip,
            "snappy" => Self::Snappy,
            "lz4" => Self::Lz4,
            "zstd" => Self::Zstd,
            _ => Self::Producer,
        }
    }
}

impl LogConfig {
    /// A topic's configuration: its overrides over the broker's values. Names that are no topic keys are passed
    /// over, as when they are found in ZooKeeper; [`validate`] refuses them.
    pub fn from_overrides(
        broker: &BrokerConfig,
        overrides: &IndexMap<String, String>,
    ) -> Result<LogConfig, ConfigError> {
        Ok(values(broker, overrides)?.into())
    }
}

/// The 36 values of a topic, overrides over the broker's.
pub(super) fn values(broker: &BrokerConfig, overrides: &IndexMap<String, String>) -> Result<TopicValues, ConfigError> {
    let mut given = broker_values(broker);
    given.extend(overrides.iter().map(|(name, value)| (name.clone(), value.clone())));
    TopicValues::parse(&given)
}

/// One topic's values under their names, typed.
pub(super) fn values_by_name(
    broker: &BrokerConfig,
    overrides: &IndexMap<String, String>,
) -> Result<IndexMap<&'static str, Value>, ConfigError> {
    let mut given = broker_values(broker);
    given.extend(overrides.iter().map(|(name, value)| (name.clone(), value.clone())));
    TopicValues::KEYS.iter().map(|key| Ok((key.name, key.parse(given.get(key.name).map(String::as_str))?))).collect()
}

/// Checks the whole set of a topic's overrides, as a change or a creation would leave it.
pub fn validate(broker: &BrokerConfig, overrides: &IndexMap<String, String>) -> Result<(), ConfigError> {
    if let Some(unknown) = overrides.keys().find(|name| table::topic_key(name).is_none()) {
        return Err(ConfigError::refused(format!("Unknown topic config name: {unknown}")));
    }
    let values = values(broker, overrides)?;
    validate_compaction_lag(&values)?;
    if values.remote_log_delete_on_disable || values.remote_log_copy_disable {
        return Err(ConfigError::refused(
            "It is invalid to set `remote.log.delete.on.disable` or `remote.log.copy.disable` under Zookeeper's mode.",
        ));
    }
    if values.remote_storage_enable {
        if !broker.remote.remote_log_storage_system_enable {
            return Err(ConfigError::invalid(
                "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log \
                 storage.",
            ));
        }
        if values.cleanup_policy.iter().any(|policy| policy.eq_ignore_ascii_case("compact")) {
            return Err(ConfigError::invalid("Remote log storage is unsupported for the compacted topics"));
        }
        validate_local_retention(&values)?;
    }
    Ok(())
}

/// The broker's own values, as every topic without overrides would have them.
pub(super) fn validate_broker_defaults(broker: &BrokerConfig) -> Result<(), ConfigError> {
    let values = values(broker, &IndexMap::new())?;
    validate_compaction_lag(&values)?;
    if broker.remote.remote_log_storage_system_enable { validate_local_retention(&values) } else { Ok(()) }
}

fn validate_compaction_lag(values: &TopicValues) -> Result<(), ConfigError> {
    let (min, max) = (values.min_compaction_lag_ms, values.max_compaction_lag_ms);
    if min <= max {
        return Ok(());
    }
    Err(ConfigError::refused(format!(
        "conflict topic config setting min.compaction.lag.ms ({min}) > max.compaction.lag.ms ({max})"
    )))
}

fn validate_local_retention(values: &TopicValues) -> Result<(), ConfigError> {
    let bytes = (values.retention_bytes > -1).then_some(values.retention_bytes);
    let ms = (values.retention_ms != -1).then_some(values.retention_ms);
    not_more_than("local.retention.bytes", values.local_retention_bytes, "retention.bytes", bytes)?;
    not_more_than("local.retention.ms", values.local_retention_ms, "retention.ms", ms)
}

/// −2 follows the total; −1 (all) and more than the total contradict a total that is set.
pub(super) fn not_more_than(name: &str, local: i64, total_name: &str, total: Option<i64>) -> Result<(), ConfigError> {
    let Some(total) = total.filter(|_| local != -2) else { return Ok(()) };
    let reason = if local == -1 {
        format!("Value must not be -1 as {total_name} value is set as {total}.")
    } else if local > total {
        format!("Value must not be more than {total_name} property value: {total}")
    } else {
        return Ok(());
    };
    Err(ConfigError::value(name, &local.to_string(), Some(&reason)))
}

/// The broker's values under the topic keys' names, as text (`KafkaConfig.extractLogConfigMap`).
fn broker_values(broker: &BrokerConfig) -> IndexMap<String, String> {
    let mut map = IndexMap::with_capacity(TopicValues::KEYS.len());
    for (key, server) in TopicValues::KEYS.iter().zip(TopicValues::SERVER_KEYS) {
        let text = match key.name {
            // Several units, or a fallback to another key.
            "retention.ms" => Some(broker.log_retention_ms().to_string()),
            "segment.ms" => Some(broker.log_roll_ms().to_string()),
            "segment.jitter.ms" => Some(broker.log_roll_jitter_ms().to_string()),
            "flush.ms" => Some(broker.log_flush_interval_ms().to_string()),
            "message.timestamp.before.max.ms" => {
                Some(or_difference(broker, broker.log.log_message_timestamp_before_max_ms).to_string())
            }
            "message.timestamp.after.max.ms" => {
                Some(or_difference(broker, broker.log.log_message_timestamp_after_max_ms).to_string())
            }
            "min.cleanable.dirty.ratio" => Some(double_text(broker.log.log_cleaner_min_cleanable_ratio)),
            // Ignored since inter-broker protocol 3.0, whatever was given.
            "message.format.version" => None,
            _ => server.first().and_then(|name| broker.value(name)).and_then(|value| value.to_text()),
        };
        if let Some(text) = text {
            map.insert(key.name.to_owned(), text);
        }
    }
    map
}

/// A limit that was left at its default gives way to the older limit in both directions.
fn or_difference(broker: &BrokerConfig, limit_ms: i64) -> i64 {
    if limit_ms == i64::MAX { broker.log.log_message_timestamp_difference_max_ms } else { limit_ms }
}

impl From<TopicValues> for LogConfig {
    fn from(values: TopicValues) -> Self {
        let has_policy = |name: &str| values.cleanup_policy.iter().any(|policy| policy.eq_ignore_ascii_case(name));
        let difference_ms = values.message_timestamp_difference_max_ms;
        let or_difference = |limit_ms: i64| if limit_ms == i64::MAX { difference_ms } else { limit_ms };
        Self {
            segment_bytes: values.segment_bytes,
            segment_ms: values.segment_ms,
            segment_jitter_ms: values.segment_jitter_ms,
            segment_index_bytes: values.segment_index_bytes,
            flush_messages: values.flush_messages,
            flush_ms: values.flush_ms,
            retention_bytes: values.retention_bytes,
            retention_ms: values.retention_ms,
            local_retention_ms: values.local_retention_ms,
            local_retention_bytes: values.local_retention_bytes,
            max_message_bytes: values.max_message_bytes,
            index_interval_bytes: values.index_interval_bytes,
            file_delete_delay_ms: values.file_delete_delay_ms,
            delete_retention_ms: values.delete_retention_ms,
            min_compaction_lag_ms: values.min_compaction_lag_ms,
            max_compaction_lag_ms: values.max_compaction_lag_ms,
            min_cleanable_dirty_ratio: values.min_cleanable_dirty_ratio,
            cleanup_compact: has_policy("compact"),
            cleanup_delete: has_policy("delete"),
            unclean_leader_election_enable: values.unclean_leader_election_enable,
            min_insync_replicas: values.min_insync_replicas,
            compression: BrokerCompression::from_name(&values.compression_type),
            compression_gzip_level: values.compression_gzip_level,
            compression_lz4_level: values.compression_lz4_level,
            compression_zstd_level: values.compression_zstd_level,
            preallocate: values.preallocate,
            message_timestamp_type: if values.message_timestamp_type == "LogAppendTime" {
                TimestampType::LogAppendTime
            } else {
                TimestampType::CreateTime
            },
            message_timestamp_difference_max_ms: difference_ms,
            message_timestamp_before_max_ms: or_difference(values.message_timestamp_before_max_ms),
            message_timestamp_after_max_ms: or_difference(values.message_timestamp_after_max_ms),
            message_downconversion_enable: values.message_downconversion_enable,
            leader_replication_throttled_replicas: values.leader_replication_throttled_replicas,
            follower_replication_throttled_replicas: values.follower_replication_throttled_replicas,
            remote_storage_enable: values.remote_storage_enable,
            remote_log_copy_disable: values.remote_log_copy_disable,
            remote_log_delete_on_disable: values.remote_log_delete_on_disable,
        }
    }
}
