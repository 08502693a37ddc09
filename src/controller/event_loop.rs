//! The controller's loop: contend, reign, and contend again (classes `KafkaController`, `ControllerEventManager`).

use std::{convert::Infallible, sync::Arc, time::Duration};

use indexmap::IndexSet;
use tokio::{
    sync::mpsc::{self, UnboundedReceiver},
    time::{Instant, MissedTickBehavior},
};

use super::{
    channels::{ChannelConfig, Feedback},
    command::{Command, CommandQueue},
    output::ControllerOutput,
    reign::Reign,
};
use crate::{
    common::{BrokerId, Clock},
    config::DynamicConfig,
    coordination::{ClusterStore, CoordinationError, Event, EventKind, SessionEvent, znode::paths},
};

#[derive(Clone)]
pub struct ControllerConfig {
    pub broker_id: BrokerId,
    /// The logs were closed in order last time: leader epochs may stay (see `state::partition_states::led_by`).
    pub clean_start: bool,
    pub keys: Arc<DynamicConfig>,
    /// The ways to other brokers.
    pub channels: ChannelConfig,
}

/// Contends for the controller's place, and is the controller while it holds it.
pub struct Controller {
    cluster: Arc<ClusterStore>,
    config: ControllerConfig,
    clock: Arc<dyn Clock>,
    outputs: mpsc::Sender<ControllerOutput>,
    commands: CommandQueue,
}

/// Why a reign, or an attempt at one, ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    /// Nobody listens to the outputs any more: the broker stops.
    #[error("the broker stops")]
    Stopping,
    #[error("another broker is controller")]
    Moved,
    #[error(transparent)]
    Store(#[from] CoordinationError),
}

/// Pause before another attempt after the store failed.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How old the controller's gauges may be.
const CENSUS_INTERVAL: Duration = Duration::from_secs(1);
/// From an election to the first look at the balance of leaders, as in Kafka.
const FIRST_BALANCE_AFTER: Duration = Duration::from_secs(5);

impl Controller {
    /// `outputs` is small on purpose: the controller does not run ahead of the broker that carries them out.
    #[must_use]
    pub fn new(
        cluster: Arc<ClusterStore>,
        config: ControllerConfig,
        clock: Arc<dyn Clock>,
        outputs: mpsc::Sender<ControllerOutput>,
        commands: CommandQueue,
    ) -> Self {
        Self { cluster, config, clock, outputs, commands }
    }

    /// Runs until the receiver of the outputs is dropped or the session ends. Register the broker first.
    pub async fn run(&mut self) {
        let mut events = self.cluster.store().events();
        let mut session = self.cluster.store().session_events();
        loop {
            let ended = tokio::select! {
                biased;
                () = expiry(&mut session) => return,
                ended = self.reign(&mut events) => ended,
            };
            match ended {
                Ended::Stopping => return,
                Ended::Moved => {}
                Ended::Store(fault) => {
                    tracing::warn!(%fault, "controller steps back");
                    // Another broker may fare better (`KafkaController.triggerControllerMove`).
                    if let Err(fault) = self.cluster.vacate_controller().await {
                        tracing::warn!(%fault, "cannot leave the controller's place yet");
                    }
                    tokio::time::sleep(RETRY_AFTER).await;
                }
            }
            self.started();
        }
    }

    /// Whatever comes now is no start of this broker: its logs are as it left them.
    pub fn started(&mut self) {
        self.config.clean_start = true;
    }

    async fn reign(&mut self, events: &mut UnboundedReceiver<Event>) -> Ended {
        match self.try_reign(events).await {
            Ok(never) => match never {},
            Err(ended) => ended,
        }
    }

    async fn try_reign(&mut self, events: &mut UnboundedReceiver<Event>) -> Result<Infallible, Ended> {
        let elected = self.cluster.elect_controller(self.config.broker_id, self.clock.now_ms()).await?;
        let Some(elected) = elected else {
            if self.cluster.vacate_controller().await? {
                return Err(Ended::Moved);
            }
            return self.wait_for_vacancy(events).await;
        };
        tracing::info!(epoch = elected.epoch, "this broker is controller");
        let (mut reign, mut feedback) =
            Reign::new(&self.cluster, &self.config, elected, &self.outputs, &mut self.commands);
        self.cluster.controller(true).await?;
        reign.begin(self.config.clean_start).await?;
        reign.open();
        let keys = self.config.keys.snapshot();
        let seconds = u64::try_from(keys.replication.leader_imbalance_check_interval_seconds).unwrap_or(0).max(1);
        let mut balance = tokio::time::interval_at(Instant::now() + FIRST_BALANCE_AFTER, Duration::from_secs(seconds));
        balance.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut census = tokio::time::interval(CENSUS_INTERVAL);
        census.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_counted = false;
        loop {
            let next = tokio::select! {
                biased;
                () = self.outputs.closed() => return Err(Ended::Stopping),
                event = events.recv() => Next::Event(event.ok_or(Ended::Stopping)?),
                Some(feedback) = feedback.recv() => Next::Feedback(feedback),
                Some(command) = reign.next_command() => Next::Command(command),
                _ = balance.tick() => Next::Balance,
                _ = census.tick(), if !is_counted => {
                    reign.count();
                    is_counted = true;
                    continue;
                }
            };
            is_counted = false;
            match next {
                Next::Event(event) => reign.handle(Pending::gather(event, events)).await?,
                Next::Feedback(answered) => reign.answered(answered).await?,
                Next::Command(command) => reign.carry_out(command).await?,
                Next::Balance => reign.balance().await?,
            }
        }
    }

    /// Returns when it is worth trying again.
    async fn wait_for_vacancy(&mut self, events: &mut UnboundedReceiver<Event>) -> Result<Infallible, Ended> {
        while self.cluster.controller(true).await?.is_some() {
            loop {
                let event = tokio::select! {
                    biased;
                    () = self.outputs.closed() => return Err(Ended::Stopping),
                    event = events.recv() => event.ok_or(Ended::Stopping)?,
                    Some(command) = self.commands.commands.recv() => {
                        command.refuse();
                        continue;
                    }
                };
                if Pending::gather(event, events).controller {
                    break;
                }
            }
        }
        Err(Ended::Moved)
    }
}

enum Next {
    Event(Event),
    Feedback(Feedback),
    Command(Command),
    Balance,
}

async fn expiry(session: &mut UnboundedReceiver<SessionEvent>) {
    while let Some(event) = session.recv().await {
        if event == SessionEvent::Expired {
            return;
        }
    }
    std::future::pending().await
}

/// What must be read again.
#[derive(Debug, Default)]
pub(super) struct Pending {
    pub controller: bool,
    pub brokers: bool,
    pub topics: bool,
    pub deletions: bool,
    pub topic_data: IndexSet<String>,
    pub log_dirs: bool,
    pub isr_changes: bool,
    pub reassignments: bool,
    pub preferred: bool,
}

impl Pending {
    /// An event and all that came with it: many changes are one reading.
    fn gather(first: Event, events: &mut UnboundedReceiver<Event>) -> Self {
        let mut pending = Self::default();
        pending.note(first);
        while let Ok(event) = events.try_recv() {
            pending.note(event);
        }
        pending
    }

    fn note(&mut self, event: Event) {
        match event.path.as_str() {
            paths::CONTROLLER => self.controller = true,
            paths::TOPICS => self.topics = true,
            paths::DELETE_TOPICS => self.deletions = true,
            paths::LOG_DIR_EVENT_NOTIFICATION => self.log_dirs = true,
            paths::ISR_CHANGE_NOTIFICATION => self.isr_changes = true,
            paths::REASSIGN_PARTITIONS => self.reassignments = true,
            paths::PREFERRED_REPLICA_ELECTION => self.preferred = true,
            path if path.starts_with(paths::BROKER_IDS) => self.brokers = true,
            path => {
                let topic = path.strip_prefix(paths::TOPICS).and_then(|rest| rest.strip_prefix('/'));
                match topic {
                    Some(topic) if event.kind == EventKind::DataChanged => {
                        self.topic_data.insert(topic.to_owned());
                    }
                    Some(_) => self.topics = true,
                    None => {}
                }
            }
        }
    }
}
