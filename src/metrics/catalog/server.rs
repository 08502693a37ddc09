//! The process (class `KafkaServer`).

crate::metrics! {
    pub struct ServerMetrics {
        /// A [`BrokerState`].
        broker_state: Gauge = "kafka.server:type=KafkaServer,name=BrokerState";
        /// Incremental fetch sessions (KIP-227).
        incremental_fetch_sessions: Gauge = "kafka.server:type=FetchSessionCache,name=NumIncrementalFetchSessions";
        incremental_fetch_partitions_cached: Gauge = "kafka.server:type=FetchSessionCache,name=NumIncrementalFetchPartitionsCached";
    }
}

/// Where a broker is in its life (enum `BrokerState`); dashboards know the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BrokerState {
    NotRunning = 0,
    Starting = 1,
    /// Loading logs.
    Recovery = 2,
    Running = 3,
    PendingControlledShutdown = 6,
    ShuttingDown = 7,
}

impl ServerMetrics {
    pub fn enter(&self, state: BrokerState) {
        self.broker_state.set(state as i64);
    }
}
