//! Writing states: decide, write, and decide again what somebody else changed meanwhile.

use std::sync::Arc;

use indexmap::IndexSet;

use super::Reign;
use crate::{
    common::TopicPartition,
    controller::{
        event_loop::Ended,
        state::{ControllerContext, partition_states::new_partitions},
    },
    coordination::{
        cluster_store::{PartitionStateUpdate, VersionedState},
        znode::partition_state::PartitionState,
    },
};

/// A leader that wrote in between did so once; more is a fault, and the next piece of news tries again.
const ROUNDS_MAX: usize = 5;
const UNCLEAN_KEY: &str = "unclean.leader.election.enable";

impl Reign<'_> {
    pub(super) fn has_state(&self, tp: &TopicPartition) -> bool {
        self.context.partition(tp).is_some_and(|partition| partition.state.is_some())
    }

    /// Writes what `decide` wants of each of `partitions`, all together; the answer is those that were changed.
    pub(super) async fn change(
        &mut self,
        partitions: Vec<TopicPartition>,
        decide: impl Fn(&ControllerContext, &TopicPartition) -> Option<PartitionState>,
    ) -> Result<Vec<TopicPartition>, Ended> {
        let mut changed = Vec::new();
        let mut open = partitions;
        for _ in 0..ROUNDS_MAX {
            let updates: Vec<PartitionStateUpdate> =
                open.iter().filter_map(|tp| self.update(tp, decide(&self.context, tp)?)).collect();
            if updates.is_empty() {
                break;
            }
            let answers = self.guarded(self.cluster.update_partition_states(self.elected.guard, &updates).await)?;
            open = Vec::new();
            for (update, answer) in updates.into_iter().zip(answers) {
                match answer {
                    Ok(version) => {
                        self.context
                            .put_state(&update.topic_partition, VersionedState { state: update.state, version });
                        changed.push(update.topic_partition);
                    }
                    Err(fault) => {
                        tracing::info!(partition = %update.topic_partition, %fault, "state was changed by someone else");
                        open.push(update.topic_partition);
                    }
                }
            }
            self.read_states(&open).await?;
        }
        Ok(changed)
    }

    fn update(&self, tp: &TopicPartition, state: PartitionState) -> Option<PartitionStateUpdate> {
        let expected_version = self.context.partition(tp)?.state.as_ref()?.version;
        Some(PartitionStateUpdate { topic_partition: tp.clone(), state, expected_version })
    }

    /// Takes over what others wrote. A later controller's state is a sign that there is one.
    pub(super) async fn read_states(&mut self, partitions: &[TopicPartition]) -> Result<(), Ended> {
        if partitions.is_empty() {
            return Ok(());
        }
        for (tp, state) in partitions.iter().zip(self.cluster.partition_states(partitions).await?) {
            let Some(state) = state else { continue };
            if state.state.controller_epoch > self.elected.epoch {
                return Err(Ended::Moved);
            }
            self.context.put_state(tp, state);
        }
        Ok(())
    }

    /// Leaders for those of `partitions` that have lost theirs, and shorter ISRs for those that lost followers. With
    /// `unclean` as the admin wants, else as each topic's configuration says.
    pub(super) async fn elect(
        &mut self,
        partitions: Vec<TopicPartition>,
        unclean: bool,
    ) -> Result<Vec<TopicPartition>, Ended> {
        let allowed = if unclean { IndexSet::new() } else { self.allow_unclean(&partitions).await? };
        let is_unclean = |context: &ControllerContext, tp: &TopicPartition| {
            (unclean || allowed.contains(&tp.topic)) && context.waits_for_isr(tp)
        };
        let at_risk: IndexSet<TopicPartition> =
            partitions.iter().filter(|tp| is_unclean(&self.context, tp)).cloned().collect();
        let changed = self
            .change(partitions, |context, tp| context.elect_offline(tp, unclean || is_unclean(context, tp)))
            .await?;
        let elected = changed.iter().filter(|tp| at_risk.contains(*tp)).count();
        self.commands.metrics.unclean_leader_elections.mark(elected as u64);
        Ok(changed)
    }

    async fn allow_unclean(&self, partitions: &[TopicPartition]) -> Result<IndexSet<Arc<str>>, Ended> {
        let waiting = partitions.iter().filter(|tp| self.context.waits_for_isr(tp));
        let topics: Vec<Arc<str>> =
            waiting.map(|tp| Arc::clone(&tp.topic)).collect::<IndexSet<_>>().into_iter().collect();
        if topics.is_empty() {
            return Ok(IndexSet::new());
        }
        let default = self.keys().replication.unclean_leader_election_enable;
        let configs = self.cluster.topic_configs(&topics).await?;
        let is_allowed = |config: &indexmap::IndexMap<String, String>| {
            config.get(UNCLEAN_KEY).map_or(default, |value| value.trim().eq_ignore_ascii_case("true"))
        };
        Ok(topics.into_iter().zip(configs).filter(|(_, config)| is_allowed(config)).map(|(topic, _)| topic).collect())
    }

    /// First leaders for the partitions of `topics` that have none yet.
    pub(super) async fn create_partitions(&mut self, topics: &[Arc<str>]) -> Result<(), Ended> {
        let new = new_partitions(&self.context, topics);
        if new.is_empty() {
            return Ok(());
        }
        let states = self.guarded(self.cluster.create_partition_states(self.elected.guard, &new).await)?;
        let created: Vec<TopicPartition> = new.into_iter().map(|new| new.topic_partition).collect();
        for (tp, state) in created.iter().zip(states) {
            self.context.put_state(tp, state);
            self.batch.lead(&self.context, tp, true);
        }
        Ok(())
    }

    /// Everybody concerned learns of another state.
    pub(super) fn tell(&mut self, changed: &[TopicPartition]) {
        for tp in changed {
            self.batch.lead(&self.context, tp, false);
        }
    }

    /// `leader.imbalance.check.interval.seconds` have passed.
    pub(in crate::controller) async fn balance(&mut self) -> Result<(), Ended> {
        let keys = self.keys();
        if !keys.replication.auto_leader_rebalance_enable {
            return Ok(());
        }
        let imbalanced = self.context.imbalanced(keys.replication.leader_imbalance_per_broker_percentage);
        let changed = self.change(imbalanced, ControllerContext::elect_preferred).await?;
        if !changed.is_empty() {
            tracing::info!(partitions = changed.len(), "leaders are where they are preferred again");
        }
        self.tell(&changed);
        self.flush().await
    }

    /// An older tool wants preferred leaders.
    pub(super) async fn on_preferred_wish(&mut self) -> Result<(), Ended> {
        let Some(partitions) = self.cluster.preferred_election_wish().await? else { return Ok(()) };
        let changed = self.change(partitions, ControllerContext::elect_preferred).await?;
        self.tell(&changed);
        self.guarded(self.cluster.delete_preferred_election_wish(self.elected.guard).await)?;
        self.flush().await
    }

    /// Leaders wrote other ISRs themselves (before protocol 2.7).
    pub(super) async fn on_isr_changes(&mut self) -> Result<(), Ended> {
        let partitions = self.guarded(self.cluster.take_isr_changes(self.elected.guard).await)?;
        self.read_states(&partitions).await?;
        partitions.iter().for_each(|tp| self.batch.show(tp));
        self.flush().await?;
        self.complete_reassignments(&partitions).await
    }
}
