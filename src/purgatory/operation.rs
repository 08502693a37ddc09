//! What the purgatory keeps of one waiting operation (class `DelayedOperation`).

use smallvec::SmallVec;

/// Names a waiting operation; never used twice in one purgatory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OperationId(pub(super) u64);

/// A waiting operation and every key it is watched under, so that it can be taken off all of them at once.
#[derive(Debug)]
pub(super) struct Waiting<K, Op> {
    pub(super) operation: Op,
    /// Most operations wait for one partition.
    pub(super) keys: SmallVec<[K; 1]>,
}
