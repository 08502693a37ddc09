//! AddPartitionsToTxn and AddOffsetsToTxn: partitions join a transaction, or are asked for by their leaders (KIP-890).

use std::sync::Arc;

use super::{
    command::{Now, ReplyTo, Step, Then},
    shard::{TransactionShard, code, write},
    state::TransactionState,
};
use crate::common::{ErrorCode, ProducerEpoch, ProducerId, TopicPartition};

impl TransactionShard {
    pub fn add_partitions(
        &mut self,
        now: Now,
        transactional_id: &Arc<str>,
        (producer_id, epoch): (ProducerId, ProducerEpoch),
        partitions: Vec<TopicPartition>,
        reply: ReplyTo,
    ) -> Step {
        let txn = match self.of_producer(transactional_id, producer_id, epoch) {
            Ok(txn) => txn,
            Err(error) => return code(reply, error),
        };
        if txn.pending.is_some() || txn.state.is_prepared() {
            return code(reply, ErrorCode::ConcurrentTransactions);
        }
        if txn.state == TransactionState::Ongoing && partitions.iter().all(|tp| txn.partitions.contains(tp)) {
            return code(reply, ErrorCode::None);
        }
        match txn.prepare_add(partitions, now.wall_ms) {
            Ok(transition) => {
                let mut step = Step::default();
                write(&mut step, transactional_id, transition, Then::PartitionsAdded(reply));
                step
            }
            Err(error) => code(reply, error),
        }
    }

    /// Which of the partitions are in the transaction. `Err` is of all of them.
    pub fn verify_partitions(
        &mut self,
        transactional_id: &str,
        (producer_id, epoch): (ProducerId, ProducerEpoch),
        partitions: Vec<TopicPartition>,
    ) -> Result<Vec<(TopicPartition, ErrorCode)>, ErrorCode> {
        let txn = self.of_producer(transactional_id, producer_id, epoch)?;
        if txn.state.is_prepared() {
            return Err(ErrorCode::ConcurrentTransactions);
        }
        let of = |tp: TopicPartition| {
            let found = if txn.partitions.contains(&tp) { ErrorCode::None } else { ErrorCode::TransactionAbortable };
            (tp, found)
        };
        Ok(partitions.into_iter().map(of).collect())
    }
}
