//! Asks the controller for another ISR (class `DefaultAlterPartitionManager`, KIP-497): one request at a time with all
//! that has gathered meanwhile, repeated until it is answered or the controller says otherwise by LeaderAndIsr.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use indexmap::IndexMap;
use kafka_protocol::{
    messages::{
        AlterPartitionRequest, AlterPartitionResponse, BrokerId as WireBrokerId, TopicName,
        alter_partition_request::{BrokerState, PartitionData, TopicData},
    },
    protocol::StrBytes,
};
use parking_lot::Mutex;
use tokio::sync::Notify;
use uuid::Uuid;

use super::{
    ReplicaManager,
    hosted::Partition,
    partition::{AlterPartition, AlterPartitionAnswer, Altered},
};
use crate::{
    client::ControllerChannel,
    common::{BrokerId, ErrorCode, Timestamp, TopicPartition},
};

const VERSION: i16 = 3;
/// From here topics have ids.
const TOPIC_IDS_SINCE: i16 = 2;
/// From here each member of the ISR comes with its broker epoch (KIP-903).
const BROKER_EPOCHS_SINCE: i16 = 3;
const RETRY_AFTER: Duration = Duration::from_millis(50);
/// How long one attempt may look for a controller.
const ATTEMPT: Duration = Duration::from_secs(30);

/// Proposals on their way.
#[derive(Default)]
pub struct AlterPartitionManager {
    pub(super) unsent: Mutex<IndexMap<TopicPartition, Item, ahash::RandomState>>,
    pub(super) submitted: Notify,
    /// Set once somebody sends.
    pub(super) started: std::sync::atomic::AtomicBool,
}

#[derive(Debug, Clone)]
pub(super) struct Item {
    topic_id: Uuid,
    pub(super) proposal: AlterPartition,
}

/// The sending end.
pub struct AlterPartitionSender {
    pub replicas: Weak<ReplicaManager>,
    pub channel: ControllerChannel,
    pub broker_id: BrokerId,
    pub broker_epoch: Arc<AtomicI64>,
}

impl AlterPartitionManager {
    /// False if it cannot be sent: another one for the partition is under way, or nobody sends.
    pub(super) fn submit(&self, tp: &TopicPartition, topic_id: Uuid, proposal: AlterPartition) -> bool {
        let mut unsent = self.unsent.lock();
        if !self.started.load(Ordering::Acquire) || unsent.contains_key(tp) {
            return false;
        }
        unsent.insert(tp.clone(), Item { topic_id, proposal });
        drop(unsent);
        self.submitted.notify_one();
        true
    }

    /// What waits to be carried out, for the one who does so; proposals are taken from the first call on.
    pub(super) fn take_up(&self) -> Vec<(TopicPartition, Item)> {
        self.started.store(true, Ordering::Release);
        self.unsent.lock().iter().map(|(tp, item)| (tp.clone(), item.clone())).collect()
    }
}

impl AlterPartitionSender {
    /// Runs until the broker is gone.
    pub async fn run(self) {
        loop {
            let Some(replicas) = self.replicas.upgrade() else { return };
            let manager = &replicas.alter_partitions;
            let items = manager.take_up();
            if items.is_empty() {
                manager.submitted.notified().await;
                continue;
            }
            if !self.send(&replicas, &items).await {
                tokio::time::sleep(RETRY_AFTER).await;
            }
        }
    }

    /// False: to be tried again after a pause.
    async fn send(&self, replicas: &ReplicaManager, items: &[(TopicPartition, Item)]) -> bool {
        let broker_epoch = self.broker_epoch.load(Ordering::Acquire);
        let with_ids = items.iter().all(|(_, item)| !item.topic_id.is_nil());
        let highest = if with_ids { VERSION } else { TOPIC_IDS_SINCE - 1 };
        let is_none = |answer: &AlterPartitionResponse| answer.error_code == ErrorCode::NotController.code();
        let build = |version| request(items, version, self.broker_id, broker_epoch);
        let answer = self.channel.send_built(build, highest, true, ATTEMPT, is_none).await;
        let response = match answer {
            Ok(response) => response,
            Err(fault) => {
                tracing::debug!(%fault, "AlterPartition is not answered; trying again");
                return false;
            }
        };
        match ErrorCode::from_code(response.error_code) {
            ErrorCode::None => distribute(replicas, items, &response),
            code => {
                tracing::warn!(%code, broker_epoch, "AlterPartition is refused; trying again");
                false
            }
        }
    }
}

/// Gives each partition its answer. False if one of them is to be tried again.
fn distribute(replicas: &ReplicaManager, items: &[(TopicPartition, Item)], response: &AlterPartitionResponse) -> bool {
    let mut all_done = true;
    for (tp, item) in items {
        let answers = response.topics.iter().filter(|topic| {
            if topic.topic_id.is_nil() {
                topic.topic_name.0.as_str() == &*tp.topic
            } else {
                topic.topic_id == item.topic_id
            }
        });
        let mut answers = answers.flat_map(|topic| &topic.partitions);
        let Some(answer) = answers.find(|it| it.partition_index == tp.partition) else {
            all_done = false;
            continue;
        };
        let answer = match ErrorCode::from_code(answer.error_code) {
            ErrorCode::None => Ok(AlterPartitionAnswer {
                leader_epoch: answer.leader_epoch,
                partition_epoch: answer.partition_epoch,
                isr: answer.isr.iter().map(|id| id.0).collect(),
            }),
            code => Err(code),
        };
        replicas.alter_partitions.unsent.lock().shift_remove(tp);
        all_done &= replicas.partition_altered(tp, &item.proposal, answer);
    }
    all_done
}

fn request(
    items: &[(TopicPartition, Item)],
    version: i16,
    broker_id: BrokerId,
    broker_epoch: i64,
) -> AlterPartitionRequest {
    let mut topics: IndexMap<(&str, Uuid), Vec<PartitionData>> = IndexMap::new();
    for (tp, Item { topic_id, proposal }) in items {
        let data = PartitionData::default()
            .with_partition_index(tp.partition)
            .with_leader_epoch(proposal.leader_epoch)
            .with_partition_epoch(proposal.partition_epoch);
        let members = proposal.isr.iter().zip(&proposal.broker_epochs);
        let data = if version >= BROKER_EPOCHS_SINCE {
            let state = |(id, epoch): (&BrokerId, &i64)| {
                let epoch = if *id == broker_id { broker_epoch } else { *epoch };
                BrokerState::default().with_broker_id(WireBrokerId(*id)).with_broker_epoch(epoch)
            };
            data.with_new_isr_with_epochs(members.map(state).collect())
        } else {
            data.with_new_isr(proposal.isr.iter().map(|id| WireBrokerId(*id)).collect())
        };
        topics.entry((&tp.topic, *topic_id)).or_default().push(data);
    }
    let topics = topics.into_iter().map(|((name, id), partitions)| {
        let topic = TopicData::default().with_partitions(partitions);
        if version >= TOPIC_IDS_SINCE {
            topic.with_topic_id(id)
        } else {
            topic.with_topic_name(TopicName(StrBytes::from_string(name.to_owned())))
        }
    });
    AlterPartitionRequest::default()
        .with_broker_id(WireBrokerId(broker_id))
        .with_broker_epoch(broker_epoch)
        .with_topics(topics.collect())
}

impl ReplicaManager {
    /// Sends a proposal of a leader here; one that cannot be sent is taken back.
    pub(super) fn propose(&self, tp: &TopicPartition, proposal: AlterPartition) {
        let Ok(partition) = self.partition(tp) else { return };
        let topic_id = partition.log().topic_id().unwrap_or_default();
        if !self.alter_partitions.submit(tp, topic_id, proposal.clone()) {
            partition.change(|state| state.isr_altered(&proposal, Err(ErrorCode::OperationNotAttempted)));
        }
    }

    /// The controller's answer. False: the proposal was sent on its way again.
    pub(super) fn partition_altered(
        &self,
        tp: &TopicPartition,
        proposal: &AlterPartition,
        answer: Result<AlterPartitionAnswer, ErrorCode>,
    ) -> bool {
        let Ok(partition) = self.partition(tp) else { return true };
        if let Err(code) = answer {
            self.metrics.failed_isr_updates.mark(1);
            tracing::info!(partition = %tp, %code, ?proposal, "the ISR is not changed");
        }
        let before = partition.state().isr().members().len();
        match partition.change(|state| state.isr_altered(proposal, answer)) {
            Altered::Committed => {
                let now = self.clock.now_ms();
                let state = partition.state();
                let isr = state.isr().members();
                tracing::info!(partition = %tp, ?isr, partition_epoch = state.partition_epoch(), "the ISR is changed");
                let changes = if isr.len() > before { &self.metrics.isr_expands } else { &self.metrics.isr_shrinks };
                changes.mark(1);
                drop(state);
                self.recheck_high_watermark(&partition, now);
                true
            }
            Altered::Refused => {
                self.recheck_high_watermark(&partition, self.clock.now_ms());
                true
            }
            Altered::TryAgain => {
                self.propose(tp, proposal.clone());
                false
            }
            Altered::Unchanged => true,
        }
    }

    /// Who is waited for has changed.
    pub(super) fn recheck_high_watermark(&self, partition: &Partition, now: Timestamp) {
        let min_isr = partition.log().config().min_insync_replicas;
        let moved = partition.advance_high_watermark(&partition.state(), now, min_isr);
        if let Some(offset) = moved {
            self.high_watermark_moved(partition.key, offset, usize::MAX);
        }
    }

    /// `isr-expiration`: followers that lag are to leave the ISR.
    pub fn expire_isr(&self) {
        for (tp, proposal) in self.shrink_isr() {
            tracing::info!(partition = %tp, isr = ?proposal.isr, "shrinking the ISR");
            self.propose(&tp, proposal);
        }
    }
}
