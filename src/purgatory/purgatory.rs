//! The purgatory itself.

use std::hash::Hash;

use indexmap::IndexMap;
use smallvec::SmallVec;

use super::{OperationId, TimingWheel, operation::Waiting, watchers::Watchers};

/// Operations waiting for a key to change or for their deadline.
#[derive(Debug)]
pub struct Purgatory<K, Op> {
    next_id: u64,
    operations: IndexMap<OperationId, Waiting<K, Op>, ahash::RandomState>,
    watchers: Watchers<K>,
    timers: TimingWheel<OperationId>,
}

impl<K: Hash + Eq + Clone, Op> Purgatory<K, Op> {
    /// `now_ms` is the reading of the clock that deadlines and [`Self::advance`] will use.
    #[must_use]
    pub fn new(now_ms: u64) -> Self {
        Self {
            next_id: 0,
            operations: IndexMap::default(),
            watchers: Watchers::new(),
            timers: TimingWheel::new(now_ms),
        }
    }

    /// Lets `operation` wait for any of `keys`. `deadline_ms` `None`: its owner minds the time and calls
    /// [`Self::cancel`]. After this the caller must test the condition once more itself: it may have come true before
    /// the operation was watched.
    pub fn watch(&mut self, operation: Op, keys: impl IntoIterator<Item = K>, deadline_ms: Option<u64>) -> OperationId {
        let id = OperationId(self.next_id);
        self.next_id += 1;
        let keys: SmallVec<[K; 1]> = keys.into_iter().collect();
        for key in &keys {
            self.watchers.add(key, id);
        }
        if let Some(deadline_ms) = deadline_ms {
            self.timers.insert(id, deadline_ms);
        }
        self.operations.insert(id, Waiting { operation, keys });
        id
    }

    /// Shows a change of `key` to every operation that waits for it; those that `is_complete` says yes to leave.
    pub fn check(&mut self, key: &K, mut is_complete: impl FnMut(&mut Op) -> bool) -> SmallVec<[Op; 4]> {
        let operations = &mut self.operations;
        let completed: SmallVec<[OperationId; 4]> = self
            .watchers
            .of(key)
            .filter(|id| operations.get_mut(id).is_some_and(|waiting| is_complete(&mut waiting.operation)))
            .collect();
        completed.into_iter().filter_map(|id| self.cancel(id)).collect()
    }

    /// Takes an operation out; `None` if it completed, expired or was taken before.
    pub fn cancel(&mut self, id: OperationId) -> Option<Op> {
        let waiting = self.operations.swap_remove(&id)?;
        self.timers.remove(id);
        for key in &waiting.keys {
            self.watchers.remove(key, id);
        }
        Some(waiting.operation)
    }

    /// Operations whose deadline is at or before `now_ms`, in the order of their deadlines.
    pub fn advance(&mut self, now_ms: u64) -> Vec<Op> {
        let expired = self.timers.advance(now_ms);
        expired.into_iter().filter_map(|id| self.cancel(id)).collect()
    }

    /// No operation expires before this; `None` when none has a deadline. May be early, never late.
    #[must_use]
    pub fn next_deadline_ms(&self) -> Option<u64> {
        self.timers.next_expiration()
    }

    /// Operations waiting (Kafka's `PurgatorySize` counts them once per key: [`Self::watched`]).
    #[must_use]
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    #[must_use]
    pub fn watched(&self) -> usize {
        self.watchers.len()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// A produce to two partitions completes when both have caught up, and is gone from both lists then.
    #[test]
    fn completes_once_and_leaves_every_key() {
        let mut purgatory: Purgatory<&str, (i32, &str)> = Purgatory::new(0);
        purgatory.watch((2, "produce"), ["a", "b"], Some(100));
        assert_eq!(purgatory.watched(), 2);
        let mut arrive = |key| {
            purgatory.check(&key, |op| {
                op.0 -= 1;
                op.0 == 0
            })
        };
        assert!(arrive("a").is_empty());
        assert_eq!(arrive("b").as_slice(), &[(0, "produce")]);
        assert!(arrive("a").is_empty());
        assert_eq!((purgatory.len(), purgatory.watched()), (0, 0));
        assert!(purgatory.advance(1_000).is_empty(), "a completed operation does not expire");
    }

    #[test]
    fn expires_at_its_deadline_and_not_before() {
        let mut purgatory: Purgatory<u8, &str> = Purgatory::new(1_000);
        purgatory.watch("late", [1], Some(6_000));
        purgatory.watch("soon", [1], Some(1_500));
        purgatory.watch("never", [1], None);
        assert!(purgatory.next_deadline_ms().unwrap() <= 1_500);
        assert!(purgatory.advance(1_499).is_empty());
        assert_eq!(purgatory.advance(1_500), ["soon"]);
        assert_eq!(purgatory.advance(10_000), ["late"]);
        assert_eq!(purgatory.next_deadline_ms(), None);
        assert_eq!(purgatory.len(), 1);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Watch { keys: Vec<u8>, wait_ms: u64 },
        Check { key: u8, lucky: u64 },
        Advance { by_ms: u64 },
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (proptest::collection::vec(0u8..4, 1..4), 0u64..10_000)
                .prop_map(|(keys, wait_ms)| Step::Watch { keys, wait_ms }),
            (0u8..4, 1u64..5).prop_map(|(key, lucky)| Step::Check { key, lucky }),
            (0u64..5_000).prop_map(|by_ms| Step::Advance { by_ms }),
        ]
    }

    proptest! {
        /// Whatever happens, each operation comes out exactly once: by a key it watches, or at its deadline.
        #[test]
        fn every_operation_comes_out_exactly_once(steps in proptest::collection::vec(step(), 1..200)) {
            let mut now = 5_000u64;
            let mut purgatory: Purgatory<u8, u64> = Purgatory::new(now);
            let mut model: BTreeMap<u64, (Vec<u8>, u64)> = BTreeMap::new();
            let mut serial = 0u64;
            for step in steps {
                match step {
                    Step::Watch { keys, wait_ms } => {
                        purgatory.watch(serial, keys.clone(), Some(now + wait_ms));
                        model.insert(serial, (keys, now + wait_ms));
                        serial += 1;
                    }
                    Step::Check { key, lucky } => {
                        for op in purgatory.check(&key, |op| *op % lucky == 0) {
                            let (keys, _) = model.remove(&op).expect("waiting");
                            prop_assert!(keys.contains(&key));
                        }
                        prop_assert!(!model.iter().any(|(op, (keys, _))| keys.contains(&key) && op % lucky == 0));
                    }
                    Step::Advance { by_ms } => {
                        now += by_ms;
                        for op in purgatory.advance(now) {
                            let (_, deadline) = model.remove(&op).expect("waiting");
                            prop_assert!(deadline <= now);
                        }
                        prop_assert!(!model.values().any(|(_, deadline)| *deadline <= now));
                    }
                }
                prop_assert_eq!(purgatory.len(), model.len());
            }
        }
    }
}
