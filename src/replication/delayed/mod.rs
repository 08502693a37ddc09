//! Requests that wait for a partition (classes `DelayedProduce`, `DelayedFetch`, `DelayedDeleteRecords`). To a handler it
//! is only an `.await`; dropping the future takes the operation out of the purgatory.
//!
//! What completes an operation is cheap to test (a count, an offset); whoever is woken looks at the partition again.
//! Nobody waiting costs the append path one atomic load; time costs a timer only while somebody waits.

pub mod delete_records;
pub mod fetch;
pub mod produce;

use std::{
    sync::atomic::{AtomicUsize, Ordering, fence},
    time::Duration,
};

use parking_lot::Mutex;
use smallvec::SmallVec;
use tokio::sync::oneshot;

use crate::purgatory::{OperationId, Purgatory};

/// Names a partition hosted here, for as long as it is hosted; never used again.
pub type PartitionKey = u64;

/// When an operation is done.
pub trait Condition: Send {
    /// What happened to a partition, as far as this kind of operation cares.
    type Change: Copy;

    /// Notes the change of `key`; true when nothing is left to wait for.
    fn changed(&mut self, key: PartitionKey, change: Self::Change) -> bool;
}

struct Waiting<C> {
    condition: C,
    wake: oneshot::Sender<()>,
}

/// All waiting operations of one kind.
pub struct Delayed<C: Condition> {
    purgatory: Mutex<Purgatory<PartitionKey, Waiting<C>>>,
    /// How many wait; read without the lock by those who change a partition.
    waiting: AtomicUsize,
}

impl<C: Condition> Default for Delayed<C> {
    fn default() -> Self {
        Self { purgatory: Mutex::new(Purgatory::new(0)), waiting: AtomicUsize::new(0) }
    }
}

impl<C: Condition> Delayed<C> {
    /// Waits until `condition` is met by changes of `keys` or `timeout` passes; true if it was met. `already` is asked
    /// once the operation is watched: what happened before that is not seen otherwise.
    pub async fn wait(
        &self,
        keys: impl IntoIterator<Item = PartitionKey>,
        condition: C,
        timeout: Duration,
        already: impl FnOnce() -> bool,
    ) -> bool {
        let (watched, woken) = self.watch(keys, condition);
        // Pairs with the fence in `changed`: either the other side sees us waiting, or we see what it did.
        fence(Ordering::SeqCst);
        if already() {
            return true;
        }
        let met = tokio::time::timeout(timeout, woken).await.is_ok();
        drop(watched);
        met
    }

    /// Tells the operations waiting for `key` what happened to it.
    pub fn changed(&self, key: PartitionKey, change: C::Change) {
        self.complete_if(key, |waiting| waiting.condition.changed(key, change));
    }

    /// Wakes all that wait for `key`: it is gone, or led by somebody else.
    pub fn complete_all(&self, key: PartitionKey) {
        self.complete_if(key, |_| true);
    }

    /// `PurgatorySize`: operations counted once per partition they wait for.
    pub fn watched(&self) -> usize {
        self.purgatory.lock().watched()
    }

    fn complete_if(&self, key: PartitionKey, is_complete: impl FnMut(&mut Waiting<C>) -> bool) {
        fence(Ordering::SeqCst);
        if self.waiting.load(Ordering::Relaxed) == 0 {
            return;
        }
        let completed = {
            let mut purgatory = self.purgatory.lock();
            let completed = purgatory.check(&key, is_complete);
            self.waiting.store(purgatory.len(), Ordering::Relaxed);
            completed
        };
        for waiting in completed {
            // A receiver that is gone has timed out in this moment and looks again by itself.
            let _ = waiting.wake.send(());
        }
    }

    fn watch(
        &self,
        keys: impl IntoIterator<Item = PartitionKey>,
        condition: C,
    ) -> (Watched<'_, C>, oneshot::Receiver<()>) {
        let (wake, woken) = oneshot::channel();
        let mut purgatory = self.purgatory.lock();
        let id = purgatory.watch(Waiting { condition, wake }, keys, None);
        self.waiting.store(purgatory.len(), Ordering::Relaxed);
        (Watched { delayed: self, id }, woken)
    }
}

/// Takes the operation out when its owner has gone on, for whatever reason.
struct Watched<'a, C: Condition> {
    delayed: &'a Delayed<C>,
    id: OperationId,
}

impl<C: Condition> Drop for Watched<'_, C> {
    fn drop(&mut self) {
        let mut purgatory = self.delayed.purgatory.lock();
        purgatory.cancel(self.id);
        self.delayed.waiting.store(purgatory.len(), Ordering::Relaxed);
    }
}

/// Offsets that partitions have yet to reach; the condition of produce and of DeleteRecords.
#[derive(Debug, Default)]
pub struct PendingOffsets(SmallVec<[(PartitionKey, i64); 2]>);

impl PendingOffsets {
    pub fn new(pending: impl IntoIterator<Item = (PartitionKey, i64)>) -> Self {
        Self(pending.into_iter().collect())
    }

    fn reached(&mut self, key: PartitionKey, offset: i64) -> bool {
        self.0.retain(|(pending, required)| *pending != key || *required > offset);
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::{produce::ProduceDone, *};

    fn pending(offsets: &[(PartitionKey, i64)]) -> ProduceDone {
        ProduceDone(PendingOffsets::new(offsets.iter().copied()))
    }

    #[tokio::test(flavor = "current_thread")]
    async fn wakes_when_every_partition_is_there() {
        let delayed = Delayed::<ProduceDone>::default();
        let wait = delayed.wait([1, 2], pending(&[(1, 10), (2, 20)]), Duration::from_secs(60), || false);
        let advance = async {
            delayed.changed(1, 10);
            delayed.changed(2, 19);
            assert_eq!(delayed.watched(), 2);
            delayed.changed(2, 25);
            assert_eq!(delayed.watched(), 0);
        };
        assert!(tokio::join!(wait, advance).0);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn time_and_a_client_that_leaves_both_clean_up() {
        let delayed = Delayed::<ProduceDone>::default();
        assert!(!delayed.wait([1], pending(&[(1, 10)]), Duration::from_millis(5), || false).await);
        assert_eq!(delayed.watched(), 0);
        {
            let wait = delayed.wait([1], pending(&[(1, 10)]), Duration::from_secs(60), || false);
            futures::pin_mut!(wait);
            assert!(futures::poll!(wait.as_mut()).is_pending());
            assert_eq!(delayed.watched(), 1);
        }
        assert_eq!(delayed.watched(), 0);
        assert!(delayed.wait([1], pending(&[(1, 10)]), Duration::from_secs(60), || true).await, "it was there already");
    }
}
