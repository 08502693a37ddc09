//! A leader's changes of its ISR, written by itself (class `ZkAlterPartitionManager`): among brokers older than protocol
//! 2.7-IV2 nobody understands AlterPartition. The controller is told afterwards, of many changes at once.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use indexmap::IndexSet;
use tokio::time::MissedTickBehavior;

use super::{ReplicaManager, alter_partition::Item, partition::AlterPartitionAnswer};
use crate::{
    common::{BrokerId, ErrorCode, TopicPartition},
    coordination::{ClusterStore, CoordinationError},
};

/// `IsrChangePropagationConfig`: how often it is looked, how long changes must have ceased, how long none waits.
const CHECK_INTERVAL: Duration = Duration::from_millis(2500);
const LINGER_MS: i64 = 5_000;
const WAIT_MAX_MS: i64 = 60_000;
const RETRY_AFTER: Duration = Duration::from_millis(50);

/// Changes that the controller does not know of yet.
#[derive(Debug, Default)]
struct News {
    changed: IndexSet<TopicPartition>,
    last_change_ms: i64,
    last_told_ms: i64,
}

impl News {
    fn add(&mut self, tp: &TopicPartition, now_ms: i64) {
        self.changed.insert(tp.clone());
        self.last_change_ms = now_ms;
    }

    /// A wave of changes is told of when it has ebbed.
    fn is_due(&self, now_ms: i64) -> bool {
        let has_ebbed = self.last_change_ms + LINGER_MS < now_ms;
        !self.changed.is_empty() && (has_ebbed || self.last_told_ms + WAIT_MAX_MS < now_ms)
    }
}

/// The writing end of the leaders here.
pub struct ZkIsrWriter {
    pub replicas: Weak<ReplicaManager>,
    pub cluster: Arc<ClusterStore>,
    pub broker_id: BrokerId,
}

impl ZkIsrWriter {
    /// Runs until the broker is gone.
    pub async fn run(self) {
        let mut news = News::default();
        let mut check = tokio::time::interval(CHECK_INTERVAL);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let Some(replicas) = self.replicas.upgrade() else { return };
            let manager = &replicas.alter_partitions;
            let items = manager.take_up();
            for (tp, item) in &items {
                if !self.write(&replicas, tp, item, &mut news).await {
                    tokio::time::sleep(RETRY_AFTER).await;
                }
            }
            self.tell(&replicas, &mut news).await;
            if items.is_empty() {
                tokio::select! {
                    biased;
                    () = manager.submitted.notified() => {}
                    _ = check.tick() => {}
                }
            }
        }
    }

    /// False: to be tried again after a pause.
    async fn write(&self, replicas: &ReplicaManager, tp: &TopicPartition, item: &Item, news: &mut News) -> bool {
        let proposal = &item.proposal;
        let at = (proposal.leader_epoch, proposal.partition_epoch);
        let answer = match self.cluster.update_isr(tp, self.broker_id, at, &proposal.isr).await {
            Ok(Some(partition_epoch)) => {
                news.add(tp, replicas.clock.monotonic_ms());
                Ok(AlterPartitionAnswer {
                    leader_epoch: proposal.leader_epoch,
                    partition_epoch,
                    isr: proposal.isr.clone(),
                })
            }
            Ok(None) => Err(ErrorCode::InvalidUpdateVersion),
            Err(CoordinationError::NoNode(_)) => Err(ErrorCode::UnknownTopicOrPartition),
            Err(fault) => {
                tracing::warn!(partition = %tp, %fault, "the ISR cannot be written; trying again");
                return false;
            }
        };
        replicas.alter_partitions.unsent.lock().shift_remove(tp);
        replicas.partition_altered(tp, proposal, answer)
    }

    async fn tell(&self, replicas: &ReplicaManager, news: &mut News) {
        let now_ms = replicas.clock.monotonic_ms();
        if !news.is_due(now_ms) {
            return;
        }
        let changed: Vec<TopicPartition> = news.changed.iter().cloned().collect();
        match self.cluster.announce_isr_changes(&changed).await {
            Ok(()) => *news = News { last_told_ms: now_ms, ..News::default() },
            Err(fault) => tracing::warn!(%fault, "the controller cannot be told of changed ISRs; trying again"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wave_of_changes_is_one_piece_of_news() {
        let mut news = News::default();
        assert!(!news.is_due(1_000_000), "nothing to tell");
        news.last_told_ms = 1_000_000;
        news.add(&TopicPartition::new("t", 0), 1_010_000);
        news.add(&TopicPartition::new("t", 1), 1_014_000);
        assert!(!news.is_due(1_019_000));
        assert!(news.is_due(1_019_001), "five seconds of rest");
        news.add(&TopicPartition::new("t", 0), 1_058_000);
        assert!(!news.is_due(1_060_000));
        assert!(news.is_due(1_060_001), "a minute is enough");
        assert_eq!(news.changed.len(), 2);
    }
}
