//! What an UpdateMetadata request says, and what it makes of an image (`ZkMetadataCache.updateMetadata`).

use std::sync::Arc;

use indexmap::IndexMap;
use uuid::Uuid;

use super::{BrokerImage, MetadataDelta, MetadataImage, PartitionImage, TopicImage};
use crate::common::{BrokerId, TopicPartition, ids::NO_LEADER_EPOCH};

/// The leader of a partition that is being deleted (`LeaderAndIsr.LeaderDuringDelete`).
pub const LEADER_DURING_DELETE: BrokerId = -2;
/// No image has more partitions of one topic than this; an index beyond it is a mistake of the sender.
const PARTITIONS_MAX: usize = 1 << 20;

/// Partitions that changed; all brokers that live.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MetadataUpdate {
    /// Negative: none.
    pub controller: BrokerId,
    pub brokers: Vec<BrokerImage>,
    /// Topic ids as far as the version carries them, nil for topics that have none.
    pub topic_ids: Vec<(Arc<str>, Uuid)>,
    pub partitions: Vec<(Arc<str>, PartitionImage)>,
}

impl MetadataUpdate {
    /// The change of `image` that it means, and the partitions that are being deleted.
    #[must_use]
    pub fn against(self, image: &MetadataImage) -> (MetadataDelta, Vec<TopicPartition>) {
        let mut deleted = Vec::new();
        let mut changed: IndexMap<Arc<str>, TopicImage> = IndexMap::new();
        for (name, id) in self.topic_ids {
            if image.topic(&name).is_none_or(|topic| topic.id != id) {
                topic_of(&mut changed, image, &name).become_id(id);
            }
        }
        for (name, partition) in self.partitions {
            if partition.leader == LEADER_DURING_DELETE {
                deleted.push(TopicPartition::new(Arc::clone(&name), partition.partition));
            }
            put(&mut topic_of(&mut changed, image, &name).partitions, partition);
        }
        let mut delta = MetadataDelta {
            controller: Some((self.controller >= 0).then_some(self.controller)),
            brokers: Some(self.brokers.into_iter().map(|broker| with_known_epoch(broker, image)).collect()),
            ..MetadataDelta::default()
        };
        for (name, mut topic) in changed {
            let left = topic.partitions.iter().rposition(|it| it.leader != LEADER_DURING_DELETE).map_or(0, |at| at + 1);
            topic.partitions.truncate(left);
            if left == 0 {
                delta.deleted_topics.push(name);
            } else {
                delta.topics.push(Arc::new(topic));
            }
        }
        (delta, deleted)
    }
}

impl TopicImage {
    /// Another id is another topic: nothing of the old one is left.
    fn become_id(&mut self, id: Uuid) {
        if !self.id.is_nil() && !id.is_nil() {
            self.partitions.clear();
        }
        self.id = id;
    }
}

fn topic_of<'a>(
    changed: &'a mut IndexMap<Arc<str>, TopicImage>,
    image: &MetadataImage,
    name: &Arc<str>,
) -> &'a mut TopicImage {
    changed.entry(Arc::clone(name)).or_insert_with(|| {
        let empty = || TopicImage { name: Arc::clone(name), id: Uuid::nil(), partitions: Vec::new() };
        image.topic(name).map_or_else(empty, |topic| TopicImage::clone(topic))
    })
}

/// An image has no gaps: partitions that were not told of are there without a leader.
fn put(partitions: &mut Vec<PartitionImage>, partition: PartitionImage) {
    let Some(at) = usize::try_from(partition.partition).ok().filter(|at| *at < PARTITIONS_MAX) else { return };
    while partitions.len() <= at {
        let number = i32::try_from(partitions.len()).unwrap_or(i32::MAX);
        partitions.push(PartitionImage {
            partition: number,
            leader: -1,
            leader_epoch: NO_LEADER_EPOCH,
            partition_epoch: -1,
            isr: Vec::new(),
            replicas: Vec::new(),
            offline_replicas: Vec::new(),
        });
    }
    partitions[at] = partition;
}

/// The request does not carry epochs; one that is known from elsewhere stays.
fn with_known_epoch(broker: BrokerImage, image: &MetadataImage) -> BrokerImage {
    let epoch = image.brokers.get(&broker.id).map_or(broker.epoch, |known| known.epoch.max(broker.epoch));
    BrokerImage { epoch, ..broker }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(partition: i32, leader: BrokerId) -> PartitionImage {
        PartitionImage {
            partition,
            leader,
            leader_epoch: 3,
            partition_epoch: 4,
            isr: vec![1],
            replicas: vec![1, 2],
            offline_replicas: vec![],
        }
    }

    fn broker(id: BrokerId) -> BrokerImage {
        BrokerImage { id, epoch: -1, rack: None, endpoints: Vec::new() }
    }

    fn apply(image: &mut MetadataImage, update: MetadataUpdate) -> Vec<TopicPartition> {
        let (delta, deleted) = update.against(image);
        image.apply(&delta);
        deleted
    }

    /// The controller tells of what changed, in any order and one partition at a time; brokers it tells of whole.
    #[test]
    fn partitions_change_one_by_one_and_brokers_together() {
        let mut image = MetadataImage::default();
        let (topic, id): (Arc<str>, _) = ("t".into(), Uuid::from_u128(7));
        let told = |partitions| MetadataUpdate {
            controller: 2,
            brokers: vec![broker(1), broker(2)],
            topic_ids: vec![(Arc::clone(&topic), id)],
            partitions,
        };
        apply(&mut image, told(vec![(Arc::clone(&topic), partition(2, 1))]));
        assert_eq!(image.controller, Some(2));
        let leaders = |image: &MetadataImage| {
            image.topic_by_id(id).map(|topic| topic.partitions.iter().map(|it| it.leader).collect::<Vec<_>>())
        };
        assert_eq!(leaders(&image), Some(vec![-1, -1, 1]));
        apply(&mut image, told(vec![(Arc::clone(&topic), partition(0, 2)), (Arc::clone(&topic), partition(1, 1))]));
        assert_eq!(leaders(&image), Some(vec![2, 1, 1]));

        image.brokers[&1].epoch = 77;
        apply(&mut image, MetadataUpdate { controller: -1, brokers: vec![broker(1)], ..MetadataUpdate::default() });
        assert_eq!((image.controller, image.brokers.len(), image.brokers[&1].epoch), (None, 1, 77));
        assert_eq!(leaders(&image), Some(vec![2, 1, 1]), "topics that were not told of stay");
    }

    #[test]
    fn a_topic_goes_with_its_last_partition_and_returns_under_another_id() {
        let mut image = MetadataImage::default();
        let topic: Arc<str> = "t".into();
        let told = |id, partitions: Vec<PartitionImage>| MetadataUpdate {
            topic_ids: vec![(Arc::clone(&topic), Uuid::from_u128(id))],
            partitions: partitions.into_iter().map(|it| (Arc::clone(&topic), it)).collect(),
            ..MetadataUpdate::default()
        };
        apply(&mut image, told(1, vec![partition(0, 1), partition(1, 1)]));
        let deleted = apply(&mut image, told(1, vec![partition(1, LEADER_DURING_DELETE)]));
        assert_eq!(deleted, [TopicPartition::new("t", 1)]);
        assert_eq!(image.topic("t").unwrap().partitions.len(), 1);
        apply(&mut image, told(1, vec![partition(0, LEADER_DURING_DELETE)]));
        assert!(image.topic("t").is_none());
        apply(&mut image, told(2, vec![partition(0, 1)]));
        assert!(image.topic_by_id(Uuid::from_u128(1)).is_none());
        assert!(image.topic_by_id(Uuid::from_u128(2)).is_some());
        apply(&mut image, told(2, vec![partition(-1, 1), partition(i32::MAX, 1)]));
        assert_eq!(image.topic("t").unwrap().partitions.len(), 1, "nonsense is not an index");
    }
}
