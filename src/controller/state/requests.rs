//! From what is known to what brokers are told (class `ControllerBrokerRequestBatch`).

use std::sync::Arc;

use indexmap::{IndexMap, IndexSet};
use uuid::Uuid;

use super::{ControllerContext, election::NO_LEADER};
use crate::{
    common::{BrokerId, TopicPartition, ids::NO_LEADER_EPOCH},
    controller::output::{LeaderAndIsrPartition, StopReplicaPartition},
    metadata::{MetadataUpdate, PartitionImage, TopicImage, update::LEADER_DURING_DELETE},
};

/// Leader epoch of a StopReplica for a topic that is deleted, and of its image (`LeaderAndIsr.EpochDuringDelete`).
const EPOCH_DURING_DELETE: i32 = -2;

/// What is to be told at the next occasion. Only names are gathered: what is told of them is how things are then.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Whether the replica is new there.
    lead: IndexMap<BrokerId, IndexMap<TopicPartition, bool>>,
    /// Whether the log goes too.
    stop: IndexMap<BrokerId, IndexMap<TopicPartition, bool>>,
    /// Partitions that look different to all brokers.
    show: IndexSet<TopicPartition>,
    /// Brokers that know nothing yet.
    newcomers: IndexSet<BrokerId>,
    /// The brokers themselves are others.
    brokers_changed: bool,
}

/// What one broker is told, in this order.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct BrokerRequests {
    pub lead: Vec<LeaderAndIsrPartition>,
    pub update: Option<Update>,
    pub stop: Vec<StopReplicaPartition>,
}

/// How much of the image a broker is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Update {
    Changes,
    Everything,
}

impl Batch {
    /// All replicas at work of a partition learn who leads.
    pub fn lead(&mut self, context: &ControllerContext, tp: &TopicPartition, is_new: bool) {
        let Some(partition) = context.partition(tp) else { return };
        for broker in &partition.assignment.replicas {
            if context.is_working(*broker, tp) {
                self.lead_on(*broker, tp, is_new || partition.assignment.adding.contains(broker));
            }
        }
        self.show(tp);
    }

    /// One replica learns who leads.
    pub fn lead_on(&mut self, broker: BrokerId, tp: &TopicPartition, is_new: bool) {
        *self.lead.entry(broker).or_default().entry(tp.clone()).or_default() |= is_new;
        self.show(tp);
    }

    pub fn show(&mut self, tp: &TopicPartition) {
        if !self.show.contains(tp) {
            self.show.insert(tp.clone());
        }
    }

    pub fn stop(&mut self, broker: BrokerId, tp: &TopicPartition, delete: bool) {
        *self.stop.entry(broker).or_default().entry(tp.clone()).or_default() |= delete;
    }

    /// Everybody learns of the brokers there are; `newcomers` of all there is.
    pub fn brokers(&mut self, newcomers: impl IntoIterator<Item = BrokerId>) {
        self.brokers_changed = true;
        self.newcomers.extend(newcomers);
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether brokers hear of the brokers there are.
    #[must_use]
    pub fn shows_brokers(&self) -> bool {
        self.brokers_changed
    }

    /// What `broker` is told of all this.
    #[must_use]
    pub fn requests(&self, context: &ControllerContext, broker: BrokerId) -> BrokerRequests {
        let lead = self.lead.get(&broker).into_iter().flatten();
        let lead = lead.filter_map(|(tp, is_new)| context.leader_and_isr(broker, tp, *is_new)).collect();
        let stop = self.stop.get(&broker).into_iter().flatten();
        let stop = stop.map(|(tp, delete)| context.stop_replica(tp, *delete)).collect();
        let update = if self.newcomers.contains(&broker) {
            Some(Update::Everything)
        } else {
            (self.brokers_changed || !self.show.is_empty()).then_some(Update::Changes)
        };
        BrokerRequests { lead, update, stop }
    }

    /// The change of the image, partition by partition.
    #[must_use]
    pub fn changes(&self, context: &ControllerContext, controller: BrokerId) -> MetadataUpdate {
        context.update_of(controller, self.show.iter())
    }

    /// Topics of which something changed.
    #[must_use]
    pub fn topics(&self) -> IndexSet<Arc<str>> {
        self.show.iter().map(|tp| Arc::clone(&tp.topic)).collect()
    }
}

impl ControllerContext {
    /// What `broker` must know of a partition that it hosts.
    #[must_use]
    pub fn leader_and_isr(&self, broker: BrokerId, tp: &TopicPartition, is_new: bool) -> Option<LeaderAndIsrPartition> {
        let topic = self.topics.get(&tp.topic).filter(|_| !self.is_deleting(&tp.topic))?;
        let partition = topic.partitions.get(&tp.partition)?;
        let assignment = &partition.assignment;
        let current = partition.state.as_ref().filter(|_| assignment.replicas.contains(&broker))?;
        Some(LeaderAndIsrPartition {
            topic_partition: tp.clone(),
            topic_id: topic.id,
            controller_epoch: current.state.controller_epoch,
            leader: current.state.leader,
            leader_epoch: current.state.leader_epoch,
            partition_epoch: current.version,
            isr: current.state.isr.clone(),
            replicas: assignment.replicas.clone(),
            adding_replicas: assignment.adding.clone(),
            removing_replicas: assignment.removing.clone(),
            leader_recovery_state: current.state.leader_recovery_state,
            is_new,
        })
    }

    fn stop_replica(&self, tp: &TopicPartition, delete: bool) -> StopReplicaPartition {
        let state = self.partition(tp).and_then(|partition| partition.state.as_ref());
        let leader_epoch = if self.is_deleting(&tp.topic) {
            EPOCH_DURING_DELETE
        } else {
            state.map_or(NO_LEADER_EPOCH, |current| current.state.leader_epoch)
        };
        StopReplicaPartition { topic_partition: tp.clone(), leader_epoch, delete }
    }

    /// An UpdateMetadata about some partitions. Those that never had a leader are not told of.
    pub fn update_of<'a>(
        &self,
        controller: BrokerId,
        partitions: impl Iterator<Item = &'a TopicPartition>,
    ) -> MetadataUpdate {
        let mut ids: IndexMap<Arc<str>, Uuid, ahash::RandomState> = IndexMap::default();
        let mut images = Vec::new();
        for tp in partitions {
            let Some(image) = self.partition_image(tp).filter(|image| image.partition_epoch >= 0) else { continue };
            let id = self.topics.get(&tp.topic).map_or(Uuid::nil(), |topic| topic.id);
            ids.entry(Arc::clone(&tp.topic)).or_insert(id);
            images.push((Arc::clone(&tp.topic), image));
        }
        MetadataUpdate {
            controller,
            brokers: self.brokers.values().cloned().collect(),
            topic_ids: ids.into_iter().collect(),
            partitions: images,
        }
    }

    fn partition_image(&self, tp: &TopicPartition) -> Option<PartitionImage> {
        let partition = self.partition(tp)?;
        let state = partition.state.as_ref();
        let replicas = &partition.assignment.replicas;
        let (leader, leader_epoch) = if self.is_deleting(&tp.topic) {
            (LEADER_DURING_DELETE, EPOCH_DURING_DELETE)
        } else {
            state.map_or((NO_LEADER, 0), |current| (current.state.leader, current.state.leader_epoch))
        };
        Some(PartitionImage {
            partition: tp.partition,
            leader,
            leader_epoch,
            partition_epoch: state.map_or(-1, |current| current.version),
            isr: state.map_or_else(Vec::new, |current| current.state.isr.clone()),
            replicas: replicas.clone(),
            offline_replicas: replicas.iter().copied().filter(|replica| !self.is_online(*replica, tp)).collect(),
        })
    }

    /// The image of a topic; those without any leader ever, and those being deleted, are not shown.
    #[must_use]
    pub fn topic_image(&self, name: &Arc<str>) -> Option<Arc<TopicImage>> {
        let topic = self.topics.get(name).filter(|_| !self.is_deleting(name))?;
        if topic.partitions.values().all(|partition| partition.state.is_none()) {
            return None;
        }
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        // An image has no gaps; an assignment has none either unless somebody wrote it by hand.
        for (expected, number) in (0..).zip(topic.partitions.keys()) {
            if expected != *number {
                break;
            }
            let mut image = self.partition_image(&TopicPartition::new(Arc::clone(name), *number))?;
            image.partition_epoch = image.partition_epoch.max(0);
            partitions.push(image);
        }
        Some(Arc::new(TopicImage { name: Arc::clone(name), id: topic.id, partitions }))
    }
}
