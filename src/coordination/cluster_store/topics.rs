//! Topics: their assignments, their birth and their end.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;
use indexmap::IndexMap;

use super::{ClusterStore, MULTI_STEPS, create_step, guard_step};
use crate::coordination::{
    CoordinationError, CreateMode, MultiOp,
    znode::{config, paths, topic::TopicAssignment},
};

/// A topic's assignment and the version of the node it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionedTopic {
    pub topic: Arc<str>,
    pub assignment: TopicAssignment,
    pub version: i32,
}

impl ClusterStore {
    /// Names of all topics, ascending. `watch` waits for one to come or go.
    pub async fn topics(&self, watch: bool) -> Result<Vec<String>, CoordinationError> {
        let mut names = self.children(paths::TOPICS, watch).await?;
        names.sort_unstable();
        Ok(names)
    }

    pub async fn topic_exists(&self, topic: &str) -> Result<bool, CoordinationError> {
        Ok(self.store.exists(&paths::topic(topic), false).await?.is_some())
    }

    /// Assignments of many topics, read together, in order; those that are gone are left out. `watch` waits for the
    /// data of each to change. An unreadable one is left out too, with a warning: the others must go on.
    pub async fn topic_assignments<T: AsRef<str>>(
        &self,
        topics: &[T],
        watch: bool,
    ) -> Result<Vec<VersionedTopic>, CoordinationError> {
        let paths: Vec<String> = topics.iter().map(|topic| paths::topic(topic.as_ref())).collect();
        let mut found = Vec::with_capacity(topics.len());
        for (topic, node) in topics.iter().zip(self.get_all(&paths, watch).await?) {
            let Some((data, stat)) = node else { continue };
            match TopicAssignment::decode(&data) {
                Ok(assignment) => {
                    found.push(VersionedTopic { topic: topic.as_ref().into(), assignment, version: stat.version });
                }
                Err(fault) => tracing::error!(topic = topic.as_ref(), %fault, "ignoring a topic"),
            }
        }
        Ok(found)
    }

    /// Writes a topic's configuration and assignment; the controller hears of the latter. NODEEXISTS of the topic's
    /// path if it is there already. A configuration left over from an earlier topic is overwritten.
    pub async fn create_topic(
        &self,
        topic: &str,
        overrides: &IndexMap<String, String>,
        assignment: &TopicAssignment,
    ) -> Result<(), CoordinationError> {
        let config_path = paths::topic_config(topic);
        let steps = |config: MultiOp| vec![config, create_step(paths::topic(topic), assignment.encode())];
        let fresh = create_step(config_path.clone(), config::encode(overrides));
        match self.store.multi(steps(fresh)).await {
            Err(CoordinationError::NodeExists(path)) if path == config_path => {}
            other => return other.map(drop),
        }
        // Whoever loses the race for the topic may not change its configuration either.
        let data = config::encode(overrides);
        self.store.multi(steps(MultiOp::Set { path: config_path, data, version: None })).await.map(drop)
    }

    /// Replaces a topic's assignment: more partitions, or an id it did not have.
    pub async fn set_topic_assignment(
        &self,
        topic: &str,
        assignment: &TopicAssignment,
        version: Option<i32>,
    ) -> Result<(), CoordinationError> {
        self.store.set(&paths::topic(topic), assignment.encode(), version).await.map(drop)
    }

    /// As [`Self::set_topic_assignment`], many at once and by the controller only.
    pub async fn set_topic_assignments(&self, guard: i32, topics: &[VersionedTopic]) -> Result<(), CoordinationError> {
        let multis = topics.chunks(MULTI_STEPS).map(|chunk| {
            let sets = chunk.iter().map(|topic| MultiOp::Set {
                path: paths::topic(&topic.topic),
                data: topic.assignment.encode(),
                version: Some(topic.version),
            });
            self.store.multi(std::iter::once(guard_step(guard)).chain(sets).collect())
        });
        join_all(multis).await.into_iter().try_for_each(|done| done.map(drop))
    }

    /// As [`Self::set_topic_assignments`], each on its own: one that was changed meanwhile does not hold up the others.
    pub async fn try_set_topic_assignments(
        &self,
        guard: i32,
        topics: &[VersionedTopic],
    ) -> Vec<Result<(), CoordinationError>> {
        let sets = topics.iter().map(|topic| self.set_topic_assignments(guard, std::slice::from_ref(topic)));
        join_all(sets).await
    }

    /// Asks the controller to delete a topic. NODEEXISTS if it was asked already.
    pub async fn mark_topic_for_deletion(&self, topic: &str) -> Result<(), CoordinationError> {
        self.store.create(&paths::delete_topic(topic), Bytes::new(), CreateMode::Persistent).await.map(drop)
    }

    pub async fn is_marked_for_deletion(&self, topic: &str) -> Result<bool, CoordinationError> {
        Ok(self.store.exists(&paths::delete_topic(topic), false).await?.is_some())
    }

    /// Topics to be deleted. `watch` waits for more.
    pub async fn topics_marked_for_deletion(&self, watch: bool) -> Result<Vec<String>, CoordinationError> {
        self.children(paths::DELETE_TOPICS, watch).await
    }

    /// Takes back a wish to delete what is not there.
    pub async fn delete_markers(&self, guard: i32, topics: &[String]) -> Result<(), CoordinationError> {
        let paths: Vec<String> = topics.iter().map(|topic| paths::delete_topic(topic)).collect();
        self.delete_all(Some(guard), &paths).await
    }

    /// Removes a topic's nodes, its configuration and, last of all, the wish to delete it: a deletion that is cut
    /// short is taken up again.
    pub async fn delete_topic(&self, guard: i32, topic: &str) -> Result<(), CoordinationError> {
        let partitions = paths::partitions(topic);
        let mut paths = Vec::new();
        for name in self.children(&partitions, false).await? {
            paths.push(format!("{partitions}/{name}/state"));
            paths.push(format!("{partitions}/{name}"));
        }
        paths.push(partitions);
        paths.push(paths::topic(topic));
        paths.push(paths::topic_config(topic));
        paths.push(paths::delete_topic(topic));
        self.delete_all(Some(guard), &paths).await
    }
}
