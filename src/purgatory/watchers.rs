//! Which operations wait for which key (class `DelayedOperationPurgatory.WatcherList`).

use std::hash::Hash;

use indexmap::{IndexMap, IndexSet};

use super::OperationId;

/// Key → operations. A key without operations has no entry, so memory follows what waits, not what ever waited.
#[derive(Debug)]
pub(super) struct Watchers<K> {
    by_key: IndexMap<K, IndexSet<OperationId, ahash::RandomState>, ahash::RandomState>,
}

impl<K: Hash + Eq + Clone> Watchers<K> {
    pub(super) fn new() -> Self {
        Self { by_key: IndexMap::default() }
    }

    pub(super) fn add(&mut self, key: &K, id: OperationId) {
        self.by_key.entry(key.clone()).or_default().insert(id);
    }

    pub(super) fn remove(&mut self, key: &K, id: OperationId) {
        if let Some(ids) = self.by_key.get_mut(key) {
            ids.swap_remove(&id);
            if ids.is_empty() {
                self.by_key.swap_remove(key);
            }
        }
    }

    pub(super) fn of(&self, key: &K) -> impl Iterator<Item = OperationId> {
        self.by_key.get(key).into_iter().flatten().copied()
    }

    /// Operations counted once per key they wait for (Kafka's `watched`).
    pub(super) fn len(&self) -> usize {
        self.by_key.values().map(IndexSet::len).sum()
    }
}
