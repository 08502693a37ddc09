//! What a coordinator's state machine looks like to whoever drives it (class `CoordinatorShard` and what surrounds it):
//! commands in, a [`Step`] out, the fate of each write back in.
//!
//! Knows nothing of groups, transactions, logs or tasks.

use bytes::Bytes;

use crate::{
    common::{ErrorCode, LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp},
    storage::Verification,
};

/// The two times a decision needs: one to write down, one to measure with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds since 1970: commit timestamps, state timestamps, expiry.
    pub wall_ms: Timestamp,
    /// Never goes back: sessions, rebalances, transaction timeouts.
    pub monotonic_ms: i64,
}

/// Names the request that an answer belongs to. Every token given to a command comes back exactly once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReplyTo(pub u64);

/// What a command decided. The driver sends `replies` at once, hands `effects` over, and appends each of `writes` in
/// order; the fate of a write goes back in through [`Machine::written`], and only that releases what depends on it.
#[derive(Debug)]
pub struct Step<R, A, E> {
    pub writes: Vec<Write<A>>,
    pub replies: Vec<(ReplyTo, R)>,
    /// Work for somebody outside the machine that leads to a command of its own.
    pub effects: Vec<E>,
}

impl<R, A, E> Default for Step<R, A, E> {
    fn default() -> Self {
        Self { writes: Vec::new(), replies: Vec::new(), effects: Vec::new() }
    }
}

impl<R, A, E> Step<R, A, E> {
    #[must_use]
    pub fn reply(to: ReplyTo, reply: R) -> Self {
        Self { replies: vec![(to, reply)], ..Self::default() }
    }
}

/// Records that become durable together.
#[derive(Debug)]
pub struct Write<A> {
    pub records: Vec<CoordinatorRecord>,
    /// Set for TxnOffsetCommit: the batch is transactional.
    pub transaction: Option<TransactionalProducer>,
    /// What to do once the write is committed or has failed.
    pub after: A,
}

/// In whose transaction a batch is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransactionalProducer {
    pub id: ProducerId,
    pub epoch: ProducerEpoch,
    /// What the transaction's coordinator said of the partition (KIP-890).
    pub verification: Verification,
}

/// How a write ended: the offset of its first record, or why not.
pub type WriteOutcome = Result<Offset, ErrorCode>;

/// One record of the log, encoded. A value of `None` is a tombstone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoordinatorRecord {
    pub key: Bytes,
    pub value: Option<Bytes>,
}

impl CoordinatorRecord {
    /// Bytes it will roughly take in a batch.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.key.len() + self.value.as_ref().map_or(0, Bytes::len) + 16
    }
}

/// The batch a replayed record comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchFacts {
    /// Offset of the batch's first record that is still there.
    pub first_offset: Offset,
    /// Set if the batch is transactional.
    pub producer: Option<ProducerId>,
}

/// All of one partition of a coordinator's topic. Pure: the driver brings time, and writes what is to be written.
pub trait Machine: Send + Sized + 'static {
    type Reply: Send + 'static;
    /// A write's continuation, as data.
    type After: Send + 'static;
    type Effect: Send + 'static;

    /// Applies one record of the log while loading.
    fn replay(&mut self, now: Now, key: &[u8], value: Option<&[u8]>, batch: BatchFacts);

    /// A transaction's marker in the log.
    fn replay_marker(&mut self, producer: ProducerId, committed: bool);

    /// The whole log is replayed; from now on commands come. `epoch` is the leader epoch that made this broker the
    /// coordinator.
    fn finish_loading(&mut self, now: Now, epoch: LeaderEpoch) -> StepOf<Self>;

    /// A write has ended. Called once for each write, in their order.
    fn written(&mut self, now: Now, after: Self::After, outcome: WriteOutcome) -> StepOf<Self>;

    /// What a write's waiting request is told when the shard it belonged to is gone.
    fn abandoned(after: Self::After) -> StepOf<Self>;

    /// Leadership is lost: nobody stays waiting. The machine is to be dropped afterwards.
    fn unload(&mut self) -> StepOf<Self>;

    /// When `on_timer` has something to do at the latest. Monotonic milliseconds.
    fn next_deadline(&self) -> Option<i64>;

    /// Handles everything that is due.
    fn on_timer(&mut self, now: Now) -> StepOf<Self>;

    /// Groups, or transactional ids.
    fn entries(&self) -> usize;
}

pub type StepOf<M> = Step<<M as Machine>::Reply, <M as Machine>::After, <M as Machine>::Effect>;
