//! What the coordinator obeys: Kafka's `group.*` and `offsets.*` keys as a plain struct (classes `GroupConfig`,
//! `OffsetConfig`).

use crate::common::ids::Timestamp;

/// Values are Kafka's defaults by `Default`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupConfig {
    /// `group.min.session.timeout.ms`
    pub min_session_timeout_ms: i32,
    /// `group.max.session.timeout.ms`
    pub max_session_timeout_ms: i32,
    /// `group.max.size`
    pub max_size: i32,
    /// `group.initial.rebalance.delay.ms`
    pub initial_rebalance_delay_ms: i32,
    /// `offset.metadata.max.bytes`; counted in UTF-16 units, as Java's `String.length` does.
    pub offset_metadata_max_bytes: i32,
    /// `offsets.load.buffer.size`
    pub load_buffer_bytes: i32,
    /// `offsets.retention.minutes`, in milliseconds.
    pub offsets_retention_ms: Timestamp,
    /// `offsets.retention.check.interval.ms`
    pub offsets_retention_check_interval_ms: i64,
    /// `offsets.commit.timeout.ms`
    pub commit_timeout_ms: i32,
    /// `offsets.commit.required.acks`
    pub commit_required_acks: i16,
}

impl Default for GroupConfig {
    fn default() -> Self {
        Self {
            min_session_timeout_ms: 6_000,
            max_session_timeout_ms: 1_800_000,
            max_size: i32::MAX,
            initial_rebalance_delay_ms: 3_000,
            offset_metadata_max_bytes: 4_096,
            load_buffer_bytes: 5 * 1024 * 1024,
            offsets_retention_ms: 7 * 24 * 60 * 60_000,
            offsets_retention_check_interval_ms: 600_000,
            commit_timeout_ms: 5_000,
            commit_required_acks: -1,
        }
    }
}

/// How long a member that never got its id may wait in a rebalance (`GroupCoordinator.NewMemberJoinTimeoutMs`).
pub const NEW_MEMBER_JOIN_TIMEOUT_MS: i64 = 5 * 60 * 1000;
