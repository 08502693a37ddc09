//! Birth and death of topics (`ZkAdminManager.createTopics`, `.deleteTopics`, `AdminZkClient.validateTopicCreate`).

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures::{StreamExt, future::join_all};
use indexmap::IndexMap;
use tokio::time::Instant;
use uuid::Uuid;

use super::{Admin, AdminError, TopicConfigEntry, has_leaders};
use crate::{
    common::{BrokerId, ErrorCode, chance, topic_id, topic_name},
    coordination::{
        CoordinationError,
        znode::topic::{ReplicaAssignment, TopicAssignment},
    },
    metadata::{
        MetadataImage,
        placement::{self, PlacementBroker, Start},
    },
};

/// How long a deletion is waited for once the image has lost the topic: enough for the logs of live brokers.
const FORGOTTEN_WAIT_MAX: Duration = Duration::from_secs(2);
/// "The broker's default" for a count.
const DEFAULT: i32 = -1;

/// A topic as asked for.
#[derive(Debug, Clone, Default)]
pub struct NewTopic {
    pub name: String,
    /// −1: `num.partitions`, or as many as are assigned.
    pub num_partitions: i32,
    /// −1: `default.replication.factor`, or as assigned.
    pub replication_factor: i16,
    /// Partition and its replicas; empty for automatic placement.
    pub assignments: Vec<(i32, Vec<BrokerId>)>,
    pub configs: Vec<(String, Option<String>)>,
}

/// A topic as created, or as it would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedTopic {
    /// Nil if it was only validated, or if topics have none yet.
    pub topic_id: Uuid,
    pub num_partitions: i32,
    pub replication_factor: i16,
    pub configs: Vec<TopicConfigEntry>,
}

/// Checked and placed.
struct Prepared {
    name: String,
    overrides: IndexMap<String, String>,
    assignment: TopicAssignment,
    created: CreatedTopic,
}

impl Admin {
    /// Creates topics and waits until all their partitions have leaders in the image, or `timeout_ms` passes
    /// (REQUEST_TIMED_OUT, though the topic comes to be). Answers are in order. Names must not repeat.
    pub async fn create_topics(
        &self,
        topics: Vec<NewTopic>,
        timeout_ms: i32,
        validate_only: bool,
    ) -> Vec<Result<CreatedTopic, AdminError>> {
        let mut prepared = Vec::with_capacity(topics.len());
        // Topics of one request may collide with each other too.
        let mut names = Vec::new();
        for topic in topics {
            let one = self.prepare(topic, &names).await;
            names.extend(one.iter().map(|one| one.name.clone()));
            prepared.push(one);
        }
        if validate_only {
            let as_validated = |one: Prepared| CreatedTopic { topic_id: Uuid::nil(), ..one.created };
            return prepared.into_iter().map(|one| one.map(as_validated)).collect();
        }
        let results = join_all(prepared.into_iter().map(|one| self.write(one))).await;
        self.await_leaders(results, timeout_ms).await
    }

    /// Deletes topics and waits until they are gone, or `timeout_ms` passes. Answers are in order.
    pub async fn delete_topics(&self, topics: &[String], timeout_ms: i32) -> Vec<ErrorCode> {
        let began = Instant::now();
        let before = self.metadata.image();
        let codes = join_all(topics.iter().map(|topic| self.mark_for_deletion(topic))).await;
        let waiting: Vec<&String> =
            topics.iter().zip(&codes).filter(|(_, code)| code.is_none()).map(|(topic, _)| topic).collect();
        if waiting.is_empty() {
            return codes;
        }
        self.image_shows(timeout_ms, |image| waiting.iter().all(|topic| image.topic(topic).is_none())).await;
        let image = self.metadata.image();
        let timed_out = |topic: &String| timeout_ms <= 0 || image.topic(topic).is_some();
        let answers: Vec<ErrorCode> = topics
            .iter()
            .zip(codes)
            .map(|(topic, code)| if code.is_none() && timed_out(topic) { ErrorCode::RequestTimedOut } else { code })
            .collect();
        let left = Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0)).saturating_sub(began.elapsed());
        let deletable: Vec<&String> = waiting.into_iter().filter(|topic| is_within_reach(&before, topic)).collect();
        let _ = tokio::time::timeout(left.min(FORGOTTEN_WAIT_MAX), self.await_forgotten(&deletable)).await;
        answers
    }

    async fn await_leaders(
        &self,
        mut results: Vec<Result<(String, CreatedTopic), AdminError>>,
        timeout_ms: i32,
    ) -> Vec<Result<CreatedTopic, AdminError>> {
        let count = |created: &CreatedTopic| usize::try_from(created.num_partitions).unwrap_or(0);
        let waiting: Vec<(String, usize)> =
            results.iter().flatten().map(|(name, created)| (name.clone(), count(created))).collect();
        if !waiting.is_empty() && timeout_ms > 0 {
            self.image_shows(timeout_ms, |image| waiting.iter().all(|(name, n)| has_leaders(image, name, *n))).await;
        }
        let image = self.metadata.image();
        for result in &mut results {
            if let Ok((name, created)) = result
                && (timeout_ms <= 0 || !has_leaders(&image, name, count(created)))
            {
                *result = Err(AdminError::timed_out());
            }
        }
        results.into_iter().map(|result| result.map(|(_, created)| created)).collect()
    }

    /// Kafka answers when the image has lost the topic. The name is free a little later, when the logs are gone: a
    /// client that creates it again at once would be refused. So wait that little too, but never fail for it, nor wait for
    /// a broker that is away.
    async fn await_forgotten(&self, topics: &[&String]) {
        let mut changes = self.metadata.subscribe();
        loop {
            let marked = join_all(topics.iter().map(|topic| self.cluster.is_marked_for_deletion(topic))).await;
            if !marked.iter().any(|marked| matches!(marked, Ok(true))) || changes.next().await.is_none() {
                return;
            }
        }
    }

    /// Checks in Kafka's order, so that a request with several faults gets the same answer.
    async fn prepare(&self, topic: NewTopic, siblings: &[String]) -> Result<Prepared, AdminError> {
        let name = topic.name;
        if self.metadata.load().topic(&name).is_some() {
            return Err(already_exists(&name));
        }
        let nulls: Vec<&str> = topic.configs.iter().filter(|(_, v)| v.is_none()).map(|(k, _)| k.as_str()).collect();
        if !nulls.is_empty() {
            let why = format!("Null value not supported for topic configs: {}", nulls.join(","));
            return Err(AdminError::new(ErrorCode::InvalidConfig, why));
        }
        let counted = topic.num_partitions != DEFAULT || i32::from(topic.replication_factor) != DEFAULT;
        if counted && !topic.assignments.is_empty() {
            let why = "Both numPartitions or replicationFactor and replicasAssignments were set. \
                       Both cannot be used at the same time.";
            return Err(AdminError::new(ErrorCode::InvalidRequest, why));
        }
        let partitions: BTreeMap<i32, Vec<BrokerId>> = if topic.assignments.is_empty() {
            self.place(topic.num_partitions, topic.replication_factor)?
        } else {
            topic.assignments.into_iter().collect()
        };
        self.check_name(&name, siblings).await?;
        check_assignment(&partitions)?;
        let overrides: IndexMap<String, String> =
            topic.configs.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
        self.topic_configs.validate(&overrides).map_err(|why| AdminError::new(ErrorCode::InvalidConfig, why))?;

        let created = CreatedTopic {
            topic_id: if self.config.load().topic_ids { topic_id::random() } else { Uuid::nil() },
            num_partitions: i32::try_from(partitions.len()).unwrap_or(i32::MAX),
            replication_factor: i16::try_from(partitions.get(&0).map_or(0, Vec::len)).unwrap_or(i16::MAX),
            configs: self.topic_configs.describe(&overrides),
        };
        let partitions = partitions.into_iter().map(|(number, list)| (number, ReplicaAssignment::of(list))).collect();
        let assignment =
            TopicAssignment { topic_id: (!created.topic_id.is_nil()).then_some(created.topic_id), partitions };
        Ok(Prepared { name, overrides, assignment, created })
    }

    fn place(&self, num_partitions: i32, factor: i16) -> Result<BTreeMap<i32, Vec<BrokerId>>, AdminError> {
        let config = self.config.load();
        let count = if num_partitions == DEFAULT { config.num_partitions } else { num_partitions };
        let factor = if i32::from(factor) == DEFAULT { config.default_replication_factor } else { factor };
        if count > MAX_PARTITIONS {
            let why = format!("Number of partitions must not be larger than {MAX_PARTITIONS}.");
            return Err(AdminError::new(ErrorCode::InvalidPartitions, why));
        }
        let brokers = self.placement_brokers();
        let start = Start { index: chance::position(brokers.len()), shift: chance::position(brokers.len()) };
        let placed = placement::assign(&brokers, count, i32::from(factor), start, 0)
            .map_err(|(code, why)| AdminError::new(code, why))?;
        Ok((0..).zip(placed).collect())
    }

    /// Live brokers by ascending id.
    pub(super) fn placement_brokers(&self) -> Vec<PlacementBroker> {
        let image = self.metadata.load();
        let mut brokers: Vec<PlacementBroker> =
            image.brokers.values().map(|broker| PlacementBroker { id: broker.id, rack: broker.rack.clone() }).collect();
        brokers.sort_unstable_by_key(|broker| broker.id);
        brokers
    }

    async fn check_name(&self, name: &str, siblings: &[String]) -> Result<(), AdminError> {
        topic_name::validate(name).map_err(|why| AdminError::new(ErrorCode::InvalidTopicException, why))?;
        if self.cluster.is_marked_for_deletion(name).await? {
            let why = format!("Topic '{name}' is marked for deletion.");
            return Err(AdminError::new(ErrorCode::TopicAlreadyExists, why));
        }
        if self.cluster.topic_exists(name).await? {
            return Err(already_exists(name));
        }
        if !name.contains(['.', '_']) {
            return Ok(());
        }
        let known = self.cluster.topics(false).await?;
        let colliding: Vec<&str> = known
            .iter()
            .chain(siblings)
            .map(String::as_str)
            .filter(|other| topic_name::collides(name, other))
            .collect();
        if colliding.is_empty() {
            return Ok(());
        }
        let why = format!("Topic '{name}' collides with existing topics: {}", colliding.join(", "));
        Err(AdminError::new(ErrorCode::InvalidTopicException, why))
    }

    async fn write(&self, prepared: Result<Prepared, AdminError>) -> Result<(String, CreatedTopic), AdminError> {
        let Prepared { name, overrides, assignment, created } = prepared?;
        match self.cluster.create_topic(&name, &overrides, &assignment).await {
            Ok(()) => Ok((name, created)),
            // Someone was faster.
            Err(CoordinationError::NodeExists(_)) => Err(already_exists(&name)),
            Err(fault) => Err(fault.into()),
        }
    }

    async fn mark_for_deletion(&self, topic: &str) -> ErrorCode {
        match self.cluster.topic_exists(topic).await {
            Ok(true) => {}
            Ok(false) => return ErrorCode::UnknownTopicOrPartition,
            Err(fault) => return AdminError::from(fault).code,
        }
        match self.cluster.mark_topic_for_deletion(topic).await {
            // Several may wait for the same end.
            Ok(()) | Err(CoordinationError::NodeExists(_)) => ErrorCode::None,
            Err(fault) => AdminError::from(fault).code,
        }
    }
}

/// No topic needs more, and a topic's assignment is one node of 1 MB at most.
pub(super) const MAX_PARTITIONS: i32 = 100_000;

fn already_exists(name: &str) -> AdminError {
    AdminError::new(ErrorCode::TopicAlreadyExists, format!("Topic '{name}' already exists."))
}

/// Whether every replica of the topic is on a broker that lives.
fn is_within_reach(image: &MetadataImage, topic: &str) -> bool {
    let replicas = image.topic(topic).into_iter().flat_map(|topic| &topic.partitions).flat_map(|it| &it.replicas);
    replicas.into_iter().all(|broker| image.brokers.contains_key(broker))
}

fn check_assignment(partitions: &BTreeMap<i32, Vec<BrokerId>>) -> Result<(), AdminError> {
    let bad = |why: String| Err(AdminError::new(ErrorCode::InvalidReplicaAssignment, why));
    let sizes: BTreeSet<usize> = partitions.values().map(Vec::len).collect();
    if sizes.len() != 1 {
        return bad("All partitions should have the same number of replicas".into());
    }
    let repeats = |list: &&Vec<BrokerId>| list.iter().collect::<BTreeSet<_>>().len() != list.len();
    if partitions.values().any(|list| repeats(&list)) {
        return bad(format!("Duplicate replica assignment found: {partitions:?}"));
    }
    if !(0..).zip(partitions.keys()).all(|(expected, number)| expected == *number) {
        return bad("partitions should be a consecutive 0-based integer sequence".into());
    }
    // Apache Kafka lets this through and makes a topic that nobody can ever use or delete.
    if sizes.contains(&0) {
        return bad("Cannot have replication factor of 0".into());
    }
    Ok(())
}
