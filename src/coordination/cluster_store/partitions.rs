//! Leader and in-sync replicas of partitions, read and written in bulk.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;

use super::{ClusterStore, MULTI_STEPS, create_step, guard_step, is_controller_moved};
use crate::{
    common::{BrokerId, LeaderEpoch, TopicPartition},
    coordination::{
        CoordinationError, CreateMode, MultiOp, MultiResult,
        znode::{partition_state::PartitionState, paths},
    },
};

/// A state and the version of its node: the partition epoch (KIP-841).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionedState {
    pub state: PartitionState,
    pub version: i32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPartitionState {
    pub topic_partition: TopicPartition,
    pub state: PartitionState,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionStateUpdate {
    pub topic_partition: TopicPartition,
    pub state: PartitionState,
    pub expected_version: i32,
}

impl ClusterStore {
    /// States of many partitions, read together, in order; `None` for a partition that has none yet. An unreadable
    /// one counts as none, with an error in the log, as in Kafka.
    pub async fn partition_states(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<Vec<Option<VersionedState>>, CoordinationError> {
        let paths: Vec<String> = partitions.iter().map(state_path).collect();
        let found = self.get_all(&paths, false).await?;
        Ok(found.into_iter().zip(&paths).map(|(node, path)| decode(path, node)).collect())
    }

    /// Creates the nodes of new partitions, and those above them. The answers are the states now there, in order: an
    /// earlier controller may have been cut short, and what it wrote counts.
    pub async fn create_partition_states(
        &self,
        guard: i32,
        new: &[NewPartitionState],
    ) -> Result<Vec<VersionedState>, CoordinationError> {
        // Three nodes per partition at most.
        let chunks: Vec<&[NewPartitionState]> = new.chunks(MULTI_STEPS / 3).collect();
        let mut last_topic: Option<Arc<str>> = None;
        let multis: Vec<_> =
            chunks.iter().map(|chunk| self.store.multi(create_steps(guard, chunk, &mut last_topic))).collect();
        let mut states = Vec::with_capacity(new.len());
        for (chunk, done) in chunks.iter().zip(join_all(multis).await) {
            match done {
                Ok(_) => states.extend(
                    chunk.iter().map(|partition| VersionedState { state: partition.state.clone(), version: 0 }),
                ),
                Err(CoordinationError::NodeExists(_) | CoordinationError::NoNode(_)) => {
                    states.extend(self.create_one_by_one(guard, chunk).await?);
                }
                Err(fault) => return Err(fault),
            }
        }
        Ok(states)
    }

    /// Compare-and-set of many states; answers are the new versions, in order.
    pub async fn update_partition_states(
        &self,
        guard: i32,
        updates: &[PartitionStateUpdate],
    ) -> Result<Vec<Result<i32, CoordinationError>>, CoordinationError> {
        let chunks: Vec<&[PartitionStateUpdate]> = updates.chunks(MULTI_STEPS).collect();
        let multis: Vec<_> = chunks.iter().map(|chunk| self.store.multi(update_steps(guard, chunk))).collect();
        let mut answers = Vec::with_capacity(updates.len());
        for (chunk, done) in chunks.iter().zip(join_all(multis).await) {
            match done {
                Ok(results) => answers.extend(results.iter().filter_map(new_version).map(Ok)),
                Err(fault) if is_controller_moved(&fault) => return Err(fault),
                Err(CoordinationError::BadVersion(_) | CoordinationError::NoNode(_)) => {
                    // Some are stale: the others must not suffer.
                    let singles =
                        chunk.iter().map(|one| self.store.multi(update_steps(guard, std::slice::from_ref(one))));
                    for done in join_all(singles).await {
                        match done {
                            Ok(results) => answers.extend(results.iter().filter_map(new_version).map(Ok)),
                            Err(fault) if is_controller_moved(&fault) => return Err(fault),
                            Err(fault) => answers.push(Err(fault)),
                        }
                    }
                }
                Err(fault) => return Err(fault),
            }
        }
        Ok(answers)
    }

    /// Another ISR, written by the leader (`ReplicationUtils.updateLeaderAndIsr`). `at` is the leader's epoch and the
    /// version that it knows of; the answer is the new version, or none if the state is another by now.
    pub async fn update_isr(
        &self,
        tp: &TopicPartition,
        leader: BrokerId,
        at: (LeaderEpoch, i32),
        isr: &[BrokerId],
    ) -> Result<Option<i32>, CoordinationError> {
        let path = state_path(tp);
        let (data, stat) = self.store.get(&path, false).await?;
        let state = PartitionState::decode(&data)?;
        if (state.leader, state.leader_epoch) != (leader, at.0) {
            return Ok(None);
        }
        if stat.version != at.1 {
            // It may be what a call whose answer was lost has written.
            return Ok((state.isr == isr).then_some(stat.version));
        }
        let mut state = state;
        state.isr = isr.to_vec();
        match self.store.set(&path, state.encode(), Some(stat.version)).await {
            Ok(stat) => Ok(Some(stat.version)),
            Err(CoordinationError::BadVersion(_)) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    async fn create_one_by_one(
        &self,
        guard: i32,
        partitions: &[NewPartitionState],
    ) -> Result<Vec<VersionedState>, CoordinationError> {
        let mut states = Vec::with_capacity(partitions.len());
        for new in partitions {
            let TopicPartition { topic, partition } = &new.topic_partition;
            let path = paths::partition_state(topic, *partition);
            let nodes = [
                (paths::partitions(topic), Bytes::new()),
                (paths::partition(topic, *partition), Bytes::new()),
                (path.clone(), new.state.encode()),
            ];
            for (path, data) in nodes {
                let create = MultiOp::Create { path, data, mode: CreateMode::Persistent };
                match self.store.multi(vec![guard_step(guard), create]).await {
                    Ok(_) | Err(CoordinationError::NodeExists(_)) => {}
                    Err(fault) => return Err(fault),
                }
            }
            let (data, stat) = self.store.get(&path, false).await?;
            states.push(VersionedState { state: PartitionState::decode(&data)?, version: stat.version });
        }
        Ok(states)
    }
}

fn create_steps(guard: i32, chunk: &[NewPartitionState], last_topic: &mut Option<Arc<str>>) -> Vec<MultiOp> {
    let mut steps = vec![guard_step(guard)];
    for NewPartitionState { topic_partition: TopicPartition { topic, partition }, state } in chunk {
        // A topic that only grows has this node, and a multi that fails on it is taken apart.
        if *partition == 0 && last_topic.as_ref() != Some(topic) {
            steps.push(create_step(paths::partitions(topic), Bytes::new()));
        }
        *last_topic = Some(Arc::clone(topic));
        steps.push(create_step(paths::partition(topic, *partition), Bytes::new()));
        steps.push(create_step(paths::partition_state(topic, *partition), state.encode()));
    }
    steps
}

fn update_steps(guard: i32, chunk: &[PartitionStateUpdate]) -> Vec<MultiOp> {
    let sets = chunk.iter().map(|update| MultiOp::Set {
        path: state_path(&update.topic_partition),
        data: update.state.encode(),
        version: Some(update.expected_version),
    });
    std::iter::once(guard_step(guard)).chain(sets).collect()
}

fn new_version(result: &MultiResult) -> Option<i32> {
    match result {
        MultiResult::Set { stat } => Some(stat.version),
        _ => None,
    }
}

fn state_path(tp: &TopicPartition) -> String {
    paths::partition_state(&tp.topic, tp.partition)
}

fn decode(path: &str, node: Option<(Bytes, crate::coordination::Stat)>) -> Option<VersionedState> {
    let (data, stat) = node?;
    match PartitionState::decode(&data) {
        Ok(state) => Some(VersionedState { state, version: stat.version }),
        Err(fault) => {
            tracing::error!(%path, %fault, "ignoring a partition's state");
            None
        }
    }
}
