//! Which partitions are hosted here (`ReplicaManager.allPartitions`).

use std::sync::Arc;

use indexmap::IndexMap;
use parking_lot::RwLock;

use super::hosted::Partition;

/// A partition, or the memory that its log dir failed.
#[derive(Clone)]
pub enum HostedPartition {
    Online(Arc<Partition>),
    Offline,
}

type ByPartition = IndexMap<i32, HostedPartition, ahash::RandomState>;

/// Two levels, so that a look-up by `(&str, i32)` makes no key.
#[derive(Default)]
pub struct Partitions {
    by_topic: RwLock<IndexMap<Arc<str>, ByPartition, ahash::RandomState>>,
}

impl Partitions {
    #[must_use]
    pub fn get(&self, topic: &str, partition: i32) -> Option<HostedPartition> {
        self.by_topic.read().get(topic)?.get(&partition).cloned()
    }

    pub fn insert(&self, topic: &Arc<str>, partition: i32, hosted: HostedPartition) {
        self.by_topic.write().entry(Arc::clone(topic)).or_default().insert(partition, hosted);
    }

    /// Returns what was there, and whether that was the topic's last partition here.
    pub fn remove(&self, topic: &str, partition: i32) -> Option<(HostedPartition, bool)> {
        let mut by_topic = self.by_topic.write();
        let partitions = by_topic.get_mut(topic)?;
        let removed = partitions.swap_remove(&partition)?;
        let last = partitions.is_empty();
        if last {
            by_topic.swap_remove(topic);
        }
        Some((removed, last))
    }

    #[must_use]
    pub fn of_topic(&self, topic: &str) -> Vec<Arc<Partition>> {
        let by_topic = self.by_topic.read();
        by_topic.get(topic).into_iter().flat_map(IndexMap::values).filter_map(online).collect()
    }

    #[must_use]
    pub fn online(&self) -> Vec<Arc<Partition>> {
        self.by_topic.read().values().flat_map(IndexMap::values).filter_map(online).collect()
    }

    #[must_use]
    pub fn offline_count(&self) -> usize {
        let by_topic = self.by_topic.read();
        by_topic.values().flat_map(IndexMap::values).filter(|hosted| online(hosted).is_none()).count()
    }
}

fn online(hosted: &HostedPartition) -> Option<Arc<Partition>> {
    match hosted {
        HostedPartition::Online(partition) => Some(Arc::clone(partition)),
        HostedPartition::Offline => None,
    }
}
