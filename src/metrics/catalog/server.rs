//! The process (class `KafkaServer`).

crate::metrics! {
    pub struct ServerMetrics {
        /// 0 not running, 1 starting, 2 recovering, 3 running, 6 pending controlled shutdown, 7 shutting down.
        broker_state: Gauge = "kafka.server:type=KafkaServer,name=BrokerState";
        /// Incremental fetch sessions (KIP-227).
        incremental_fetch_sessions: Gauge = "kafka.server:type=FetchSessionCache,name=NumIncrementalFetchSessions";
        incremental_fetch_partitions_cached: Gauge = "kafka.server:type=FetchSessionCache,name=NumIncrementalFetchPartitionsCached";
    }
}
