//! Keys that matter only to KRaft: accepted, so that a shared file loads, and otherwise without effect.

use crate::config::def::{Validator, at_least, config_keys};

config_keys! {
    /// Keys that matter only to KRaft: accepted, so that a shared file loads, and otherwise without effect.
    pub struct KraftKeys;

    /// KRaft only: the controller's listeners, left out if `process.roles` is given, else refused.
    controller_listener_names: Option<String> = "controller.listener.names" { default: null, importance: High }
    /// KRaft only: time the leader gathers writes.
    controller_quorum_append_linger_ms: i32 = "controller.quorum.append.linger.ms" {
        default: "25", importance: Medium
    }
    /// KRaft only: where to find the quorum.
    controller_quorum_bootstrap_servers: Vec<String> = "controller.quorum.bootstrap.servers" {
        default: "", check: Validator::BootstrapServers, importance: High
    }
    /// KRaft only: longest pause before another election.
    controller_quorum_election_backoff_max_ms: i32 = "controller.quorum.election.backoff.max.ms" {
        default: "1000", importance: High
    }
    /// KRaft only: time without votes before another election.
    controller_quorum_election_timeout_ms: i32 = "controller.quorum.election.timeout.ms" {
        default: "1000", importance: High
    }
    /// KRaft only: time without a fetch before a leader or follower gives up.
    controller_quorum_fetch_timeout_ms: i32 = "controller.quorum.fetch.timeout.ms" {
        default: "2000", importance: High
    }
    /// KRaft only: time a quorum request waits for its answer.
    controller_quorum_request_timeout_ms: i32 = "controller.quorum.request.timeout.ms" {
        default: "2000", importance: Medium
    }
    /// KRaft only: pause before a quorum request is repeated.
    controller_quorum_retry_backoff_ms: i32 = "controller.quorum.retry.backoff.ms" { default: "20", importance: Low }
    /// KRaft only: the voters, as `id@host:port`.
    controller_quorum_voters: Vec<String> = "controller.quorum.voters" {
        default: "", check: Validator::QuorumVoters, importance: High
    }
    /// KRaft only: directory of the metadata log.
    metadata_log_dir: Option<String> = "metadata.log.dir" { default: null, importance: High }
    /// KRaft only: bytes of records that lead to a snapshot.
    metadata_log_max_record_bytes_between_snapshots: i64 = "metadata.log.max.record.bytes.between.snapshots" {
        default: "20971520", check: at_least(1.0), importance: High
    }
    /// KRaft only: longest time between snapshots.
    metadata_log_max_snapshot_interval_ms: i64 = "metadata.log.max.snapshot.interval.ms" {
        default: "3600000", check: at_least(0.0), importance: High
    }
    /// KRaft only: largest segment of the metadata log.
    metadata_log_segment_bytes: i32 = "metadata.log.segment.bytes" {
        default: "1073741824", check: at_least(12.0), importance: High
    }
    /// KRaft only: lower bound of that size, for tests.
    metadata_log_segment_min_bytes: i32 = "metadata.log.segment.min.bytes" {
        default: "8388608", check: at_least(12.0), importance: High, internal: true
    }
    /// KRaft only: age at which a metadata segment is rolled.
    metadata_log_segment_ms: i64 = "metadata.log.segment.ms" { default: "604800000", importance: High }
    /// KRaft only: time between no-op records of the controller.
    metadata_max_idle_interval_ms: i32 = "metadata.max.idle.interval.ms" {
        default: "500", check: at_least(0.0), importance: Low
    }
    /// KRaft only: size of the metadata log above which old parts go.
    metadata_max_retention_bytes: i64 = "metadata.max.retention.bytes" { default: "104857600", importance: High }
    /// KRaft only: age after which old parts of the metadata log go.
    metadata_max_retention_ms: i64 = "metadata.max.retention.ms" { default: "604800000", importance: High }
}
