//! The group coordinator and its offsets topic.

use crate::config::def::{at_least, between, config_keys, each_of, one_of_ignoring_case};

config_keys! {
    /// The group coordinator and its offsets topic.
    pub struct GroupKeys;

    /// Server-side assignors of consumer groups (KIP-848), first is the default.
    group_consumer_assignors: Vec<String> = "group.consumer.assignors" {
        default: "org.apache.kafka.coordinator.group.assignor.UniformAssignor,org.apache.kafka.coordinator.group.assignor.RangeAssignor",
        importance: Medium
    }
    /// Heartbeat interval given to members of consumer groups.
    group_consumer_heartbeat_interval_ms: i32 = "group.consumer.heartbeat.interval.ms" {
        default: "5000", check: at_least(1.0), importance: Medium
    }
    /// Largest heartbeat interval a consumer group may set.
    group_consumer_max_heartbeat_interval_ms: i32 = "group.consumer.max.heartbeat.interval.ms" {
        default: "15000", check: at_least(1.0), importance: Medium
    }
    /// Largest session timeout a consumer group may set.
    group_consumer_max_session_timeout_ms: i32 = "group.consumer.max.session.timeout.ms" {
        default: "60000", check: at_least(1.0), importance: Medium
    }
    /// Most members of a consumer group.
    group_consumer_max_size: i32 = "group.consumer.max.size" {
        default: "2147483647", check: at_least(1.0), importance: Medium
    }
    /// Which conversions between classic and consumer groups are allowed.
    group_consumer_migration_policy: String = "group.consumer.migration.policy" {
        default: "disabled",
        check: one_of_ignoring_case(&["DISABLED", "DOWNGRADE", "UPGRADE", "BIDIRECTIONAL"]),
        importance: Medium,
        internal: true
    }
    /// Smallest heartbeat interval a consumer group may set.
    group_consumer_min_heartbeat_interval_ms: i32 = "group.consumer.min.heartbeat.interval.ms" {
        default: "5000", check: at_least(1.0), importance: Medium
    }
    /// Smallest session timeout a consumer group may set.
    group_consumer_min_session_timeout_ms: i32 = "group.consumer.min.session.timeout.ms" {
        default: "45000", check: at_least(1.0), importance: Medium
    }
    /// Session timeout given to members of consumer groups.
    group_consumer_session_timeout_ms: i32 = "group.consumer.session.timeout.ms" {
        default: "45000", check: at_least(1.0), importance: Medium
    }
    /// Time the new coordinator gathers writes before it appends them.
    group_coordinator_append_linger_ms: i32 = "group.coordinator.append.linger.ms" {
        default: "10", check: at_least(0.0), importance: Medium
    }
    /// Whether the new group coordinator runs; needs KRaft in Kafka.
    group_coordinator_new_enable: bool = "group.coordinator.new.enable" {
        default: "false", importance: Medium, internal: true
    }
    /// Group protocols that are served.
    group_coordinator_rebalance_protocols: Vec<String> = "group.coordinator.rebalance.protocols" {
        default: "classic", check: each_of(&["consumer", "classic", "share", "unknown"]), importance: Medium
    }
    /// Threads of the new group coordinator.
    group_coordinator_threads: i32 = "group.coordinator.threads" {
        default: "1", check: at_least(1.0), importance: Medium
    }
    /// Time a new group waits for more members before its first rebalance.
    group_initial_rebalance_delay_ms: i32 = "group.initial.rebalance.delay.ms" { default: "3000", importance: Medium }
    /// Largest session timeout a member may ask for.
    group_max_session_timeout_ms: i32 = "group.max.session.timeout.ms" { default: "1800000", importance: Medium }
    /// Most members of a classic group.
    group_max_size: i32 = "group.max.size" { default: "2147483647", check: at_least(1.0), importance: Medium }
    /// Smallest session timeout a member may ask for.
    group_min_session_timeout_ms: i32 = "group.min.session.timeout.ms" { default: "6000", importance: Medium }
    /// Times a record is delivered in a share group before it is given up.
    group_share_delivery_count_limit: i32 = "group.share.delivery.count.limit" {
        default: "5", check: between(2.0, 10.0), importance: Medium
    }
    /// Whether share groups are served.
    group_share_enable: bool = "group.share.enable" { default: "false", importance: Medium, internal: true }
    /// Heartbeat interval given to members of share groups.
    group_share_heartbeat_interval_ms: i32 = "group.share.heartbeat.interval.ms" {
        default: "5000", check: at_least(1.0), importance: Medium
    }
    /// Most share groups.
    group_share_max_groups: i16 = "group.share.max.groups" {
        default: "10", check: between(1.0, 100.0), importance: Medium
    }
    /// Largest heartbeat interval a share group may set.
    group_share_max_heartbeat_interval_ms: i32 = "group.share.max.heartbeat.interval.ms" {
        default: "15000", check: at_least(1.0), importance: Medium
    }
    /// Longest lock on a record a share group may set.
    group_share_max_record_lock_duration_ms: i32 = "group.share.max.record.lock.duration.ms" {
        default: "60000", check: between(30000.0, 3600000.0), importance: Medium
    }
    /// Largest session timeout a share group may set.
    group_share_max_session_timeout_ms: i32 = "group.share.max.session.timeout.ms" {
        default: "60000", check: at_least(1.0), importance: Medium
    }
    /// Most members of a share group.
    group_share_max_size: i16 = "group.share.max.size" {
        default: "200", check: between(10.0, 1000.0), importance: Medium
    }
    /// Smallest heartbeat interval a share group may set.
    group_share_min_heartbeat_interval_ms: i32 = "group.share.min.heartbeat.interval.ms" {
        default: "5000", check: at_least(1.0), importance: Medium
    }
    /// Shortest lock on a record a share group may set.
    group_share_min_record_lock_duration_ms: i32 = "group.share.min.record.lock.duration.ms" {
        default: "15000", check: between(1000.0, 30000.0), importance: Medium
    }
    /// Smallest session timeout a share group may set.
    group_share_min_session_timeout_ms: i32 = "group.share.min.session.timeout.ms" {
        default: "45000", check: at_least(1.0), importance: Medium
    }
    /// Most records locked per share partition.
    group_share_partition_max_record_locks: i32 = "group.share.partition.max.record.locks" {
        default: "200", check: between(100.0, 10000.0), importance: Medium
    }
    /// Time a delivered record of a share group stays locked.
    group_share_record_lock_duration_ms: i32 = "group.share.record.lock.duration.ms" {
        default: "30000", check: between(1000.0, 60000.0), importance: Medium
    }
    /// Session timeout given to members of share groups.
    group_share_session_timeout_ms: i32 = "group.share.session.timeout.ms" {
        default: "45000", check: at_least(1.0), importance: Medium
    }
    /// Longest text a client may store with an offset, in bytes.
    offset_metadata_max_bytes: i32 = "offset.metadata.max.bytes" { default: "4096", importance: High }
    /// Acks a commit waits for; deprecated, leave at −1.
    offsets_commit_required_acks: i16 = "offsets.commit.required.acks" { default: "-1", importance: High }
    /// Time a commit waits for its replicas.
    offsets_commit_timeout_ms: i32 = "offsets.commit.timeout.ms" {
        default: "5000", check: at_least(1.0), importance: High
    }
    /// Bytes read at a time when a coordinator loads its partition.
    offsets_load_buffer_size: i32 = "offsets.load.buffer.size" {
        default: "5242880", check: at_least(1.0), importance: High
    }
    /// Time between searches for expired offsets.
    offsets_retention_check_interval_ms: i64 = "offsets.retention.check.interval.ms" {
        default: "600000", check: at_least(1.0), importance: High
    }
    /// Minutes an empty group's offsets are kept.
    offsets_retention_minutes: i32 = "offsets.retention.minutes" {
        default: "10080", check: at_least(1.0), importance: High
    }
    /// Codec id of batches in the offsets topic; 0 is none.
    offsets_topic_compression_codec: i32 = "offsets.topic.compression.codec" { default: "0", importance: High }
    /// Partitions of the offsets topic; must not change once it exists.
    offsets_topic_num_partitions: i32 = "offsets.topic.num.partitions" {
        default: "50", check: at_least(1.0), importance: High
    }
    /// Replicas of the offsets topic.
    offsets_topic_replication_factor: i16 = "offsets.topic.replication.factor" {
        default: "3", check: at_least(1.0), importance: High
    }
    /// Segment size of the offsets topic, small so that loading is fast.
    offsets_topic_segment_bytes: i32 = "offsets.topic.segment.bytes" {
        default: "104857600", check: at_least(1.0), importance: High
    }
}
