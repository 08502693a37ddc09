//! The keys a topic may override (class `LogConfig`), each with the broker keys its default comes from.

use crate::config::def::{Validator, at_least, between, each_of, one_of, topic_keys};

topic_keys! {
    /// What happens to old segments: `delete`, `compact`, or both.
    cleanup_policy: Vec<String> = "cleanup.policy" {
        default: "delete", check: each_of(&["compact", "delete"]), importance: Medium, server: ["log.cleanup.policy"]
    }
    /// Level used when the broker itself writes gzip, 1 to 9, or −1 for the codec's own default.
    compression_gzip_level: i32 = "compression.gzip.level" {
        default: "-1", check: Validator::GzipLevel, importance: Medium, server: ["compression.gzip.level"]
    }
    /// Level used when the broker itself writes lz4.
    compression_lz4_level: i32 = "compression.lz4.level" {
        default: "9", check: between(1.0, 17.0), importance: Medium, server: ["compression.lz4.level"]
    }
    /// Codec of stored batches; `producer` keeps what the producer chose, `uncompressed` means none.
    compression_type: String = "compression.type" {
        default: "producer",
        check: one_of(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]),
        importance: Medium,
        server: ["compression.type"]
    }
    /// Level used when the broker itself writes zstd.
    compression_zstd_level: i32 = "compression.zstd.level" {
        default: "3", check: between(-131072.0, 22.0), importance: Medium, server: ["compression.zstd.level"]
    }
    /// Time a tombstone is kept in a compacted log.
    delete_retention_ms: i64 = "delete.retention.ms" {
        default: "86400000", check: at_least(0.0), importance: Medium, server: ["log.cleaner.delete.retention.ms"]
    }
    /// Time between renaming a file for deletion and removing it.
    file_delete_delay_ms: i64 = "file.delete.delay.ms" {
        default: "60000", check: at_least(0.0), importance: Medium, server: ["log.segment.delete.delay.ms"]
    }
    /// Number of records after which a log is forced to disk.
    flush_messages: i64 = "flush.messages" {
        default: "9223372036854775807",
        check: at_least(1.0),
        importance: Medium,
        server: ["log.flush.interval.messages"]
    }
    /// Longest time a record stays unflushed.
    flush_ms: i64 = "flush.ms" {
        default: "9223372036854775807",
        check: at_least(0.0),
        importance: Medium,
        server: ["log.flush.interval.ms", "log.flush.scheduler.interval.ms"]
    }
    /// Replicas whose fetching is throttled on the follower's side, as `partition:broker`, or `*`.
    follower_replication_throttled_replicas: Vec<String> = "follower.replication.throttled.replicas" {
        default: "", check: Validator::ThrottledReplicas, importance: Medium
    }
    /// Bytes of log between two entries of the offset index.
    index_interval_bytes: i32 = "index.interval.bytes" {
        default: "4096", check: at_least(0.0), importance: Medium, server: ["log.index.interval.bytes"]
    }
    /// Replicas whose fetching is throttled on the leader's side, as `partition:broker`, or `*`.
    leader_replication_throttled_replicas: Vec<String> = "leader.replication.throttled.replicas" {
        default: "", check: Validator::ThrottledReplicas, importance: Medium
    }
    /// Bytes of a partition kept on local disk when tiered; −2 follows the total limit.
    local_retention_bytes: i64 = "local.retention.bytes" {
        default: "-2", check: at_least(-2.0), importance: Medium, server: ["log.local.retention.bytes"]
    }
    /// Time a segment stays on local disk when tiered; −2 follows the total limit.
    local_retention_ms: i64 = "local.retention.ms" {
        default: "-2", check: at_least(-2.0), importance: Medium, server: ["log.local.retention.ms"]
    }
    /// Longest time a record stays out of reach of compaction.
    max_compaction_lag_ms: i64 = "max.compaction.lag.ms" {
        default: "9223372036854775807",
        check: at_least(1.0),
        importance: Medium,
        server: ["log.cleaner.max.compaction.lag.ms"]
    }
    /// Largest record batch accepted, in bytes after compression.
    max_message_bytes: i32 = "max.message.bytes" {
        default: "1048588", check: at_least(0.0), importance: Medium, server: ["message.max.bytes"]
    }
    /// Whether records are rewritten in older formats for old clients.
    message_downconversion_enable: bool = "message.downconversion.enable" {
        default: "true", importance: Low, server: ["log.message.downconversion.enable"]
    }
    /// Record format on disk; ignored since protocol version 3.0.
    message_format_version: String = "message.format.version" {
        default: "3.0-IV1",
        check: Validator::MetadataVersion,
        importance: Medium,
        server: ["log.message.format.version"]
    }
    /// How far a record's time may be ahead of the broker's clock.
    message_timestamp_after_max_ms: i64 = "message.timestamp.after.max.ms" {
        default: "9223372036854775807",
        check: at_least(0.0),
        importance: Medium,
        server: ["log.message.timestamp.after.max.ms"]
    }
    /// How far a record's time may be behind the broker's clock.
    message_timestamp_before_max_ms: i64 = "message.timestamp.before.max.ms" {
        default: "9223372036854775807",
        check: at_least(0.0),
        importance: Medium,
        server: ["log.message.timestamp.before.max.ms"]
    }
    /// Older limit in both directions; used where the newer limits are not set.
    message_timestamp_difference_max_ms: i64 = "message.timestamp.difference.max.ms" {
        default: "9223372036854775807",
        check: at_least(0.0),
        importance: Medium,
        server: ["log.message.timestamp.difference.max.ms"]
    }
    /// Whose clock stamps records: the client's (`CreateTime`) or the broker's (`LogAppendTime`).
    message_timestamp_type: String = "message.timestamp.type" {
        default: "CreateTime",
        check: one_of(&["CreateTime", "LogAppendTime"]),
        importance: Medium,
        server: ["log.message.timestamp.type"]
    }
    /// Share of a log that must be dirty before it is cleaned.
    min_cleanable_dirty_ratio: f64 = "min.cleanable.dirty.ratio" {
        default: "0.5", check: between(0.0, 1.0), importance: Medium, server: ["log.cleaner.min.cleanable.ratio"]
    }
    /// Least age of a record before it may be compacted away.
    min_compaction_lag_ms: i64 = "min.compaction.lag.ms" {
        default: "0", check: at_least(0.0), importance: Medium, server: ["log.cleaner.min.compaction.lag.ms"]
    }
    /// Replicas that must be in sync for a write with acks=all to be accepted.
    min_insync_replicas: i32 = "min.insync.replicas" {
        default: "1", check: at_least(1.0), importance: Medium, server: ["min.insync.replicas"]
    }
    /// Whether a new segment takes its full size on disk at once.
    preallocate: bool = "preallocate" { default: "false", importance: Medium, server: ["log.preallocate"] }
    /// Stops copying to remote storage and leaves it readable; KRaft only.
    remote_log_copy_disable: bool = "remote.log.copy.disable" { default: "false", importance: Medium }
    /// Deletes remote data when tiering is switched off; KRaft only.
    remote_log_delete_on_disable: bool = "remote.log.delete.on.disable" { default: "false", importance: Medium }
    /// Whether this topic's older segments move to remote storage.
    remote_storage_enable: bool = "remote.storage.enable" { default: "false", importance: Medium }
    /// Size of a partition above which old segments go; −1 sets no limit.
    retention_bytes: i64 = "retention.bytes" { default: "-1", importance: Medium, server: ["log.retention.bytes"] }
    /// Age in milliseconds after which segments go; −1 keeps all.
    retention_ms: i64 = "retention.ms" {
        default: "604800000",
        check: at_least(-1.0),
        importance: Medium,
        server: ["log.retention.ms", "log.retention.minutes", "log.retention.hours"]
    }
    /// Size at which a new segment is begun, in bytes.
    segment_bytes: i32 = "segment.bytes" {
        default: "1073741824", check: at_least(14.0), importance: Medium, server: ["log.segment.bytes"]
    }
    /// Largest size of an index file, in bytes.
    segment_index_bytes: i32 = "segment.index.bytes" {
        default: "10485760", check: at_least(4.0), importance: Medium, server: ["log.index.size.max.bytes"]
    }
    /// Most milliseconds taken off at random from that age.
    segment_jitter_ms: i64 = "segment.jitter.ms" {
        default: "0",
        check: at_least(0.0),
        importance: Medium,
        server: ["log.roll.jitter.ms", "log.roll.jitter.hours"]
    }
    /// Age in milliseconds at which a new segment is begun.
    segment_ms: i64 = "segment.ms" {
        default: "604800000", check: at_least(1.0), importance: Medium, server: ["log.roll.ms", "log.roll.hours"]
    }
    /// Whether a replica out of sync may lead when no other is left, losing records.
    unclean_leader_election_enable: bool = "unclean.leader.election.enable" {
        default: "false", importance: Medium, server: ["unclean.leader.election.enable"]
    }
}
