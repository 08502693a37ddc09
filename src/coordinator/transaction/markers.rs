//! From the decision in the log to its completion: which markers are to be written, and what came of them
//! (classes `TransactionMarkerChannelManager`, `TransactionMarkerRequestCompletionHandler`).

use std::sync::Arc;

use super::{
    command::{Now, SendMarkers, Step, Then},
    shard::{TransactionShard, write},
    state::TransactionState,
};
use crate::common::{ErrorCode, LeaderEpoch, TopicPartition};

/// Before the completion of a transaction is offered to its log again.
const RETRY_MS: i64 = 100;

/// What a partition's answer to a marker means.
enum Marked {
    /// It has the marker, or needs none.
    Done,
    Again,
    /// Another coordinator or producer is further: none of our business any more.
    Fenced,
}

impl TransactionShard {
    /// The outcome is in the log: has markers sent to all partitions. From now on the completion is pending.
    pub(super) fn send_markers(&mut self, now: Now, step: &mut Step, id: &Arc<str>) -> Result<(), ErrorCode> {
        let Some(txn) = self.transactions.get_mut(id) else { return Err(ErrorCode::NotCoordinator) };
        txn.completion = Some(txn.prepare_complete(now.wall_ms)?);
        if txn.partitions.is_empty() {
            self.log_completion(step, id);
        } else {
            let partitions = txn.partitions.iter().cloned().collect();
            step.effects.extend(self.markers(id, partitions, false));
        }
        Ok(())
    }

    fn markers(&self, id: &Arc<str>, partitions: Vec<TopicPartition>, is_retry: bool) -> Option<SendMarkers> {
        let txn = self.transactions.get(id)?;
        Some(SendMarkers {
            transactional_id: Arc::clone(id),
            producer_id: txn.producer_id,
            producer_epoch: txn.producer_epoch,
            coordinator_epoch: self.coordinator_epoch,
            is_commit: txn.state == TransactionState::PrepareCommit,
            partitions,
            is_retry,
        })
    }

    /// What the leaders answered to the markers that were sent under `coordinator_epoch`. A partition that no longer
    /// exists counts as NONE.
    pub fn markers_written(
        &mut self,
        id: &Arc<str>,
        coordinator_epoch: LeaderEpoch,
        answers: Vec<(TopicPartition, ErrorCode)>,
    ) -> Step {
        let mut step = Step::default();
        if coordinator_epoch != self.coordinator_epoch {
            return step;
        }
        let Some(txn) = self.transactions.get_mut(id).filter(|txn| txn.completion.is_some()) else { return step };
        let mut again = Vec::new();
        let mut is_fenced = false;
        for (tp, error) in answers {
            match judge(error) {
                Marked::Done => {
                    txn.partitions.swap_remove(&tp);
                }
                Marked::Again => {
                    tracing::info!(transactional_id = %id, partition = %tp, %error, "marker is to be written again");
                    again.push(tp);
                }
                Marked::Fenced => {
                    tracing::info!(transactional_id = %id, partition = %tp, %error, "marker refused; no more are sent");
                    is_fenced = true;
                }
            }
        }
        if is_fenced {
            // Stays prepared, as in Kafka; whoever is further completes it, or the next load does.
            txn.completion = None;
        } else if !again.is_empty() {
            step.effects.extend(self.markers(id, again, true));
        } else if txn.partitions.is_empty() {
            self.log_completion(&mut step, id);
        }
        step
    }

    pub(super) fn log_completion(&mut self, step: &mut Step, id: &Arc<str>) {
        if let Some(completion) = self.transactions.get_mut(id).and_then(|txn| txn.completion.take()) {
            write(step, id, completion, Then::Completed);
        }
    }

    /// The markers are there, but the transaction's log did not take that.
    pub(super) fn completion_failed(&mut self, now: Now, id: &Arc<str>, error: ErrorCode) {
        let Some(txn) = self.transactions.get_mut(id) else { return };
        txn.pending = None;
        if error == ErrorCode::NotCoordinator {
            return;
        }
        match txn.prepare_complete(now.wall_ms) {
            Ok(completion) => {
                txn.completion = Some(completion);
                self.retries.insert((now.monotonic_ms.saturating_add(RETRY_MS), Arc::clone(id)));
            }
            Err(error) => tracing::error!(transactional_id = %id, %error, "transaction cannot be completed"),
        }
    }
}

fn judge(error: ErrorCode) -> Marked {
    match error {
        // A producer could not have written to a topic of an older format.
        ErrorCode::None | ErrorCode::UnsupportedForMessageFormat | ErrorCode::UnsupportedVersion => Marked::Done,
        ErrorCode::InvalidProducerEpoch | ErrorCode::TransactionCoordinatorFenced => Marked::Fenced,
        _ => Marked::Again,
    }
}
