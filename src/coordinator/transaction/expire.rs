//! Transactional ids that nobody uses any more (task `transactionalId-expiration`).

use std::sync::Arc;

use super::{
    command::{After, Now, Step, Write},
    records,
    shard::TransactionShard,
    state::TransactionState,
};
use crate::common::{ErrorCode, ProducerEpoch};

impl TransactionShard {
    /// Writes tombstones for ids that were silent for `transactional.id.expiration.ms`.
    pub fn expire_ids(&mut self, now: Now) -> Step {
        let mut step = Step::default();
        let expired_before = now.wall_ms.saturating_sub(self.config.transactional_id_expiration_ms);
        for (id, txn) in &mut self.transactions {
            let is_expired = txn.pending.is_none()
                && txn.state.is_expiration_allowed()
                && txn.last_update_timestamp <= expired_before;
            if is_expired && let Ok(dead) = txn.prepare_dead() {
                let after = After::Expired { transactional_id: Arc::clone(id), producer_epoch: dead.producer_epoch };
                step.writes.push(Write { records: vec![records::tombstone(id)], transaction: None, after });
            }
        }
        step
    }

    pub(super) fn tombstone_written(&mut self, id: &Arc<str>, epoch: ProducerEpoch, outcome: Result<(), ErrorCode>) {
        let Some(txn) = self.transactions.get_mut(id) else { return };
        let is_dead = txn.pending == Some(TransactionState::Dead) && txn.producer_epoch == epoch;
        match outcome {
            Ok(()) if is_dead => {
                self.transactions.swap_remove(id);
            }
            outcome => {
                tracing::warn!(transactional_id = %id, ?outcome, "expired transactional id could not be removed");
                txn.pending = None;
            }
        }
    }
}
