//! Transactions whose producer does not end them (task `transaction-abort`).

use std::sync::Arc;

use super::{
    command::{Now, Step, Then},
    shard::{TransactionShard, write},
    state::TransactionState,
};
use crate::common::ErrorCode;

impl TransactionShard {
    /// Aborts what is open for longer than its producer said, under a new epoch so that the producer is fenced.
    pub fn abort_timed_out(&mut self, now: Now) -> Step {
        let mut step = Step::default();
        for (id, txn) in &mut self.transactions {
            let open_ms = now.monotonic_ms.saturating_sub(txn.started_monotonic_ms);
            let is_due =
                txn.state == TransactionState::Ongoing && txn.pending.is_none() && open_ms > i64::from(txn.timeout_ms);
            if !is_due {
                continue;
            }
            if let Ok(transition) = txn.prepare_fenced_abort(now.wall_ms) {
                tracing::info!(transactional_id = %id, open_ms, "transaction is aborted: it timed out");
                let then = Then::Ended { reply: None, told: ErrorCode::None, is_epoch_fence: true };
                write(&mut step, &Arc::clone(id), transition, then);
            }
        }
        step
    }
}
