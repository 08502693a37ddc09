//! EndTxn: the producer decides the outcome.

use std::sync::Arc;

use super::{
    command::{Now, ReplyTo, Step, Then},
    shard::{TransactionShard, code, write},
    state::TransactionState,
};
use crate::common::{ErrorCode, ProducerEpoch, ProducerId};

impl TransactionShard {
    /// The answer comes when the decision is in the log; the markers follow.
    pub fn end(
        &mut self,
        now: Now,
        transactional_id: &Arc<str>,
        (producer_id, epoch): (ProducerId, ProducerEpoch),
        is_commit: bool,
        reply: ReplyTo,
    ) -> Step {
        let txn = match self.of_producer(transactional_id, producer_id, epoch) {
            Ok(txn) => txn,
            Err(error) => return code(reply, error),
        };
        if txn.pending.is_some() {
            return code(reply, ErrorCode::ConcurrentTransactions);
        }
        let same_or = |is_same: bool, same: ErrorCode| if is_same { same } else { ErrorCode::InvalidTxnState };
        let refused = match txn.state {
            TransactionState::Ongoing => match txn.prepare_end(is_commit, now.wall_ms) {
                Ok(transition) => {
                    let mut step = Step::default();
                    let then = Then::Ended { reply: Some(reply), told: ErrorCode::None, is_epoch_fence: false };
                    write(&mut step, transactional_id, transition, then);
                    return step;
                }
                Err(error) => error,
            },
            // A retry of what is done already.
            TransactionState::CompleteCommit => same_or(is_commit, ErrorCode::None),
            TransactionState::CompleteAbort => same_or(!is_commit, ErrorCode::None),
            TransactionState::PrepareCommit => same_or(is_commit, ErrorCode::ConcurrentTransactions),
            TransactionState::PrepareAbort => same_or(!is_commit, ErrorCode::ConcurrentTransactions),
            TransactionState::Empty => ErrorCode::InvalidTxnState,
            TransactionState::Dead | TransactionState::PrepareEpochFence => ErrorCode::UnknownServerError,
        };
        code(reply, refused)
    }
}
