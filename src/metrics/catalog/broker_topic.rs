//! Traffic, over all topics and per topic (class `BrokerTopicStats`).

use std::sync::Arc;

use indexmap::IndexMap;
use parking_lot::RwLock;

use crate::metrics::{Source, Visitor};

crate::metrics! {
    /// Counters of one topic, or of all.
    pub struct BrokerTopicMetrics {
        /// Records appended by producers.
        messages_in: Meter = "kafka.server:type=BrokerTopicMetrics,name=MessagesInPerSec";
        /// Bytes of record batches from producers.
        bytes_in: Meter = "kafka.server:type=BrokerTopicMetrics,name=BytesInPerSec";
        /// Bytes of record batches to consumers.
        bytes_out: Meter = "kafka.server:type=BrokerTopicMetrics,name=BytesOutPerSec";
        /// Bytes of record batches refused because of `max.message.bytes`.
        bytes_rejected: Meter = "kafka.server:type=BrokerTopicMetrics,name=BytesRejectedPerSec";
        replication_bytes_in: Meter = "kafka.server:type=BrokerTopicMetrics,name=ReplicationBytesInPerSec";
        replication_bytes_out: Meter = "kafka.server:type=BrokerTopicMetrics,name=ReplicationBytesOutPerSec";
        /// Partitions in produce requests.
        total_produce_requests: Meter = "kafka.server:type=BrokerTopicMetrics,name=TotalProduceRequestsPerSec";
        failed_produce_requests: Meter = "kafka.server:type=BrokerTopicMetrics,name=FailedProduceRequestsPerSec";
        /// Partitions in fetch requests.
        total_fetch_requests: Meter = "kafka.server:type=BrokerTopicMetrics,name=TotalFetchRequestsPerSec";
        failed_fetch_requests: Meter = "kafka.server:type=BrokerTopicMetrics,name=FailedFetchRequestsPerSec";
        /// Records converted on their way in, from an older format or another codec.
        produce_message_conversions: Meter = "kafka.server:type=BrokerTopicMetrics,name=ProduceMessageConversionsPerSec";
        fetch_message_conversions: Meter = "kafka.server:type=BrokerTopicMetrics,name=FetchMessageConversionsPerSec";
    }
}

/// The sum over all topics, and each topic that was ever hosted here and not removed.
#[derive(Debug, Default)]
pub struct BrokerTopicStats {
    pub all_topics: Arc<BrokerTopicMetrics>,
    by_topic: RwLock<IndexMap<Arc<str>, Arc<BrokerTopicMetrics>, ahash::RandomState>>,
}

impl BrokerTopicStats {
    /// The topic's counters; partitions keep them, so that counting needs no lookup.
    #[must_use]
    pub fn topic(&self, topic: &Arc<str>) -> Arc<BrokerTopicMetrics> {
        if let Some(metrics) = self.by_topic.read().get(topic) {
            return Arc::clone(metrics);
        }
        Arc::clone(self.by_topic.write().entry(Arc::clone(topic)).or_default())
    }

    /// The topic's last partition left this broker.
    pub fn remove(&self, topic: &str) {
        self.by_topic.write().shift_remove(topic);
    }
}

impl Source for BrokerTopicStats {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        self.all_topics.visit(visitor);
        for (topic, metrics) in self.by_topic.read().iter() {
            metrics.visit_with(&[("topic", topic)], visitor);
        }
    }
}
