//! The transaction coordinator and producer state.

use crate::config::def::{at_least, config_keys};

config_keys! {
    /// The transaction coordinator and producer state.
    pub struct TransactionKeys;

    /// Time between searches for producers that have gone quiet.
    producer_id_expiration_check_interval_ms: i32 = "producer.id.expiration.check.interval.ms" {
        default: "600000", check: at_least(1.0), importance: Low, internal: true
    }
    /// Silence after which a producer's sequence state is forgotten.
    producer_id_expiration_ms: i32 = "producer.id.expiration.ms" {
        default: "86400000", check: at_least(1.0), importance: Low, dynamic: ClusterWide
    }
    /// Time between searches for transactions to abort.
    transaction_abort_timed_out_transaction_cleanup_interval_ms: i32 = "transaction.abort.timed.out.transaction.cleanup.interval.ms" {
        default: "10000", check: at_least(1.0), importance: Low
    }
    /// Longest transaction timeout a producer may ask for.
    transaction_max_timeout_ms: i32 = "transaction.max.timeout.ms" {
        default: "900000", check: at_least(1.0), importance: High
    }
    /// Whether a transactional write is checked with its coordinator.
    transaction_partition_verification_enable: bool = "transaction.partition.verification.enable" {
        default: "true", importance: Low, dynamic: ClusterWide
    }
    /// Time between searches for expired transactional ids.
    transaction_remove_expired_transaction_cleanup_interval_ms: i32 = "transaction.remove.expired.transaction.cleanup.interval.ms" {
        default: "3600000", check: at_least(1.0), importance: Low
    }
    /// Bytes read at a time when a transaction coordinator loads its partition.
    transaction_state_log_load_buffer_size: i32 = "transaction.state.log.load.buffer.size" {
        default: "5242880", check: at_least(1.0), importance: High
    }
    /// Replicas in sync needed by the transaction topic.
    transaction_state_log_min_isr: i32 = "transaction.state.log.min.isr" {
        default: "2", check: at_least(1.0), importance: High
    }
    /// Partitions of the transaction topic; must not change once it exists.
    transaction_state_log_num_partitions: i32 = "transaction.state.log.num.partitions" {
        default: "50", check: at_least(1.0), importance: High
    }
    /// Replicas of the transaction topic.
    transaction_state_log_replication_factor: i16 = "transaction.state.log.replication.factor" {
        default: "3", check: at_least(1.0), importance: High
    }
    /// Segment size of the transaction topic.
    transaction_state_log_segment_bytes: i32 = "transaction.state.log.segment.bytes" {
        default: "104857600", check: at_least(1.0), importance: High
    }
    /// Silence after which a transactional id is forgotten.
    transactional_id_expiration_ms: i32 = "transactional.id.expiration.ms" {
        default: "604800000", check: at_least(1.0), importance: High
    }
}
