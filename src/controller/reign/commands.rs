//! What is asked of the controller by others (`KafkaController.process…`).

use std::sync::Arc;

use indexmap::IndexSet;

use super::Reign;
use crate::{
    common::{BrokerId, ErrorCode, TopicPartition},
    controller::{
        command::{AlterPartition, Alterations, ApiError, Command, ElectionType, Elections, Reassignments},
        event_loop::Ended,
        state::{
            ControllerContext,
            alter_partition::{Verdict, answer},
            election::NO_LEADER,
            preferred::election_failed,
        },
    },
    coordination::cluster_store::{PartitionStateUpdate, VersionedState},
};

/// Whoever asked may have gone meanwhile: a reply that nobody takes is no failure.
impl Reign<'_> {
    pub(in crate::controller) async fn carry_out(&mut self, command: Command) -> Result<(), Ended> {
        match command {
            Command::AlterPartition { request, reply } => {
                let named: Vec<TopicPartition> =
                    request.partitions.iter().map(|it| it.topic_partition.clone()).collect();
                let answer = self.alter_partition(&request).await?;
                let _ = reply.send(answer);
                self.flush().await?;
                self.complete_reassignments(&named).await
            }
            Command::ControlledShutdown { broker, broker_epoch, reply } => {
                let answer = self.controlled_shutdown(broker, broker_epoch).await?;
                let _ = reply.send(answer);
                Ok(())
            }
            Command::ElectLeaders { election, partitions, reply } => {
                let partitions = partitions.unwrap_or_else(|| self.context.all_partitions());
                let elections = self.elect_leaders(election, &partitions).await?;
                self.flush().await?;
                let _ = reply.send(Ok((partitions, elections)));
                Ok(())
            }
            Command::AlterReassignments { reassignments, reply } => {
                let answer = self.alter_reassignments(reassignments).await?;
                let _ = reply.send(Ok(answer));
                Ok(())
            }
            Command::ListReassignments { partitions, reply } => {
                let _ = reply.send(Ok(self.context.ongoing(partitions.as_deref())));
                Ok(())
            }
            Command::UncleanElectionEnabled { topic } => self.unclean_enabled(topic).await,
        }
    }

    async fn alter_partition(&mut self, request: &AlterPartition) -> Result<Result<Alterations, ErrorCode>, Ended> {
        if self.context.is_sender_stale(request.broker, request.broker_epoch) {
            tracing::info!(broker = request.broker, epoch = request.broker_epoch, "AlterPartition of a stale broker");
            return Ok(Err(ErrorCode::StaleBrokerEpoch));
        }
        let verdicts: Vec<Verdict> = request.partitions.iter().map(|it| self.context.judge(request, it)).collect();
        let writes: Vec<PartitionStateUpdate> = verdicts
            .iter()
            .filter_map(|verdict| if let Verdict::Write(update) = verdict { Some(update.clone()) } else { None })
            .collect();
        let written = match writes.is_empty() {
            true => Vec::new(),
            false => self.guarded(self.cluster.update_partition_states(self.elected.guard, &writes).await)?,
        };
        let mut written = written.into_iter();
        let mut stale = Vec::new();
        let mut answers = Vec::with_capacity(verdicts.len());
        for (proposal, verdict) in request.partitions.iter().zip(verdicts) {
            let tp = &proposal.topic_partition;
            answers.push(match verdict {
                Verdict::Refused(code) => {
                    tracing::info!(partition = %tp, %code, ?proposal, "an ISR is refused");
                    Err(code)
                }
                Verdict::Already(state) => Ok(state),
                Verdict::Write(update) => match written.next() {
                    Some(Ok(version)) => {
                        let current = VersionedState { state: update.state, version };
                        let altered = answer(&current);
                        self.context.put_state(tp, current);
                        self.batch.show(tp);
                        Ok(altered)
                    }
                    _ => {
                        stale.push(tp.clone());
                        Err(ErrorCode::InvalidUpdateVersion)
                    }
                },
            });
        }
        self.read_states(&stale).await?;
        Ok(Ok(answers))
    }

    /// The answer is what the broker still leads.
    async fn controlled_shutdown(
        &mut self,
        broker: BrokerId,
        broker_epoch: i64,
    ) -> Result<Result<Vec<TopicPartition>, ErrorCode>, Ended> {
        let leaving = match self.context.begin_shutdown(broker, broker_epoch) {
            Ok(leaving) => leaving,
            Err(code) => return Ok(Err(code)),
        };
        tracing::info!(broker, led = leaving.led.len(), followed = leaving.followed.len(), "a broker is shutting down");
        let moved = self.change(leaving.led, ControllerContext::elect_for_shutdown).await?;
        self.tell(&moved);
        let left = |context: &ControllerContext, tp: &TopicPartition| context.without_replicas(tp, &[broker]);
        let shrunk: IndexSet<TopicPartition> = self.change(leaving.followed.clone(), left).await?.into_iter().collect();
        for tp in &leaving.followed {
            self.batch.stop(broker, tp, false);
            self.batch.show(tp);
            if !shrunk.contains(tp) {
                continue;
            }
            let replicas = self.context.partition(tp).map(|it| it.assignment.replicas.clone()).unwrap_or_default();
            for other in replicas.iter().filter(|id| **id != broker && self.context.is_working(**id, tp)) {
                self.batch.lead_on(*other, tp, false);
            }
        }
        self.flush().await?;
        Ok(Ok(self.context.still_led_by(broker)))
    }

    async fn elect_leaders(
        &mut self,
        election: ElectionType,
        partitions: &[TopicPartition],
    ) -> Result<Elections, Ended> {
        let checked: Vec<Result<(), ApiError>> =
            partitions.iter().map(|tp| self.context.may_elect(election, tp)).collect();
        let electable: Vec<TopicPartition> =
            partitions.iter().zip(&checked).filter(|(_, checked)| checked.is_ok()).map(|(tp, _)| tp.clone()).collect();
        let changed = match election {
            ElectionType::Preferred => self.change(electable, ControllerContext::elect_preferred).await?,
            ElectionType::Unclean => self.elect(electable, true).await?,
        };
        self.tell(&changed);
        let changed: IndexSet<TopicPartition> = changed.into_iter().collect();
        let answer = |(tp, checked): (&TopicPartition, Result<(), ApiError>)| {
            checked?;
            let leader = self.context.leader_of(tp).filter(|leader| *leader != NO_LEADER && changed.contains(tp));
            leader.ok_or_else(|| election_failed(election, tp))
        };
        Ok(partitions.iter().zip(checked).map(answer).collect())
    }

    async fn alter_reassignments(
        &mut self,
        wishes: Vec<(TopicPartition, Option<Vec<BrokerId>>)>,
    ) -> Result<Reassignments, Ended> {
        let mut plans = Vec::new();
        let mut answers = Vec::with_capacity(wishes.len());
        for (tp, target) in wishes {
            answers.push(self.context.plan_reassignment(&tp, target.as_deref()).map(|plan| plans.push((tp, plan))));
        }
        // The newer wish counts.
        let planned: IndexSet<TopicPartition> = plans.iter().map(|(tp, _)| tp.clone()).collect();
        self.prune_reassignment_wish(|tp, _| planned.contains(tp)).await?;
        self.reassign(plans).await?;
        Ok(answers)
    }

    async fn unclean_enabled(&mut self, topic: Option<Arc<str>>) -> Result<(), Ended> {
        let partitions = match &topic {
            Some(topic) => self.context.partitions_of(topic),
            None => self.context.all_partitions(),
        };
        let waiting = partitions.into_iter().filter(|tp| self.context.waits_for_isr(tp)).collect();
        let changed = self.elect(waiting, false).await?;
        self.tell(&changed);
        self.flush().await
    }
}
