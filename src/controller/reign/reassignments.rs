//! Moving partitions (`KafkaController.onPartitionReassignment`). Whatever a crash cuts short is found in the assignments'
//! nodes by the next controller.

use std::sync::Arc;

use indexmap::IndexMap;

use super::Reign;
use crate::{
    common::{BrokerId, TopicPartition},
    controller::{event_loop::Ended, loader::read_topics, state::ControllerContext},
    coordination::{CoordinationError, cluster_store::is_controller_moved, znode::topic::ReplicaAssignment},
};

/// More partitions may be added at the same time; that often is enough.
const ROUNDS_MAX: usize = 5;

type Plan = (TopicPartition, ReplicaAssignment);

impl Reign<'_> {
    /// Puts partitions on their way, all together.
    pub(super) async fn reassign(&mut self, plans: Vec<Plan>) -> Result<(), Ended> {
        let before: Vec<(TopicPartition, Vec<BrokerId>)> =
            plans.iter().map(|(tp, _)| (tp.clone(), self.replicas_of(tp))).collect();
        let differs = |(tp, plan): &&Plan| self.context.partition(tp).is_some_and(|it| it.assignment != *plan);
        let changes: Vec<Plan> = plans.iter().filter(differs).cloned().collect();
        self.write_assignments(changes).await?;
        // What an earlier reassignment had added and this one does not want.
        let mut unwanted: IndexMap<TopicPartition, Vec<BrokerId>> = IndexMap::new();
        for (tp, replicas) in before {
            let now = self.replicas_of(&tp);
            let dropped: Vec<BrokerId> = replicas.into_iter().filter(|id| !now.contains(id)).collect();
            if !dropped.is_empty() {
                unwanted.insert(tp, dropped);
            }
        }
        let shrunk = |context: &ControllerContext, tp: &TopicPartition| context.without_replicas(tp, &unwanted[tp]);
        let changed = self.change(unwanted.keys().cloned().collect(), shrunk).await?;
        self.tell(&changed);
        for (tp, dropped) in &unwanted {
            dropped.iter().for_each(|broker| self.batch.stop(*broker, tp, true));
        }
        let (complete, going): (Vec<TopicPartition>, Vec<TopicPartition>) =
            plans.into_iter().map(|(tp, _)| tp).partition(|tp| self.context.is_reassignment_complete(tp));
        let going = self.change(going, ControllerContext::new_epoch).await?;
        self.tell(&going);
        self.flush().await?;
        self.finish_reassignments(complete).await
    }

    fn replicas_of(&self, tp: &TopicPartition) -> Vec<BrokerId> {
        self.context.partition(tp).map(|it| it.assignment.replicas.clone()).unwrap_or_default()
    }

    /// Goes on with what is under way, where `concerned` by its target.
    pub(super) async fn resume_reassignments(&mut self, concerned: impl Fn(&[BrokerId]) -> bool) -> Result<(), Ended> {
        let plan = |tp: TopicPartition| {
            let assignment = self.context.partition(&tp)?.assignment.clone();
            concerned(&assignment.target()).then_some((tp, assignment))
        };
        let plans: Vec<Plan> = self.context.reassigning().into_iter().filter_map(plan).collect();
        if plans.is_empty() { Ok(()) } else { self.reassign(plans).await }
    }

    /// Ends those of `partitions` whose new replicas are all in sync.
    pub(super) async fn complete_reassignments(&mut self, partitions: &[TopicPartition]) -> Result<(), Ended> {
        let is_complete =
            |tp: &&TopicPartition| self.context.is_being_reassigned(tp) && self.context.is_reassignment_complete(tp);
        let complete = partitions.iter().filter(is_complete).cloned().collect();
        self.finish_reassignments(complete).await
    }

    /// The target is the assignment from now on; what is left of the origin is stopped and deleted.
    async fn finish_reassignments(&mut self, partitions: Vec<TopicPartition>) -> Result<(), Ended> {
        if partitions.is_empty() {
            return Ok(());
        }
        let old = |tp: &TopicPartition| self.context.partition(tp).map(|it| (tp.clone(), it.assignment.clone()));
        let before: IndexMap<TopicPartition, ReplicaAssignment> = partitions.iter().filter_map(old).collect();
        for (tp, assignment) in &before {
            self.context.put_assignment(tp, ReplicaAssignment::of(assignment.target()));
        }
        let led =
            |context: &ControllerContext, tp: &TopicPartition| context.elect_for_reassignment(tp, &before[tp].target());
        let changed = self.change(before.keys().cloned().collect(), led).await?;
        self.tell(&changed);
        let mut done = Vec::with_capacity(changed.len());
        for (tp, assignment) in before {
            if !changed.contains(&tp) {
                tracing::warn!(partition = %tp, "a reassignment cannot end: none of its replicas can lead");
                self.context.put_assignment(&tp, assignment);
                continue;
            }
            tracing::info!(partition = %tp, from = ?assignment.origin(), to = ?assignment.target(), "reassignment is done");
            assignment.removing.iter().for_each(|broker| self.batch.stop(*broker, &tp, true));
            done.push((tp, assignment));
        }
        // Told before it is written: a controller that ends in between leaves the reassignment to be ended again.
        self.flush().await?;
        let written = done.iter().filter(|(_, assignment)| assignment.is_being_reassigned());
        let written = written.map(|(tp, it)| (tp.clone(), ReplicaAssignment::of(it.target()))).collect();
        self.write_assignments(written).await?;
        self.prune_reassignment_wish(|tp, target| {
            done.iter().any(|(done, assignment)| done == tp && assignment.target() == target)
        })
        .await?;
        if self.context.deletions_ready().is_empty() { Ok(()) } else { Box::pin(self.resume_deletions()).await }
    }

    /// Writes assignments of some partitions into their topics' nodes.
    async fn write_assignments(&mut self, changes: Vec<Plan>) -> Result<(), Ended> {
        let mut open: IndexMap<Arc<str>, Vec<Plan>> = IndexMap::new();
        for (tp, assignment) in changes {
            open.entry(Arc::clone(&tp.topic)).or_default().push((tp, assignment));
        }
        let mut read_again = Vec::new();
        for _ in 0..ROUNDS_MAX {
            if open.is_empty() {
                break;
            }
            let mut writes = Vec::with_capacity(open.len());
            for (topic, plans) in &open {
                let Some(mut write) = self.context.topic_assignment(topic) else { continue };
                for (tp, assignment) in plans {
                    write.assignment.partitions.insert(tp.partition, assignment.clone());
                }
                writes.push(write);
            }
            let answers = self.cluster.try_set_topic_assignments(self.elected.guard, &writes).await;
            for (mut write, answer) in writes.into_iter().zip(answers) {
                match answer {
                    Ok(()) => {
                        write.version += 1;
                        self.context.put_topic(&write);
                        open.shift_remove(&write.topic);
                    }
                    Err(fault) if is_controller_moved(&fault) => return Err(Ended::Moved),
                    Err(CoordinationError::BadVersion(_)) => read_again.push(write.topic),
                    Err(CoordinationError::NoNode(_)) => drop(open.shift_remove(&write.topic)),
                    Err(fault) => return Err(Ended::Store(fault)),
                }
            }
            for topic in
                self.guarded(read_topics(self.cluster, self.elected.guard, &read_again, self.gives_topic_ids()).await)?
            {
                self.context.put_topic(&topic);
            }
        }
        self.create_partitions(&read_again).await
    }

    /// An older tool wants partitions moved.
    pub(super) async fn on_reassignment_wish(&mut self) -> Result<(), Ended> {
        let Some(moves) = self.cluster.reassignment_wish().await? else { return Ok(()) };
        let (mut plans, mut failed) = (Vec::new(), Vec::new());
        for (tp, target) in moves {
            match self.context.plan_reassignment(&tp, Some(&target)) {
                // Our own writing of what is left of the wish.
                Ok(plan)
                    if plan.is_being_reassigned()
                        && self.context.partition(&tp).is_some_and(|it| it.assignment == plan) => {}
                Ok(plan) => plans.push((tp, plan)),
                Err(fault) => {
                    tracing::warn!(partition = %tp, ?target, code = %fault.code, "a reassignment is not possible");
                    failed.push(tp);
                }
            }
        }
        // As Apache Kafka does, a wish that names nothing, or cannot be read, is left until another one ends.
        if !failed.is_empty() {
            self.prune_reassignment_wish(|tp, _| failed.contains(tp)).await?;
        }
        Box::pin(self.reassign(plans)).await
    }

    /// Takes from an older tool's wish what is done or cannot be done.
    pub(super) async fn prune_reassignment_wish(
        &self,
        is_settled: impl Fn(&TopicPartition, &[BrokerId]) -> bool,
    ) -> Result<(), Ended> {
        let Some(moves) = self.cluster.reassignment_wish().await? else { return Ok(()) };
        let count = moves.len();
        let left: Vec<(TopicPartition, Vec<BrokerId>)> =
            moves.into_iter().filter(|(tp, target)| !is_settled(tp, target)).collect();
        if left.len() == count && count > 0 {
            return Ok(());
        }
        self.guarded(self.cluster.set_reassignment_wish(self.elected.guard, &left).await)
    }
}
