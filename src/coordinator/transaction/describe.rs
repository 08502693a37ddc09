//! DescribeTransactions and ListTransactions (KIP-664).

use std::{collections::BTreeSet, sync::Arc};

use super::{command::Now, shard::TransactionShard, state::TransactionState};
use crate::common::{ProducerEpoch, ProducerId, Timestamp, TopicPartition};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionDescription {
    pub state: TransactionState,
    pub timeout_ms: i32,
    pub start_timestamp: Timestamp,
    pub producer_id: ProducerId,
    pub producer_epoch: ProducerEpoch,
    pub partitions: Vec<TopicPartition>,
}

/// One row of ListTransactions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionOverview {
    pub transactional_id: Arc<str>,
    pub producer_id: ProducerId,
    pub state: TransactionState,
}

/// What a ListTransactions asks for.
#[derive(Debug, Clone, Default)]
pub struct TransactionFilter {
    /// Empty: of all producers.
    pub producer_ids: BTreeSet<ProducerId>,
    /// `None`: in all states. Unknown names leave nothing.
    pub states: Option<BTreeSet<TransactionState>>,
    /// Open for longer than this; negative: no matter how long (KIP-994).
    pub duration_ms: i64,
}

impl TransactionShard {
    #[must_use]
    pub fn describe(&self, transactional_id: &str) -> Option<TransactionDescription> {
        let txn = self.transactions.get(transactional_id)?;
        Some(TransactionDescription {
            state: txn.state,
            timeout_ms: txn.timeout_ms,
            start_timestamp: txn.start_timestamp,
            producer_id: txn.producer_id,
            producer_epoch: txn.producer_epoch,
            partitions: txn.partitions.iter().cloned().collect(),
        })
    }

    #[must_use]
    pub fn list(&self, now: Now, filter: &TransactionFilter) -> Vec<TransactionOverview> {
        let asked = self.transactions.iter().filter(|(_, txn)| {
            (filter.producer_ids.is_empty() || filter.producer_ids.contains(&txn.producer_id))
                && filter.states.as_ref().is_none_or(|states| states.contains(&txn.state))
                && (filter.duration_ms < 0 || now.wall_ms.saturating_sub(txn.start_timestamp) > filter.duration_ms)
        });
        let overview = |(id, txn): (&Arc<str>, &super::metadata::TransactionMetadata)| TransactionOverview {
            transactional_id: Arc::clone(id),
            producer_id: txn.producer_id,
            state: txn.state,
        };
        asked.map(overview).collect()
    }
}
