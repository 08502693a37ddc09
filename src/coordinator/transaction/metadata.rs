//! One transactional id (classes `TransactionMetadata`, `TxnTransitMetadata`).
//!
//! A change is prepared as a [`Transition`], which goes into the log; once it is there the transition is completed. In
//! between `pending` keeps everybody else out.

use indexmap::IndexSet;

use super::state::TransactionState;
use crate::common::{
    ErrorCode, ProducerEpoch, ProducerId, Timestamp, TopicPartition,
    ids::{NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_TIMESTAMP},
};

pub type Partitions = IndexSet<TopicPartition, ahash::RandomState>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionMetadata {
    pub producer_id: ProducerId,
    /// The id before the last rotation; a retry of that InitProducerId is known by it (KIP-360).
    pub last_producer_id: ProducerId,
    pub producer_epoch: ProducerEpoch,
    /// The epoch before the last bump that the producer asked for itself (KIP-360).
    pub last_producer_epoch: ProducerEpoch,
    pub timeout_ms: i32,
    pub state: TransactionState,
    /// Of the ongoing transaction; while it ends, those that have no marker yet.
    pub partitions: Partitions,
    /// −1: none was ever begun.
    pub start_timestamp: Timestamp,
    pub last_update_timestamp: Timestamp,
    /// When the transaction began, on the clock that does not jump: timeouts are measured with it.
    pub started_monotonic_ms: i64,
    /// The state whose record is on its way to the log.
    pub pending: Option<TransactionState>,
    /// A bump of the epoch did not reach the log. It was told to nobody, so the next try need not bump again.
    pub has_failed_epoch_fence: bool,
    /// While markers are written: what is to be logged after the last one.
    pub completion: Option<Transition>,
}

/// What a transactional id is to become: the content of a record of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    pub state: TransactionState,
    pub producer_id: ProducerId,
    pub last_producer_id: ProducerId,
    pub producer_epoch: ProducerEpoch,
    pub last_producer_epoch: ProducerEpoch,
    pub timeout_ms: i32,
    pub partitions: Partitions,
    pub start_timestamp: Timestamp,
    pub last_update_timestamp: Timestamp,
}

/// The last epoch is kept for fencing: no producer ever gets it.
#[must_use]
pub const fn is_epoch_exhausted(epoch: ProducerEpoch) -> bool {
    epoch >= ProducerEpoch::MAX - 1
}

impl TransactionMetadata {
    /// An id nobody has used yet. Its first InitProducerId brings epoch 0.
    #[must_use]
    pub fn new(producer_id: ProducerId, timeout_ms: i32, now: Timestamp) -> Self {
        Self {
            producer_id,
            last_producer_id: NO_PRODUCER_ID,
            producer_epoch: NO_PRODUCER_EPOCH,
            last_producer_epoch: NO_PRODUCER_EPOCH,
            timeout_ms,
            state: TransactionState::Empty,
            partitions: Partitions::default(),
            start_timestamp: NO_TIMESTAMP,
            last_update_timestamp: now,
            started_monotonic_ms: 0,
            pending: None,
            has_failed_epoch_fence: false,
            completion: None,
        }
    }

    /// What stays as it is; each `prepare_…` says what does not.
    fn unchanged(&self) -> Transition {
        Transition {
            state: self.state,
            producer_id: self.producer_id,
            last_producer_id: self.producer_id,
            producer_epoch: self.producer_epoch,
            last_producer_epoch: self.last_producer_epoch,
            timeout_ms: self.timeout_ms,
            partitions: self.partitions.clone(),
            start_timestamp: self.start_timestamp,
            last_update_timestamp: self.last_update_timestamp,
        }
    }

    /// Shuts others out until the transition is completed or given up. UNKNOWN_SERVER_ERROR for what may not happen.
    fn prepare(&mut self, transition: Transition) -> Result<Transition, ErrorCode> {
        let allowed = self.pending.is_none()
            && transition.state.predecessors().contains(&self.state)
            && transition.producer_id >= 0
            && (transition.producer_epoch >= 0 || transition.state == TransactionState::Dead);
        if !allowed {
            tracing::error!(from = self.state.name(), pending = ?self.pending, ?transition, "illegal transition refused");
            return Err(ErrorCode::UnknownServerError);
        }
        self.pending = Some(transition.state);
        Ok(transition)
    }

    /// A new producer takes over, or the same one comes back with the epoch it has (`expected`).
    pub fn prepare_epoch_bump(
        &mut self,
        timeout_ms: i32,
        expected: Option<ProducerEpoch>,
        now: Timestamp,
    ) -> Result<Transition, ErrorCode> {
        if is_epoch_exhausted(self.producer_epoch) {
            tracing::error!(producer_id = self.producer_id, "no epochs are left for this producer id");
            return Err(ErrorCode::UnknownServerError);
        }
        let bumped = self.producer_epoch + 1;
        let (producer_epoch, last_producer_epoch) = match expected {
            None => (bumped, NO_PRODUCER_EPOCH),
            Some(epoch) if self.producer_epoch == NO_PRODUCER_EPOCH || epoch == self.producer_epoch => {
                (bumped, self.producer_epoch)
            }
            // A retry of a bump whose answer was lost. Had another producer come since, the last epoch would be −1.
            Some(epoch) if epoch == self.last_producer_epoch => (self.producer_epoch, self.last_producer_epoch),
            Some(_) => return Err(ErrorCode::ProducerFenced),
        };
        let unchanged = self.unchanged();
        self.prepare(Transition {
            state: TransactionState::Empty,
            producer_epoch,
            last_producer_epoch,
            timeout_ms,
            partitions: Partitions::default(),
            start_timestamp: NO_TIMESTAMP,
            last_update_timestamp: now,
            ..unchanged
        })
    }

    /// The epochs of the producer id are used up: on with another one.
    pub fn prepare_rotation(
        &mut self,
        producer_id: ProducerId,
        timeout_ms: i32,
        keeps_last_epoch: bool,
        now: Timestamp,
    ) -> Result<Transition, ErrorCode> {
        let unchanged = self.unchanged();
        self.prepare(Transition {
            state: TransactionState::Empty,
            producer_id,
            producer_epoch: 0,
            last_producer_epoch: if keeps_last_epoch { self.producer_epoch } else { NO_PRODUCER_EPOCH },
            timeout_ms,
            partitions: Partitions::default(),
            start_timestamp: NO_TIMESTAMP,
            last_update_timestamp: now,
            ..unchanged
        })
    }

    /// `added` join the transaction, which begins with them if there is none.
    pub fn prepare_add(
        &mut self,
        added: impl IntoIterator<Item = TopicPartition>,
        now: Timestamp,
    ) -> Result<Transition, ErrorCode> {
        let unchanged = self.unchanged();
        let begins = self.state != TransactionState::Ongoing;
        let mut partitions = self.partitions.clone();
        partitions.extend(added);
        self.prepare(Transition {
            state: TransactionState::Ongoing,
            partitions,
            start_timestamp: if begins { now } else { self.start_timestamp },
            last_update_timestamp: now,
            ..unchanged
        })
    }

    /// The outcome is decided.
    pub fn prepare_end(&mut self, is_commit: bool, now: Timestamp) -> Result<Transition, ErrorCode> {
        let unchanged = self.unchanged();
        let state = if is_commit { TransactionState::PrepareCommit } else { TransactionState::PrepareAbort };
        self.prepare(Transition { state, last_update_timestamp: now, ..unchanged })
    }

    /// Whoever writes now gets a higher epoch, so that the old producer is fenced; then the transaction is aborted. The
    /// epoch is kept even if the log refuses the record.
    pub fn prepare_fenced_abort(&mut self, now: Timestamp) -> Result<Transition, ErrorCode> {
        if self.producer_epoch == ProducerEpoch::MAX || !self.may_fence() {
            tracing::error!(producer_id = self.producer_id, epoch = self.producer_epoch, "cannot fence this epoch");
            return Err(ErrorCode::UnknownServerError);
        }
        if !self.has_failed_epoch_fence {
            self.producer_epoch += 1;
        }
        self.last_producer_epoch = NO_PRODUCER_EPOCH;
        self.prepare_end(false, now)
    }

    fn may_fence(&self) -> bool {
        self.pending.is_none() && TransactionState::PrepareEpochFence.predecessors().contains(&self.state)
    }

    /// All that is left is to write markers.
    pub fn prepare_complete(&mut self, now: Timestamp) -> Result<Transition, ErrorCode> {
        self.has_failed_epoch_fence = false;
        let unchanged = self.unchanged();
        let is_commit = self.state == TransactionState::PrepareCommit;
        self.prepare(Transition {
            state: if is_commit { TransactionState::CompleteCommit } else { TransactionState::CompleteAbort },
            partitions: Partitions::default(),
            last_update_timestamp: now,
            ..unchanged
        })
    }

    /// The id is to be forgotten.
    pub fn prepare_dead(&mut self) -> Result<Transition, ErrorCode> {
        let unchanged = self.unchanged();
        self.prepare(Transition { state: TransactionState::Dead, partitions: Partitions::default(), ..unchanged })
    }

    /// The transition is in the log.
    pub fn complete(&mut self, transition: Transition, now_monotonic_ms: i64) {
        debug_assert_eq!(self.pending, Some(transition.state));
        if transition.state == TransactionState::Ongoing && self.state != TransactionState::Ongoing {
            self.started_monotonic_ms = now_monotonic_ms;
        }
        self.producer_id = transition.producer_id;
        self.producer_epoch = transition.producer_epoch;
        self.last_producer_epoch = transition.last_producer_epoch;
        if transition.state == TransactionState::Empty {
            self.last_producer_id = transition.last_producer_id;
            self.timeout_ms = transition.timeout_ms;
        } else {
            // InitProducerId leaves them: nobody asks before the next transaction.
            self.start_timestamp = transition.start_timestamp;
        }
        self.partitions = transition.partitions;
        self.last_update_timestamp = transition.last_update_timestamp;
        self.state = transition.state;
        self.pending = None;
    }
}
