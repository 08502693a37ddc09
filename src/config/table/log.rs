//! Segments, retention, flush and the cleaner.

use crate::config::def::{Validator, at_least, between, config_keys, each_of, one_of};

config_keys! {
    /// Segments, retention, flush and the cleaner.
    pub struct LogKeys;

    /// Pause of a cleaner thread that finds nothing to clean.
    log_cleaner_backoff_ms: i64 = "log.cleaner.backoff.ms" {
        default: "15000", check: at_least(0.0), importance: Medium, dynamic: ClusterWide
    }
    /// Memory of all cleaner threads together for the map of keys, in bytes.
    log_cleaner_dedupe_buffer_size: i64 = "log.cleaner.dedupe.buffer.size" {
        default: "134217728", importance: Medium, dynamic: ClusterWide
    }
    /// Time a tombstone is kept in a compacted log.
    log_cleaner_delete_retention_ms: i64 = "log.cleaner.delete.retention.ms" {
        default: "86400000",
        check: at_least(0.0),
        importance: Medium,
        dynamic: ClusterWide,
        topic: "delete.retention.ms"
    }
    /// Whether compacted topics are cleaned at all.
    log_cleaner_enable: bool = "log.cleaner.enable" { default: "true", importance: Medium }
    /// How full a cleaner's key map may get, from 0 to 1.
    log_cleaner_io_buffer_load_factor: f64 = "log.cleaner.io.buffer.load.factor" {
        default: "0.9", importance: Medium, dynamic: ClusterWide
    }
    /// Memory of all cleaner threads together for reading and writing, in bytes.
    log_cleaner_io_buffer_size: i32 = "log.cleaner.io.buffer.size" {
        default: "524288", check: at_least(0.0), importance: Medium, dynamic: ClusterWide
    }
    /// Most bytes per second that cleaning reads and writes.
    log_cleaner_io_max_bytes_per_second: f64 = "log.cleaner.io.max.bytes.per.second" {
        default: "1.7976931348623157E308", importance: Medium, dynamic: ClusterWide
    }
    /// Longest time a record stays out of reach of compaction.
    log_cleaner_max_compaction_lag_ms: i64 = "log.cleaner.max.compaction.lag.ms" {
        default: "9223372036854775807",
        check: at_least(1.0),
        importance: Medium,
        dynamic: ClusterWide,
        topic: "max.compaction.lag.ms"
    }
    /// Share of a log that must be dirty before it is cleaned.
    log_cleaner_min_cleanable_ratio: f64 = "log.cleaner.min.cleanable.ratio" {
        default: "0.5",
        check: between(0.0, 1.0),
        importance: Medium,
        dynamic: ClusterWide,
        topic: "min.cleanable.dirty.ratio"
    }
    /// Least age of a record before it may be compacted away.
    log_cleaner_min_compaction_lag_ms: i64 = "log.cleaner.min.compaction.lag.ms" {
        default: "0", check: at_least(0.0), importance: Medium, dynamic: ClusterWide, topic: "min.compaction.lag.ms"
    }
    /// Number of cleaner threads.
    log_cleaner_threads: i32 = "log.cleaner.threads" {
        default: "1", check: at_least(0.0), importance: Medium, dynamic: ClusterWide
    }
    /// What happens to old segments: `delete`, `compact`, or both.
    log_cleanup_policy: Vec<String> = "log.cleanup.policy" {
        default: "delete",
        check: each_of(&["compact", "delete"]),
        importance: Medium,
        dynamic: ClusterWide,
        topic: "cleanup.policy"
    }
    /// Directory of the logs if `log.dirs` is not given.
    log_dir: String = "log.dir" { default: "/tmp/kafka-logs", importance: High }
    /// KRaft only: time to report a failed directory before the broker shuts down.
    log_dir_failure_timeout_ms: i64 = "log.dir.failure.timeout.ms" {
        default: "30000", check: at_least(1.0), importance: Low
    }
    /// Directories of the logs, separated by commas.
    log_dirs: Option<String> = "log.dirs" { default: null, importance: High }
    /// Number of records after which a log is forced to disk.
    log_flush_interval_messages: i64 = "log.flush.interval.messages" {
        default: "9223372036854775807",
        check: at_least(1.0),
        importance: High,
        dynamic: ClusterWide,
        topic: "flush.messages"
    }
    /// Longest time a record stays unflushed; the flush check's interval if not given.
    log_flush_interval_ms: Option<i64> = "log.flush.interval.ms" {
        default: null, importance: High, dynamic: ClusterWide, topic: "flush.ms"
    }
    /// Time between writes of the recovery point checkpoint.
    log_flush_offset_checkpoint_interval_ms: i32 = "log.flush.offset.checkpoint.interval.ms" {
        default: "60000", check: at_least(0.0), importance: High
    }
    /// Time between checks whether a log needs a flush.
    log_flush_scheduler_interval_ms: i64 = "log.flush.scheduler.interval.ms" {
        default: "9223372036854775807", importance: High, topic: "flush.ms"
    }
    /// Time between writes of the log start offset checkpoint.
    log_flush_start_offset_checkpoint_interval_ms: i32 = "log.flush.start.offset.checkpoint.interval.ms" {
        default: "60000", check: at_least(0.0), importance: High
    }
    /// Bytes of log between two entries of the offset index.
    log_index_interval_bytes: i32 = "log.index.interval.bytes" {
        default: "4096", check: at_least(0.0), importance: Medium, dynamic: ClusterWide, topic: "index.interval.bytes"
    }
    /// Largest size of an index file, in bytes.
    log_index_size_max_bytes: i32 = "log.index.size.max.bytes" {
        default: "10485760",
        check: at_least(4.0),
        importance: Medium,
        dynamic: ClusterWide,
        topic: "segment.index.bytes"
    }
    /// Delay of the first run of the log's background tasks.
    log_initial_task_delay_ms: i64 = "log.initial.task.delay.ms" {
        default: "30000", check: at_least(0.0), importance: Low, internal: true
    }
    /// Bytes of a partition kept on local disk when tiered; −2 follows the total limit.
    log_local_retention_bytes: i64 = "log.local.retention.bytes" {
        default: "-2", check: at_least(-2.0), importance: Medium, dynamic: ClusterWide, topic: "local.retention.bytes"
    }
    /// Time a segment stays on local disk when tiered; −2 follows the total limit.
    log_local_retention_ms: i64 = "log.local.retention.ms" {
        default: "-2", check: at_least(-2.0), importance: Medium, dynamic: ClusterWide, topic: "local.retention.ms"
    }
    /// Whether records are rewritten in older formats for old clients.
    log_message_downconversion_enable: bool = "log.message.downconversion.enable" {
        default: "true", importance: Low, dynamic: ClusterWide, topic: "message.downconversion.enable"
    }
    /// Record format on disk; ignored since protocol version 3.0.
    log_message_format_version: String = "log.message.format.version" {
        default: "3.0-IV1", check: Validator::MetadataVersion, importance: Medium, topic: "message.format.version"
    }
    /// How far a record's time may be ahead of the broker's clock.
    log_message_timestamp_after_max_ms: i64 = "log.message.timestamp.after.max.ms" {
        default: "9223372036854775807",
        check: at_least(0.0),
        importance: Medium,
        dynamic: ClusterWide,
        topic: "message.timestamp.after.max.ms"
    }
    /// How far a record's time may be behind the broker's clock.
    log_message_timestamp_before_max_ms: i64 = "log.message.timestamp.before.max.ms" {
        default: "9223372036854775807",
        check: at_least(0.0),
        importance: Medium,
        dynamic: ClusterWide,
        topic: "message.timestamp.before.max.ms"
    }
    /// Older limit in both directions; used where the newer limits are not set.
    log_message_timestamp_difference_max_ms: i64 = "log.message.timestamp.difference.max.ms" {
        default: "9223372036854775807",
        check: at_least(0.0),
        importance: Medium,
        dynamic: ClusterWide,
        topic: "message.timestamp.difference.max.ms"
    }
    /// Whose clock stamps records: the client's (`CreateTime`) or the broker's (`LogAppendTime`).
    log_message_timestamp_type: String = "log.message.timestamp.type" {
        default: "CreateTime",
        check: one_of(&["CreateTime", "LogAppendTime"]),
        importance: Medium,
        dynamic: ClusterWide,
        topic: "message.timestamp.type"
    }
    /// Whether a new segment takes its full size on disk at once.
    log_preallocate: bool = "log.preallocate" {
        default: "false", importance: Medium, dynamic: ClusterWide, topic: "preallocate"
    }
    /// Size of a partition above which old segments go; −1 sets no limit.
    log_retention_bytes: i64 = "log.retention.bytes" {
        default: "-1", importance: High, dynamic: ClusterWide, topic: "retention.bytes"
    }
    /// Time between checks for segments to delete.
    log_retention_check_interval_ms: i64 = "log.retention.check.interval.ms" {
        default: "300000", check: at_least(1.0), importance: Medium
    }
    /// Age in hours after which segments go; weakest of the three units.
    log_retention_hours: i32 = "log.retention.hours" { default: "168", importance: High, topic: "retention.ms" }
    /// Age in minutes after which segments go; overrides hours.
    log_retention_minutes: Option<i32> = "log.retention.minutes" {
        default: null, importance: High, topic: "retention.ms"
    }
    /// Age in milliseconds after which segments go; overrides minutes and hours; −1 keeps all.
    log_retention_ms: Option<i64> = "log.retention.ms" {
        default: null, importance: High, dynamic: ClusterWide, topic: "retention.ms"
    }
    /// Age in hours at which a new segment is begun; the milliseconds win.
    log_roll_hours: i32 = "log.roll.hours" {
        default: "168", check: at_least(1.0), importance: High, topic: "segment.ms"
    }
    /// Most hours taken off at random from the roll time; the milliseconds win.
    log_roll_jitter_hours: i32 = "log.roll.jitter.hours" {
        default: "0", check: at_least(0.0), importance: High, topic: "segment.jitter.ms"
    }
    /// Most milliseconds taken off at random from the roll time.
    log_roll_jitter_ms: Option<i64> = "log.roll.jitter.ms" {
        default: null, importance: High, dynamic: ClusterWide, topic: "segment.jitter.ms"
    }
    /// Age in milliseconds at which a new segment is begun.
    log_roll_ms: Option<i64> = "log.roll.ms" {
        default: null, importance: High, dynamic: ClusterWide, topic: "segment.ms"
    }
    /// Size at which a new segment is begun, in bytes.
    log_segment_bytes: i32 = "log.segment.bytes" {
        default: "1073741824", check: at_least(14.0), importance: High, dynamic: ClusterWide, topic: "segment.bytes"
    }
    /// Time between renaming a file for deletion and removing it.
    log_segment_delete_delay_ms: i64 = "log.segment.delete.delay.ms" {
        default: "60000", check: at_least(0.0), importance: High, dynamic: ClusterWide, topic: "file.delete.delay.ms"
    }
    /// Threads per directory that load logs at start and flush them at stop.
    num_recovery_threads_per_data_dir: i32 = "num.recovery.threads.per.data.dir" {
        default: "1", check: at_least(1.0), importance: High, dynamic: ClusterWide
    }
    /// Threads that move replicas between directories; one per directory if not given.
    num_replica_alter_log_dirs_threads: Option<i32> = "num.replica.alter.log.dirs.threads" {
        default: null, importance: High
    }
}
