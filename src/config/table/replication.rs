//! Replica fetchers, leader balance, controlled shutdown.

use crate::config::def::{at_least, config_keys};

config_keys! {
    /// Replica fetchers, leader balance, controlled shutdown.
    pub struct ReplicationKeys;

    /// Whether leadership returns to preferred replicas by itself.
    auto_leader_rebalance_enable: bool = "auto.leader.rebalance.enable" { default: "true", importance: High }
    /// Whether a stopping broker first hands its partitions over.
    controlled_shutdown_enable: bool = "controlled.shutdown.enable" { default: "true", importance: Medium }
    /// Attempts at handing partitions over before stopping anyway.
    controlled_shutdown_max_retries: i32 = "controlled.shutdown.max.retries" { default: "3", importance: Medium }
    /// Pause between those attempts.
    controlled_shutdown_retry_backoff_ms: i64 = "controlled.shutdown.retry.backoff.ms" {
        default: "5000", importance: Medium
    }
    /// Replicas of a topic that is created without a number.
    default_replication_factor: i32 = "default.replication.factor" { default: "1", importance: Medium }
    /// Seconds between checks of the leaders' balance.
    leader_imbalance_check_interval_seconds: i64 = "leader.imbalance.check.interval.seconds" {
        default: "300", check: at_least(1.0), importance: High
    }
    /// Share of non-preferred leaders of a broker, in percent, that starts a rebalance.
    leader_imbalance_per_broker_percentage: i32 = "leader.imbalance.per.broker.percentage" {
        default: "10", importance: High
    }
    /// Replicas that must be in sync for a write with acks=all to be accepted.
    min_insync_replicas: i32 = "min.insync.replicas" {
        default: "1", check: at_least(1.0), importance: High, dynamic: ClusterWide, topic: "min.insync.replicas"
    }
    /// Fetcher threads per source broker.
    num_replica_fetchers: i32 = "num.replica.fetchers" { default: "1", importance: High, dynamic: ClusterWide }
    /// Pause of a fetcher after an error.
    replica_fetch_backoff_ms: i32 = "replica.fetch.backoff.ms" {
        default: "1000", check: at_least(0.0), importance: Medium
    }
    /// Bytes a follower asks for per partition; a larger first batch still comes through.
    replica_fetch_max_bytes: i32 = "replica.fetch.max.bytes" {
        default: "1048576", check: at_least(0.0), importance: Medium
    }
    /// Bytes a leader waits for before it answers a follower.
    replica_fetch_min_bytes: i32 = "replica.fetch.min.bytes" { default: "1", importance: High }
    /// Most bytes of one answer to a follower.
    replica_fetch_response_max_bytes: i32 = "replica.fetch.response.max.bytes" {
        default: "10485760", check: at_least(0.0), importance: Medium
    }
    /// Longest time a leader holds a follower's fetch.
    replica_fetch_wait_max_ms: i32 = "replica.fetch.wait.max.ms" { default: "500", importance: High }
    /// Time between writes of the high watermark checkpoint.
    replica_high_watermark_checkpoint_interval_ms: i64 = "replica.high.watermark.checkpoint.interval.ms" {
        default: "5000", importance: High
    }
    /// Time without catching up after which a follower leaves the ISR.
    replica_lag_time_max_ms: i64 = "replica.lag.time.max.ms" { default: "30000", importance: High }
    /// Class that picks the replica a consumer reads from; known ones are mapped by name.
    replica_selector_class: Option<String> = "replica.selector.class" { default: null, importance: Medium }
    /// Receive buffer of fetchers' sockets.
    replica_socket_receive_buffer_bytes: i32 = "replica.socket.receive.buffer.bytes" {
        default: "65536", importance: High
    }
    /// Time a fetcher waits for the network.
    replica_socket_timeout_ms: i32 = "replica.socket.timeout.ms" { default: "30000", importance: High }
    /// Whether a replica out of sync may lead when no other is left, losing records.
    unclean_leader_election_enable: bool = "unclean.leader.election.enable" {
        default: "false", importance: High, dynamic: ClusterWide, topic: "unclean.leader.election.enable"
    }
    /// KRaft only: time between searches for unclean elections.
    unclean_leader_election_interval_ms: i64 = "unclean.leader.election.interval.ms" {
        default: "300000", check: at_least(1.0), importance: Medium, internal: true
    }
}
