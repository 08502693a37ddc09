//! What the coordinator obeys: Kafka's `transaction*` keys as a plain struct (class `TransactionConfig`).

/// Values are Kafka's defaults by `Default`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionConfig {
    /// `transactional.id.expiration.ms`
    pub transactional_id_expiration_ms: i64,
    /// `transaction.max.timeout.ms`
    pub max_timeout_ms: i32,
    /// `transaction.state.log.load.buffer.size`
    pub load_buffer_bytes: i32,
    /// `request.timeout.ms`: how long a write may take to be replicated.
    pub request_timeout_ms: i32,
}

impl Default for TransactionConfig {
    fn default() -> Self {
        Self {
            transactional_id_expiration_ms: 7 * 24 * 60 * 60_000,
            max_timeout_ms: 15 * 60_000,
            load_buffer_bytes: 5 * 1024 * 1024,
            request_timeout_ms: 30_000,
        }
    }
}
