//! How far this broker's replicas are behind their leaders (classes `ReplicaFetcherManager`, `FetcherLagMetrics`). Read
//! off the fetchers when somebody asks.

use std::sync::Arc;

use crate::metrics::{Source, Value, Visitor};

/// One followed partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetcherLag {
    /// As Kafka names the thread: `ReplicaFetcherThread-0-2`, the fetcher's number and the leader.
    pub client_id: Arc<str>,
    pub topic: Arc<str>,
    pub partition: i32,
    /// Records behind the leader's high watermark.
    pub lag: i64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FetcherLags {
    pub partitions: Vec<FetcherLag>,
    /// Given up until the controller speaks again.
    pub failed_partitions: usize,
}

impl Source for FetcherLags {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        let max = self.partitions.iter().map(|it| it.lag).max().unwrap_or(0);
        let failed = i64::try_from(self.failed_partitions).unwrap_or(i64::MAX);
        let manager = [("clientId", "Replica")];
        visitor("kafka.server:type=ReplicaFetcherManager,name=MaxLag", &manager, Value::Gauge(max));
        visitor("kafka.server:type=ReplicaFetcherManager,name=FailedPartitionsCount", &manager, Value::Gauge(failed));
        for it in &self.partitions {
            let partition = it.partition.to_string();
            let labels = [("clientId", &*it.client_id), ("topic", &*it.topic), ("partition", &partition)];
            visitor("kafka.server:type=FetcherLagMetrics,name=ConsumerLag", &labels, Value::Gauge(it.lag));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_lag_is_the_brokers() {
        let lag = |topic: &str, lag| FetcherLag {
            client_id: "ReplicaFetcherThread-0-2".into(),
            topic: topic.into(),
            partition: 3,
            lag,
        };
        let lags = FetcherLags { partitions: vec![lag("a", 5), lag("b", 7)], failed_partitions: 1 };
        let text = crate::metrics::prometheus::render(&[&lags]);
        for line in [
            "kafka_server_replicafetchermanager_maxlag{clientId=\"Replica\"} 7\n",
            "kafka_server_replicafetchermanager_failedpartitionscount{clientId=\"Replica\"} 1\n",
            "kafka_server_fetcherlagmetrics_consumerlag{clientId=\"ReplicaFetcherThread-0-2\",topic=\"a\",partition=\"3\"} 5\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
