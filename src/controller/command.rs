//! What others ask of the controller, and the way to ask it. Commands are carried out between events, one after
//! another; a broker that is not the controller answers NOT_CONTROLLER at once.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::{mpsc, oneshot};

use super::state::census::Census;
use crate::{
    common::{BrokerId, ErrorCode, LeaderEpoch, TopicPartition},
    metrics::ControllerMetrics,
};

/// Commands that may wait; whoever comes later waits in turn.
const COMMANDS_MAX: usize = 64;

/// A code and, where there is one, a sentence for the admin (class `ApiError`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    pub code: ErrorCode,
    pub message: Option<String>,
}

impl From<ErrorCode> for ApiError {
    fn from(code: ErrorCode) -> Self {
        Self { code, message: None }
    }
}

impl ApiError {
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: Some(message.into()) }
    }
}

/// A leader's wish for another ISR (KIP-497).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IsrProposal {
    pub topic_partition: TopicPartition,
    pub leader_epoch: LeaderEpoch,
    /// Version of the state's node that the leader knows.
    pub partition_epoch: i32,
    /// Each with the broker epoch the leader saw it with; −1: it does not know (KIP-903).
    pub isr: Vec<(BrokerId, i64)>,
    pub leader_recovery_state: i8,
}

/// All that one broker proposes at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlterPartition {
    pub broker: BrokerId,
    pub broker_epoch: i64,
    pub partitions: Vec<IsrProposal>,
    /// The sender knows INELIGIBLE_REPLICA (v2).
    pub knows_ineligible_replica: bool,
}

/// A partition's state after a proposal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlteredPartition {
    pub leader: BrokerId,
    pub leader_epoch: LeaderEpoch,
    pub isr: Vec<BrokerId>,
    pub leader_recovery_state: i8,
    pub partition_epoch: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ElectionType {
    Preferred,
    Unclean,
}

/// A partition that is being moved (KIP-455).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OngoingReassignment {
    pub topic_partition: TopicPartition,
    pub replicas: Vec<BrokerId>,
    pub adding: Vec<BrokerId>,
    pub removing: Vec<BrokerId>,
}

/// One code or state per proposal, in order.
pub type Alterations = Vec<Result<AlteredPartition, ErrorCode>>;
/// The leader elected, or why none was, per partition in order.
pub type Elections = Vec<Result<BrokerId, ApiError>>;
/// One per partition, in order.
pub type Reassignments = Vec<Result<(), ApiError>>;
type Reply<T> = oneshot::Sender<Result<T, ErrorCode>>;

#[derive(Debug)]
pub enum Command {
    AlterPartition {
        request: AlterPartition,
        reply: Reply<Alterations>,
    },
    /// The answer is what the broker still leads.
    ControlledShutdown {
        broker: BrokerId,
        broker_epoch: i64,
        reply: Reply<Vec<TopicPartition>>,
    },
    /// `None`: all partitions there are; the answer names them.
    ElectLeaders {
        election: ElectionType,
        partitions: Option<Vec<TopicPartition>>,
        reply: Reply<(Vec<TopicPartition>, Elections)>,
    },
    /// `None` for a partition takes its reassignment back.
    AlterReassignments {
        reassignments: Vec<(TopicPartition, Option<Vec<BrokerId>>)>,
        reply: Reply<Reassignments>,
    },
    /// `None`: all that are going on.
    ListReassignments {
        partitions: Option<Vec<TopicPartition>>,
        reply: Reply<Vec<OngoingReassignment>>,
    },
    /// `unclean.leader.election.enable` became true for a topic, or for all (`None`).
    UncleanElectionEnabled {
        topic: Option<Arc<str>>,
    },
}

impl Command {
    /// Answers that this broker is not the controller.
    pub fn refuse(self) {
        // Whoever asked may have gone meanwhile.
        let code = ErrorCode::NotController;
        match self {
            Self::AlterPartition { reply, .. } => drop(reply.send(Err(code))),
            Self::ControlledShutdown { reply, .. } => drop(reply.send(Err(code))),
            Self::ElectLeaders { reply, .. } => drop(reply.send(Err(code))),
            Self::AlterReassignments { reply, .. } => drop(reply.send(Err(code))),
            Self::ListReassignments { reply, .. } => drop(reply.send(Err(code))),
            Self::UncleanElectionEnabled { .. } => {}
        }
    }
}

/// The way to the controller in this process, if it is one.
#[derive(Debug, Clone)]
pub struct ControllerHandle {
    commands: mpsc::Sender<Command>,
    active: Arc<AtomicBool>,
    metrics: Arc<ControllerMetrics>,
}

/// The controller's end of a [`ControllerHandle`].
#[derive(Debug)]
pub struct CommandQueue {
    pub(super) commands: mpsc::Receiver<Command>,
    active: Arc<AtomicBool>,
    pub(super) metrics: Arc<ControllerMetrics>,
}

impl ControllerHandle {
    /// The two ends.
    #[must_use]
    pub fn channel() -> (Self, CommandQueue) {
        let (sender, commands) = mpsc::channel(COMMANDS_MAX);
        let active = Arc::new(AtomicBool::new(false));
        let metrics = Arc::new(ControllerMetrics::default());
        let handle = Self { commands: sender, active: Arc::clone(&active), metrics: Arc::clone(&metrics) };
        (handle, CommandQueue { commands, active, metrics })
    }

    /// What the controller in this process counts.
    #[must_use]
    pub fn metrics(&self) -> &ControllerMetrics {
        &self.metrics
    }

    /// Whether this broker is the controller and has loaded the cluster.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.active.load(Ordering::Acquire)
    }

    pub async fn alter_partition(&self, request: AlterPartition) -> Result<Alterations, ErrorCode> {
        self.ask(|reply| Command::AlterPartition { request, reply }).await
    }

    pub async fn controlled_shutdown(
        &self,
        broker: BrokerId,
        broker_epoch: i64,
    ) -> Result<Vec<TopicPartition>, ErrorCode> {
        self.ask(|reply| Command::ControlledShutdown { broker, broker_epoch, reply }).await
    }

    pub async fn elect_leaders(
        &self,
        election: ElectionType,
        partitions: Option<Vec<TopicPartition>>,
    ) -> Result<(Vec<TopicPartition>, Elections), ErrorCode> {
        self.ask(|reply| Command::ElectLeaders { election, partitions, reply }).await
    }

    pub async fn alter_reassignments(
        &self,
        reassignments: Vec<(TopicPartition, Option<Vec<BrokerId>>)>,
    ) -> Result<Reassignments, ErrorCode> {
        self.ask(|reply| Command::AlterReassignments { reassignments, reply }).await
    }

    pub async fn list_reassignments(
        &self,
        partitions: Option<Vec<TopicPartition>>,
    ) -> Result<Vec<OngoingReassignment>, ErrorCode> {
        self.ask(|reply| Command::ListReassignments { partitions, reply }).await
    }

    /// Partitions that wait for an in-sync replica may be led by another one now; none but the controller cares.
    pub async fn unclean_election_enabled(&self, topic: Option<Arc<str>>) {
        if self.is_active() {
            // A controller that stops needs no news.
            let _ = self.commands.send(Command::UncleanElectionEnabled { topic }).await;
        }
    }

    /// A command that is dropped on the way was dropped by a controller that resigned.
    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, ErrorCode> {
        if !self.is_active() {
            return Err(ErrorCode::NotController);
        }
        let (reply, answer) = oneshot::channel();
        let Ok(()) = self.commands.send(command(reply)).await else { return Err(ErrorCode::NotController) };
        answer.await.unwrap_or(Err(ErrorCode::NotController))
    }
}

impl CommandQueue {
    pub(super) fn count(&self, census: &Census) {
        let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let metrics = &self.metrics;
        metrics.active_broker_count.set(count(census.brokers));
        metrics.global_topic_count.set(count(census.topics));
        metrics.global_partition_count.set(count(census.partitions));
        metrics.offline_partitions_count.set(count(census.offline_partitions));
        metrics.preferred_replica_imbalance_count.set(count(census.imbalanced_partitions));
        metrics.topics_to_delete_count.set(count(census.topics_to_delete));
        metrics.replicas_to_delete_count.set(count(census.replicas_to_delete));
    }

    /// From here on commands are taken.
    pub(super) fn open(&self) {
        self.metrics.active_controller_count.set(1);
        self.active.store(true, Ordering::Release);
    }

    /// The reign is over: what waits is refused, and what comes too.
    pub(super) fn close(&mut self) {
        self.active.store(false, Ordering::Release);
        self.metrics.active_controller_count.set(0);
        self.count(&Census::default());
        while let Ok(command) = self.commands.try_recv() {
            command.refuse();
        }
    }
}
