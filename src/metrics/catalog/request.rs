//! Requests by API (class `RequestMetrics`).

use std::sync::Arc;

use indexmap::IndexMap;
use parking_lot::RwLock;

use crate::{
    common::ErrorCode,
    metrics::{Meter, Source, Value, Visitor},
};

type Counters<K, V> = RwLock<IndexMap<K, V, ahash::RandomState>>;

/// Counters by API key and version; the keys and versions served bound how many there are.
#[derive(Debug, Default)]
pub struct RequestMetrics {
    requests: Counters<(i16, i16), (&'static str, Meter)>,
    errors: Counters<(&'static str, ErrorCode), Meter>,
}

impl RequestMetrics {
    /// A request of `name` (as in the API table) is being served.
    pub fn received(&self, key: i16, version: i16, name: &'static str) {
        if let Some((_, meter)) = self.requests.read().get(&(key, version)) {
            meter.mark(1);
            return;
        }
        self.requests.write().entry((key, version)).or_insert_with(|| (name, Meter::default())).1.mark(1);
    }

    /// `count` answers of `name` carried `error` (Kafka counts NONE too).
    pub fn answered(&self, name: &'static str, error: ErrorCode, count: u64) {
        if let Some(meter) = self.errors.read().get(&(name, error)) {
            meter.mark(count);
            return;
        }
        self.errors.write().entry((name, error)).or_default().mark(count);
    }

    /// The registry as a shared source.
    #[must_use]
    pub fn shared() -> Arc<Self> {
        Arc::new(Self::default())
    }
}

impl Source for RequestMetrics {
    fn visit(&self, visitor: &mut Visitor<'_>) {
        for ((_, version), (name, meter)) in self.requests.read().iter() {
            let labels = [("request", *name), ("version", &version.to_string())];
            visitor("kafka.network:type=RequestMetrics,name=RequestsPerSec", &labels, Value::from(meter));
        }
        for ((name, error), meter) in self.errors.read().iter() {
            let labels = [("request", *name), ("error", error.name())];
            visitor("kafka.network:type=RequestMetrics,name=ErrorsPerSec", &labels, Value::from(meter));
        }
    }
}
