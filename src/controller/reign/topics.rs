//! Topics: born, growing, and deleted.

use std::sync::Arc;

use super::Reign;
use crate::{
    common::TopicPartition,
    controller::{
        event_loop::Ended,
        loader::{read_topics, shared},
    },
    metadata::MetadataDelta,
};

impl Reign<'_> {
    /// Topics were created, or vanished behind our back.
    pub(super) async fn on_topics(&mut self) -> Result<(), Ended> {
        let names = self.cluster.topics(true).await?;
        let gone: Vec<Arc<str>> = {
            let named = |topic: &Arc<str>| names.binary_search_by(|name| name.as_str().cmp(topic)).is_ok();
            self.context.topics.keys().filter(|topic| !named(topic)).cloned().collect()
        };
        for topic in &gone {
            self.context.deleting.entry(Arc::clone(topic)).or_default();
            self.show_topic(topic);
        }
        self.flush().await?;
        gone.iter().for_each(|topic| self.context.remove_topic(topic));
        let new = names.into_iter().filter(|name| !self.context.topics.contains_key(name.as_str())).collect();
        self.load_topics(new).await
    }

    fn show_topic(&mut self, topic: &Arc<str>) {
        self.context.partitions_of(topic).iter().for_each(|tp| self.batch.show(tp));
    }

    /// Reads assignments and brings to life what is new in them.
    pub(super) async fn load_topics(&mut self, names: Vec<String>) -> Result<(), Ended> {
        if names.is_empty() {
            return Ok(());
        }
        let names = shared(names);
        let mut changed = Vec::new();
        for topic in
            self.guarded(read_topics(self.cluster, self.elected.guard, &names, self.gives_topic_ids()).await)?
        {
            if self.context.put_topic(&topic) {
                changed.push(topic.topic);
            }
        }
        // A topic that was there before this reign noticed it may have states already.
        let stateless: Vec<TopicPartition> = changed
            .iter()
            .flat_map(|topic| self.context.partitions_of(topic))
            .filter(|tp| !self.has_state(tp))
            .collect();
        self.create_partitions(&changed).await?;
        stateless.iter().for_each(|tp| self.batch.show(tp));
        changed.iter().for_each(|topic| self.show_topic(topic));
        self.flush().await
    }

    pub(super) async fn on_deletions(&mut self, marked: Vec<String>) -> Result<(), Ended> {
        if marked.is_empty() {
            return Ok(());
        }
        let unknown: Vec<String> =
            marked.iter().filter(|topic| !self.context.topics.contains_key(topic.as_str())).cloned().collect();
        if !unknown.is_empty() {
            // Created and deleted in one breath: the news of its birth is still on its way.
            self.load_topics(unknown.clone()).await?;
            let never: Vec<String> =
                unknown.into_iter().filter(|topic| !self.context.topics.contains_key(topic.as_str())).collect();
            self.guarded(self.cluster.delete_markers(self.elected.guard, &never).await)?;
        }
        self.forget_deletions_if_disabled(&marked).await?;
        if !self.keys().general.delete_topic_enable {
            return Ok(());
        }
        for topic in marked {
            self.begin_deletion(&topic);
        }
        self.resume_deletions().await
    }

    /// `delete.topic.enable=false`: wishes are taken away.
    pub(super) async fn forget_deletions_if_disabled(&self, marked: &[String]) -> Result<(), Ended> {
        if self.keys().general.delete_topic_enable || marked.is_empty() {
            return Ok(());
        }
        tracing::info!(?marked, "topics are not deleted: delete.topic.enable is false");
        self.guarded(self.cluster.delete_markers(self.elected.guard, marked).await)
    }

    fn begin_deletion(&mut self, topic: &str) {
        self.context.begin_deletion(topic);
        let found = self.context.topics.get_key_value(topic).map(|(name, _)| Arc::clone(name));
        if let Some(name) = found.filter(|name| self.context.is_deleting(name)) {
            self.show_topic(&name);
        }
    }

    /// Tells brokers to delete what they were not told to delete yet; the answers come later.
    pub(super) async fn resume_deletions(&mut self) -> Result<(), Ended> {
        for topic in self.context.deletions_ready() {
            self.begin_deletion(&topic);
        }
        let dying: Vec<Arc<str>> = self.context.deleting.keys().cloned().collect();
        for topic in &dying {
            for (broker, tp) in self.context.replicas_to_delete(topic) {
                self.batch.stop(broker, &tp, true);
            }
        }
        self.flush().await?;
        self.finish_deletions().await
    }

    /// Forgets topics of which nothing is left.
    pub(super) async fn finish_deletions(&mut self) -> Result<(), Ended> {
        let dying: Vec<Arc<str>> = self.context.deleting.keys().cloned().collect();
        let mut is_done = false;
        for topic in dying {
            if self.context.is_deleted(&topic) {
                self.guarded(self.cluster.delete_topic(self.elected.guard, &topic).await)?;
                self.context.remove_topic(&topic);
                tracing::info!(%topic, "topic is deleted");
                is_done = true;
            } else if !self.context.waits_for_deletion_answers(&topic) {
                tracing::warn!(%topic, "topic cannot be deleted yet: a replica is out of reach");
            }
        }
        if is_done {
            // Whoever waits to create one of the same name may do so now.
            self.publish(MetadataDelta::default()).await?;
        }
        Ok(())
    }
}
