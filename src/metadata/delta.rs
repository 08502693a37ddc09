//! A change of the image as a value (what UpdateMetadata carries).

use std::sync::Arc;

use indexmap::IndexMap;

use super::{BrokerImage, MetadataImage, TopicImage};
use crate::common::BrokerId;

/// What is `None` or empty stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MetadataDelta {
    pub controller: Option<Option<BrokerId>>,
    /// All live brokers.
    pub brokers: Option<Vec<BrokerImage>>,
    /// New or changed, each whole.
    pub topics: Vec<Arc<TopicImage>>,
    pub deleted_topics: Vec<Arc<str>>,
}

impl MetadataDelta {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl MetadataImage {
    /// Topics are shared, not copied: a change of one costs a pointer per topic, not a copy of their partitions.
    pub fn apply(&mut self, delta: &MetadataDelta) {
        if let Some(controller) = delta.controller {
            self.controller = controller;
        }
        if let Some(brokers) = &delta.brokers {
            self.brokers = brokers.iter().map(|broker| (broker.id, broker.clone())).collect::<IndexMap<_, _>>();
        }
        for topic in &delta.deleted_topics {
            self.remove_topic(topic);
        }
        for topic in &delta.topics {
            self.put_topic(topic);
        }
    }

    fn put_topic(&mut self, topic: &Arc<TopicImage>) {
        if let Some(old) = self.topics.insert(Arc::clone(&topic.name), Arc::clone(topic))
            && old.id != topic.id
        {
            self.topics_by_id.swap_remove(&old.id);
        }
        if !topic.id.is_nil() {
            self.topics_by_id.insert(topic.id, Arc::clone(&topic.name));
        }
    }

    fn remove_topic(&mut self, topic: &str) {
        if let Some(old) = self.topics.swap_remove(topic) {
            self.topics_by_id.swap_remove(&old.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn topic(name: &str, id: u64) -> Arc<TopicImage> {
        Arc::new(TopicImage { name: name.into(), id: Uuid::from_u64_pair(0, id), partitions: Vec::new() })
    }

    /// A topic deleted and created again under its name has another id; the old one leads nowhere.
    #[test]
    fn ids_follow_their_topics() {
        let mut image = MetadataImage::default();
        image.apply(&MetadataDelta { topics: vec![topic("a", 1), topic("b", 2)], ..MetadataDelta::default() });
        image.apply(&MetadataDelta {
            topics: vec![topic("a", 3)],
            deleted_topics: vec!["b".into()],
            ..MetadataDelta::default()
        });
        assert_eq!(image.topic_by_id(Uuid::from_u64_pair(0, 3)).unwrap().name.as_ref(), "a");
        for gone in [1, 2] {
            assert!(image.topic_by_id(Uuid::from_u64_pair(0, gone)).is_none());
        }
        assert!(image.topic("b").is_none());
    }
}
