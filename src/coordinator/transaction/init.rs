//! InitProducerId: a producer comes under a transactional id and fences whoever had it before
//! (`TransactionCoordinator.handleInitProducerId`, KIP-360).

use std::sync::Arc;

use super::{
    command::{InitProducerId, Now, Reply, ReplyTo, Step, Then},
    metadata::{TransactionMetadata, is_epoch_exhausted},
    shard::{TransactionShard, code, write},
    state::TransactionState,
};
use crate::common::{ErrorCode, ProducerEpoch, ProducerId, ids::NO_PRODUCER_EPOCH};

impl TransactionShard {
    /// `fresh_id` is a producer id that nobody has; without one the answer may be that one is needed.
    pub fn init(&mut self, now: Now, cmd: &InitProducerId, fresh_id: Option<ProducerId>, reply: ReplyTo) -> Step {
        let id = &cmd.transactional_id;
        if !self.transactions.contains_key(id) {
            let Some(fresh_id) = fresh_id else { return Step::reply(reply, Reply::NeedsProducerId) };
            let created = TransactionMetadata::new(fresh_id, cmd.timeout_ms, now.wall_ms);
            self.transactions.insert(Arc::clone(id), created);
        }
        let Some(txn) = self.transactions.get_mut(id) else { return code(reply, ErrorCode::UnknownServerError) };
        if txn.pending.is_some() {
            return code(reply, ErrorCode::ConcurrentTransactions);
        }
        if cmd.expected.is_some_and(|expected| !is_known_producer(txn, expected)) {
            return code(reply, ErrorCode::ProducerFenced);
        }
        let mut step = Step::default();
        match txn.state {
            TransactionState::PrepareCommit | TransactionState::PrepareAbort => {
                return code(reply, ErrorCode::ConcurrentTransactions);
            }
            TransactionState::Ongoing => {
                // The producer asks again until the abort is through.
                let told = ErrorCode::ConcurrentTransactions;
                let then = Then::Ended { reply: Some(reply), told, is_epoch_fence: true };
                match txn.prepare_fenced_abort(now.wall_ms) {
                    Ok(transition) => write(&mut step, id, transition, then),
                    Err(error) => return code(reply, error),
                }
            }
            TransactionState::Empty | TransactionState::CompleteCommit | TransactionState::CompleteAbort => {
                let expected = cmd.expected.map(|(_, epoch)| epoch);
                let rotates =
                    is_epoch_exhausted(txn.producer_epoch) && expected.is_none_or(|epoch| epoch == txn.producer_epoch);
                let prepared = match (rotates, fresh_id) {
                    (true, None) => return Step::reply(reply, Reply::NeedsProducerId),
                    (true, Some(fresh)) => txn.prepare_rotation(fresh, cmd.timeout_ms, expected.is_some(), now.wall_ms),
                    (false, _) => txn.prepare_epoch_bump(cmd.timeout_ms, expected, now.wall_ms),
                };
                match prepared {
                    Ok(transition) => write(&mut step, id, transition, Then::Initialized(reply)),
                    Err(error) => return code(reply, error),
                }
            }
            TransactionState::Dead | TransactionState::PrepareEpochFence => {
                tracing::error!(transactional_id = %id, state = txn.state.name(), "a transient state was logged");
                return code(reply, ErrorCode::UnknownServerError);
            }
        }
        step
    }
}

/// Whether a producer that names its id may be the one we know, or was it until its epochs were used up.
fn is_known_producer(txn: &TransactionMetadata, (id, epoch): (ProducerId, ProducerEpoch)) -> bool {
    txn.producer_epoch == NO_PRODUCER_EPOCH
        || id == txn.producer_id
        || (id == txn.last_producer_id && is_epoch_exhausted(epoch))
}
