//! All transactional ids of one partition of `__transaction_state`: the state machine's face to its driver.

use std::{collections::BTreeSet, sync::Arc};

use indexmap::IndexMap;

use super::{
    command::{After, Now, Reply, ReplyTo, Step, Then, Transitioned, Write, WriteOutcome, write_error},
    config::TransactionConfig,
    metadata::{TransactionMetadata, Transition},
    records::{self, RecordKey},
};
use crate::{
    common::{ErrorCode, LeaderEpoch, ProducerEpoch, ProducerId},
    coordinator::machine::{BatchFacts, Machine},
};

#[derive(Debug)]
pub struct TransactionShard {
    pub(super) config: Arc<TransactionConfig>,
    /// Leader epoch of the partition when it was loaded: fences markers of coordinators before.
    pub(super) coordinator_epoch: LeaderEpoch,
    pub(super) transactions: IndexMap<Arc<str>, TransactionMetadata, ahash::RandomState>,
    /// Transactions whose last record the log refused for now, by the monotonic time of the next try.
    pub(super) retries: BTreeSet<(i64, Arc<str>)>,
}

impl TransactionShard {
    #[must_use]
    pub fn new(config: Arc<TransactionConfig>) -> Self {
        Self { config, coordinator_epoch: -1, transactions: IndexMap::default(), retries: BTreeSet::new() }
    }

    #[must_use]
    pub fn transaction(&self, transactional_id: &str) -> Option<&TransactionMetadata> {
        self.transactions.get(transactional_id)
    }

    #[must_use]
    pub fn coordinator_epoch(&self) -> LeaderEpoch {
        self.coordinator_epoch
    }

    /// The id if `producer_id` and `epoch` are its present ones.
    pub(super) fn of_producer(
        &mut self,
        transactional_id: &str,
        producer_id: ProducerId,
        epoch: ProducerEpoch,
    ) -> Result<&mut TransactionMetadata, ErrorCode> {
        match self.transactions.get_mut(transactional_id) {
            Some(txn) if txn.producer_id != producer_id => Err(ErrorCode::InvalidProducerIdMapping),
            Some(txn) if txn.producer_epoch != epoch => Err(ErrorCode::ProducerFenced),
            Some(txn) => Ok(txn),
            None => Err(ErrorCode::InvalidProducerIdMapping),
        }
    }
}

/// Logs a prepared transition.
pub(super) fn write(step: &mut Step, transactional_id: &Arc<str>, transition: Transition, then: Then) {
    let records = vec![records::record(transactional_id, &transition)];
    let done = Transitioned { transactional_id: Arc::clone(transactional_id), transition, then };
    step.writes.push(Write { records, transaction: None, after: After::Transition(Box::new(done)) });
}

pub(super) fn code(to: ReplyTo, code: ErrorCode) -> Step {
    Step::reply(to, Reply::Code(code))
}

impl Machine for TransactionShard {
    type Reply = Reply;
    type After = After;
    type Effect = super::command::SendMarkers;

    /// What cannot be read is left out with a log line: one bad record must not take a partition of ids with it.
    fn replay(&mut self, now: Now, key: &[u8], value: Option<&[u8]>, batch: BatchFacts) {
        let outcome = match records::read_key(key) {
            Ok(RecordKey::Transaction { transactional_id }) => match value.map(|it| records::read_value(now, it)) {
                Some(Ok(txn)) => {
                    self.transactions.insert(transactional_id, txn);
                    Ok(())
                }
                Some(Err(fault)) => Err(fault),
                None => {
                    self.transactions.swap_remove(&transactional_id);
                    Ok(())
                }
            },
            Ok(RecordKey::Unknown { version }) => {
                tracing::warn!(version, "unknown record key, ignored; left over from another version perhaps");
                Ok(())
            }
            Err(fault) => Err(fault),
        };
        if let Err(fault) = outcome {
            tracing::error!(%fault, batch = batch.first_offset, "record of __transaction_state cannot be read, ignored");
        }
    }

    /// Nobody writes to this topic in a transaction.
    fn replay_marker(&mut self, _: ProducerId, _: bool) {}

    /// Transactions whose outcome was decided get their markers now.
    fn finish_loading(&mut self, now: Now, epoch: LeaderEpoch) -> Step {
        self.coordinator_epoch = epoch;
        let prepared = self.transactions.iter().filter(|(_, txn)| txn.state.is_prepared());
        let prepared: Vec<Arc<str>> = prepared.map(|(id, _)| Arc::clone(id)).collect();
        let mut step = Step::default();
        for id in &prepared {
            // A transaction that was just loaded has nothing pending, so this is allowed.
            let _ = self.send_markers(now, &mut step, id);
        }
        step
    }

    fn written(&mut self, now: Now, after: After, outcome: WriteOutcome) -> Step {
        let mut step = Step::default();
        let outcome = outcome.map(drop).map_err(write_error);
        match after {
            After::Transition(done) => self.transition_written(now, &mut step, *done, outcome),
            After::Expired { transactional_id, producer_epoch } => {
                self.tombstone_written(&transactional_id, producer_epoch, outcome);
            }
        }
        step
    }

    fn abandoned(after: After) -> Step {
        let After::Transition(done) = after else { return Step::default() };
        match done.then {
            Then::Initialized(to) | Then::PartitionsAdded(to) | Then::Ended { reply: Some(to), .. } => {
                code(to, ErrorCode::NotCoordinator)
            }
            Then::Ended { reply: None, .. } | Then::Completed => Step::default(),
        }
    }

    /// Everybody who waits waits for a write, and the driver abandons those.
    fn unload(&mut self) -> Step {
        self.transactions.clear();
        self.retries.clear();
        Step::default()
    }

    fn next_deadline(&self) -> Option<i64> {
        self.retries.first().map(|(at, _)| *at)
    }

    fn on_timer(&mut self, now: Now) -> Step {
        let mut step = Step::default();
        while let Some((_, id)) = self.retries.first().filter(|(at, _)| *at <= now.monotonic_ms).cloned() {
            self.retries.pop_first();
            self.log_completion(&mut step, &id);
        }
        step
    }

    fn entries(&self) -> usize {
        self.transactions.len()
    }
}

impl TransactionShard {
    fn transition_written(&mut self, now: Now, step: &mut Step, done: Transitioned, outcome: Result<(), ErrorCode>) {
        let Transitioned { transactional_id: id, transition, then } = done;
        let Some(txn) = self.transactions.get_mut(&id) else {
            tracing::error!(transactional_id = %id, "a transactional id vanished while its record was written");
            return step.replies.extend(answer(then, Err(ErrorCode::NotCoordinator)));
        };
        if let Err(error) = outcome {
            tracing::info!(transactional_id = %id, state = transition.state.name(), %error, "transition cannot be logged");
            match then {
                Then::Completed => return self.completion_failed(now, &id, error),
                Then::Ended { is_epoch_fence: true, .. } => txn.has_failed_epoch_fence = true,
                _ => {}
            }
            txn.pending = None;
            return step.replies.extend(answer(then, Err(error)));
        }
        let initialized = (transition.producer_id, transition.producer_epoch);
        txn.complete(transition, now.monotonic_ms);
        match then {
            Then::Initialized(to) => {
                let (producer_id, producer_epoch) = initialized;
                tracing::info!(transactional_id = %id, producer_id, producer_epoch, "transactional id initialized");
                step.replies.push((to, Reply::Initialized { producer_id, producer_epoch }));
            }
            Then::PartitionsAdded(_) => step.replies.extend(answer(then, Ok(()))),
            Then::Ended { .. } => {
                let sent = self.send_markers(now, step, &id);
                step.replies.extend(answer(then, sent));
            }
            Then::Completed => {}
        }
    }
}

fn answer(then: Then, outcome: Result<(), ErrorCode>) -> Option<(ReplyTo, Reply)> {
    let (to, told) = match then {
        Then::Initialized(to) | Then::PartitionsAdded(to) => (to, ErrorCode::None),
        Then::Ended { reply, told, .. } => (reply?, told),
        Then::Completed => return None,
    };
    Some((to, Reply::Code(outcome.err().unwrap_or(told))))
}
