//! The controller's loop: wait, read, decide, write, tell (classes `KafkaController`, `ControllerEventManager`).

use std::{sync::Arc, time::Duration};

use indexmap::IndexSet;
use tokio::sync::{
    mpsc::{self, UnboundedReceiver},
    oneshot,
};

use super::{
    loader::{load, read_topics, shared},
    output::{ControllerOutput, StopReplicaPartition},
    state::{
        ControllerContext,
        deletion::all_stopped,
        partition_states::{elections, new_partitions, restarts},
    },
};
use crate::{
    common::{BrokerId, Clock, TopicPartition},
    coordination::{
        ClusterStore, CoordinationError, Event, EventKind, SessionEvent,
        cluster_store::{ElectedController, PartitionStateUpdate, VersionedState},
        znode::paths,
    },
    metadata::MetadataDelta,
};

#[derive(Debug, Clone)]
pub struct ControllerConfig {
    pub broker_id: BrokerId,
    /// The logs were closed in order last time: leader epochs may stay (see `state::partition_states::restarts`).
    pub clean_start: bool,
}

/// Contends for the controller's place, and is the controller while it holds it.
pub struct Controller {
    cluster: Arc<ClusterStore>,
    config: ControllerConfig,
    clock: Arc<dyn Clock>,
    outputs: mpsc::Sender<ControllerOutput>,
}

/// Why a reign, or an attempt at one, ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
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

impl Controller {
    /// `outputs` is small on purpose: the controller does not run ahead of the broker that carries them out.
    #[must_use]
    pub fn new(
        cluster: Arc<ClusterStore>,
        config: ControllerConfig,
        clock: Arc<dyn Clock>,
        outputs: mpsc::Sender<ControllerOutput>,
    ) -> Self {
        Self { cluster, config, clock, outputs }
    }

    /// Runs until the receiver of the outputs is dropped or the session ends. Register the broker first.
    pub async fn run(mut self) {
        let mut events = self.cluster.store().events();
        let mut session = self.cluster.store().session_events();
        loop {
            let reign = self.reign(&mut events);
            let ended = tokio::select! {
                biased;
                () = expiry(&mut session) => return,
                ended = reign => ended,
            };
            match ended {
                Ended::Stopping => return,
                Ended::Moved => {}
                Ended::Store(fault) => {
                    tracing::warn!(%fault, "controller steps back");
                    tokio::time::sleep(RETRY_AFTER).await;
                }
            }
            // Only the first reign is a start of this broker.
            self.config.clean_start = true;
        }
    }

    async fn reign(&self, events: &mut UnboundedReceiver<Event>) -> Ended {
        match self.try_reign(events).await {
            Ok(never) => match never {},
            Err(ended) => ended,
        }
    }

    async fn try_reign(&self, events: &mut UnboundedReceiver<Event>) -> Result<std::convert::Infallible, Ended> {
        let elected = self.cluster.elect_controller(self.config.broker_id, self.clock.now_ms()).await?;
        let Some(elected) = elected else {
            return self.wait_for_vacancy(events).await;
        };
        tracing::info!(epoch = elected.epoch, "this broker is controller");
        let mut reign = Reign {
            cluster: &self.cluster,
            broker: self.config.broker_id,
            elected,
            outputs: &self.outputs,
            context: ControllerContext::default(),
        };
        self.cluster.controller(true).await?;
        reign.begin(self.config.clean_start).await?;
        loop {
            let pending = self.next_events(events).await?;
            reign.handle(pending).await?;
        }
    }

    /// Returns when it is worth trying again.
    async fn wait_for_vacancy(&self, events: &mut UnboundedReceiver<Event>) -> Result<std::convert::Infallible, Ended> {
        while self.cluster.controller(true).await?.is_some() {
            while !self.next_events(events).await?.controller {}
        }
        Err(Ended::Moved)
    }

    /// Waits for an event and takes all that came with it: many changes are one reading.
    async fn next_events(&self, events: &mut UnboundedReceiver<Event>) -> Result<Pending, Ended> {
        let first = tokio::select! {
            biased;
            () = self.outputs.closed() => None,
            event = events.recv() => event,
        };
        let mut pending = Pending::default();
        pending.note(first.ok_or(Ended::Stopping)?);
        while let Ok(event) = events.try_recv() {
            pending.note(event);
        }
        Ok(pending)
    }
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
struct Pending {
    controller: bool,
    brokers: bool,
    topics: bool,
    deletions: bool,
    topic_data: IndexSet<String>,
}

impl Pending {
    fn note(&mut self, event: Event) {
        match event.path.as_str() {
            paths::CONTROLLER => self.controller = true,
            paths::TOPICS => self.topics = true,
            paths::DELETE_TOPICS => self.deletions = true,
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

/// One term as controller.
struct Reign<'a> {
    cluster: &'a ClusterStore,
    broker: BrokerId,
    elected: ElectedController,
    outputs: &'a mpsc::Sender<ControllerOutput>,
    context: ControllerContext,
}

impl Reign<'_> {
    async fn begin(&mut self, clean_start: bool) -> Result<(), Ended> {
        self.cluster.delete_notifications(self.elected.guard).await?;
        self.context = load(self.cluster, self.elected).await?;
        let marked = self.cluster.topics_marked_for_deletion(true).await?;
        for topic in &marked {
            self.context.begin_deletion(topic);
        }
        self.publish(MetadataDelta {
            controller: Some(Some(self.broker)),
            brokers: Some(self.context.brokers.values().cloned().collect()),
            ..MetadataDelta::default()
        })
        .await?;
        self.write_states(elections(&self.context)).await?;
        if !clean_start {
            self.write_states(restarts(&self.context, self.broker)).await?;
        }
        let known: Vec<TopicPartition> =
            self.context.all_partitions().into_iter().filter(|tp| self.has_state(tp)).collect();
        self.lead(&known, false).await?;
        let topics: Vec<Arc<str>> = self.context.topics.keys().cloned().collect();
        self.create_partitions(&topics).await?;
        self.publish_topics(&topics).await?;
        tracing::info!(topics = topics.len(), partitions = known.len(), "controller has loaded the cluster");
        self.delete_topics(marked).await
    }

    async fn handle(&mut self, pending: Pending) -> Result<(), Ended> {
        if pending.controller && self.cluster.controller(true).await? != Some(self.broker) {
            return Err(Ended::Moved);
        }
        if pending.brokers {
            self.on_brokers().await?;
        }
        if pending.topics {
            self.on_topics().await?;
        }
        if !pending.topic_data.is_empty() {
            let names: Vec<String> = pending.topic_data.into_iter().collect();
            self.load_topics(names).await?;
        }
        if pending.deletions {
            let marked = self.cluster.topics_marked_for_deletion(true).await?;
            self.delete_topics(marked).await?;
        }
        Ok(())
    }

    async fn on_brokers(&mut self) -> Result<(), Ended> {
        let brokers = self.cluster.brokers(true).await?;
        let before: IndexSet<BrokerId> = self.context.brokers.keys().copied().collect();
        let after: IndexSet<BrokerId> = brokers.iter().map(|broker| broker.id).collect();
        let moved: IndexSet<BrokerId> = before.symmetric_difference(&after).copied().collect();
        self.context.brokers = brokers.iter().map(|broker| (broker.id, broker.clone())).collect();
        self.publish(MetadataDelta { brokers: Some(brokers), ..MetadataDelta::default() }).await?;
        if moved.is_empty() {
            return Ok(());
        }
        let changed = self.write_states(elections(&self.context)).await?;
        self.lead(&changed, false).await?;
        let topics = self.context.topics_on(&moved);
        self.create_partitions(&topics).await?;
        self.publish_topics(&topics).await?;
        let waiting: Vec<String> = self.context.deleting.iter().map(|topic| topic.to_string()).collect();
        self.delete_topics(waiting).await
    }

    /// Topics were created, or vanished behind our back.
    async fn on_topics(&mut self) -> Result<(), Ended> {
        let names = self.cluster.topics(true).await?;
        let gone: Vec<Arc<str>> = {
            let named = |topic: &Arc<str>| names.binary_search_by(|name| name.as_str().cmp(topic)).is_ok();
            self.context.topics.keys().filter(|topic| !named(topic)).cloned().collect()
        };
        for topic in &gone {
            self.context.remove_topic(topic);
        }
        if !gone.is_empty() {
            self.publish(MetadataDelta { deleted_topics: gone, ..MetadataDelta::default() }).await?;
        }
        let new = names.into_iter().filter(|name| !self.context.topics.contains_key(name.as_str())).collect();
        self.load_topics(new).await
    }

    /// Reads assignments and brings to life what is new in them.
    async fn load_topics(&mut self, names: Vec<String>) -> Result<(), Ended> {
        if names.is_empty() {
            return Ok(());
        }
        let names = shared(names);
        let mut changed = Vec::new();
        for topic in read_topics(self.cluster, self.elected.guard, &names).await? {
            if self.context.put_topic(&topic) {
                changed.push(topic.topic);
            }
        }
        self.create_partitions(&changed).await?;
        self.publish_topics(&changed).await
    }

    async fn create_partitions(&mut self, topics: &[Arc<str>]) -> Result<(), Ended> {
        let new = new_partitions(&self.context, topics);
        if new.is_empty() {
            return Ok(());
        }
        let states = self.guarded(self.cluster.create_partition_states(self.elected.guard, &new).await)?;
        let created: Vec<TopicPartition> = new.into_iter().map(|new| new.topic_partition).collect();
        for (tp, state) in created.iter().zip(states) {
            self.context.put_state(tp, state);
        }
        self.lead(&created, true).await
    }

    /// Writes states; the answer is the partitions whose state is another one now.
    async fn write_states(&mut self, updates: Vec<PartitionStateUpdate>) -> Result<Vec<TopicPartition>, Ended> {
        if updates.is_empty() {
            return Ok(Vec::new());
        }
        let answers = self.guarded(self.cluster.update_partition_states(self.elected.guard, &updates).await)?;
        let mut changed = Vec::with_capacity(updates.len());
        let mut stale = Vec::new();
        for (update, answer) in updates.into_iter().zip(answers) {
            match answer {
                Ok(version) => {
                    self.context.put_state(&update.topic_partition, VersionedState { state: update.state, version });
                    changed.push(update.topic_partition);
                }
                Err(fault) => {
                    tracing::warn!(partition = %update.topic_partition, %fault, "state was changed by someone else");
                    stale.push(update.topic_partition);
                }
            }
        }
        for (tp, state) in stale.iter().zip(self.cluster.partition_states(&stale).await?) {
            if let Some(state) = state {
                self.context.put_state(tp, state);
            }
        }
        changed.extend(stale);
        Ok(changed)
    }

    async fn delete_topics(&mut self, marked: Vec<String>) -> Result<(), Ended> {
        let unknown: Vec<String> =
            marked.iter().filter(|topic| !self.context.topics.contains_key(topic.as_str())).cloned().collect();
        if !unknown.is_empty() {
            // Created and deleted in one breath: the news of its birth is still on its way.
            self.load_topics(unknown.clone()).await?;
            let never: Vec<String> =
                unknown.into_iter().filter(|topic| !self.context.topics.contains_key(topic.as_str())).collect();
            self.guarded(self.cluster.delete_markers(self.elected.guard, &never).await)?;
        }
        let topics: Vec<Arc<str>> =
            shared(marked.into_iter().filter(|t| self.context.topics.contains_key(t.as_str())).collect());
        if topics.is_empty() {
            return Ok(());
        }
        for topic in &topics {
            self.context.begin_deletion(topic);
        }
        self.publish(MetadataDelta { deleted_topics: topics.clone(), ..MetadataDelta::default() }).await?;
        for topic in &topics {
            if self.stop_replicas(topic).await? && self.context.is_eligible_for_deletion(topic) {
                self.guarded(self.cluster.delete_topic(self.elected.guard, topic).await)?;
                self.context.remove_topic(topic);
                tracing::info!(%topic, "topic is deleted");
            } else {
                tracing::warn!(%topic, "topic cannot be deleted yet: a replica is out of reach");
            }
        }
        // Whoever waits to create one of the same name may do so now.
        self.publish(MetadataDelta::default()).await
    }

    async fn stop_replicas(&self, topic: &Arc<str>) -> Result<bool, Ended> {
        let partitions = self.context.replicas_on(topic, self.broker);
        let expected = partitions.len();
        if expected == 0 {
            return Ok(true);
        }
        let (reply, answers) = oneshot::channel();
        let stop = |topic_partition| StopReplicaPartition { topic_partition, leader_epoch: -2, delete: true };
        let partitions = partitions.into_iter().map(stop).collect();
        let (controller_id, controller_epoch) = (self.broker, self.elected.epoch);
        self.send(ControllerOutput::StopReplica { controller_id, controller_epoch, partitions, reply }).await?;
        Ok(answers.await.is_ok_and(|answers| all_stopped(expected, &answers)))
    }

    fn has_state(&self, tp: &TopicPartition) -> bool {
        self.context.partition(tp).is_some_and(|partition| partition.state.is_some())
    }

    async fn lead(&self, partitions: &[TopicPartition], is_new: bool) -> Result<(), Ended> {
        let partitions = self.context.leader_and_isr(self.broker, partitions, is_new);
        if partitions.is_empty() {
            return Ok(());
        }
        let (controller_id, controller_epoch) = (self.broker, self.elected.epoch);
        self.send(ControllerOutput::LeaderAndIsr { controller_id, controller_epoch, partitions, reply: None }).await
    }

    async fn publish_topics(&self, topics: &[Arc<str>]) -> Result<(), Ended> {
        let topics = self.context.topic_images(topics);
        if topics.is_empty() {
            return Ok(());
        }
        self.publish(MetadataDelta { topics, ..MetadataDelta::default() }).await
    }

    async fn publish(&self, delta: MetadataDelta) -> Result<(), Ended> {
        let (controller_id, controller_epoch) = (self.broker, self.elected.epoch);
        self.send(ControllerOutput::UpdateMetadata { controller_id, controller_epoch, delta }).await
    }

    async fn send(&self, output: ControllerOutput) -> Result<(), Ended> {
        self.outputs.send(output).await.map_err(|_| Ended::Stopping)
    }

    fn guarded<T>(&self, answer: Result<T, CoordinationError>) -> Result<T, Ended> {
        answer.map_err(|fault| match crate::coordination::cluster_store::is_controller_moved(&fault) {
            true => Ended::Moved,
            false => Ended::Store(fault),
        })
    }
}
