//! One term as controller: what is read, asked of `state`, written and told. One file per kind of news; what brokers are
//! to be told gathers in a batch and leaves at the end of each piece of news.

mod brokers;
mod commands;
mod partitions;
mod reassignments;
mod topics;

use std::{mem, sync::Arc};

use indexmap::IndexSet;
use tokio::sync::{
    mpsc::{self, UnboundedReceiver, UnboundedSender},
    oneshot,
};

use super::{
    channels::{Channels, Decider, Feedback, ToBroker},
    command::{Command, CommandQueue},
    event_loop::{ControllerConfig, Ended, Pending},
    loader::load,
    output::{ControllerOutput, LeaderAndIsrPartition, StopReplicaPartition},
    state::{
        ControllerContext,
        partition_states::led_by,
        requests::{Batch, BrokerRequests, Update},
    },
};
use crate::{
    client::{Peer, peer_of},
    common::{BrokerId, ErrorCode, TopicPartition},
    config::BrokerConfig,
    coordination::{
        ClusterStore, CoordinationError,
        cluster_store::{ElectedController, is_controller_moved},
    },
    metadata::{MetadataDelta, MetadataUpdate},
};

pub(super) struct Reign<'a> {
    cluster: &'a ClusterStore,
    config: &'a ControllerConfig,
    elected: ElectedController,
    outputs: &'a mpsc::Sender<ControllerOutput>,
    commands: &'a mut CommandQueue,
    context: ControllerContext,
    channels: Channels,
    /// The broker in this process answers here, as the others do.
    feedback: UnboundedSender<Feedback>,
    batch: Batch,
}

impl Drop for Reign<'_> {
    fn drop(&mut self) {
        self.commands.close();
    }
}

impl<'a> Reign<'a> {
    pub(super) fn new(
        cluster: &'a ClusterStore,
        config: &'a ControllerConfig,
        elected: ElectedController,
        outputs: &'a mpsc::Sender<ControllerOutput>,
        commands: &'a mut CommandQueue,
    ) -> (Self, UnboundedReceiver<Feedback>) {
        let (feedback, answers) = mpsc::unbounded_channel();
        let decider = Decider { id: config.broker_id, epoch: elected.epoch };
        let channels = Channels::new(config.channels.clone(), decider, feedback.clone());
        let context = ControllerContext::default();
        let reign =
            Self { cluster, config, elected, outputs, commands, context, channels, feedback, batch: Batch::default() };
        (reign, answers)
    }

    /// From here on commands are taken.
    pub(super) fn open(&self) {
        self.commands.open();
    }

    pub(super) async fn next_command(&mut self) -> Option<Command> {
        self.commands.commands.recv().await
    }

    /// Brings the gauges up to date.
    pub(super) fn count(&self) {
        self.commands.count(&self.context.census());
    }

    fn broker(&self) -> BrokerId {
        self.config.broker_id
    }

    /// Whether topics have ids (protocol 2.8).
    fn gives_topic_ids(&self) -> bool {
        self.config.channels.versions.topic_ids
    }

    fn keys(&self) -> Arc<BrokerConfig> {
        self.config.keys.snapshot()
    }

    /// Loads the cluster and tells everybody what is so now: each broker gets one LeaderAndIsr and one UpdateMetadata.
    pub(super) async fn begin(&mut self, clean_start: bool) -> Result<(), Ended> {
        self.cluster.create_feature_node(self.config.channels.versions.feature_node).await?;
        // What they announce is read from the state itself; from here on they are waited for.
        self.guarded(self.cluster.take_log_dir_failures(self.elected.guard).await)?;
        self.guarded(self.cluster.take_isr_changes(self.elected.guard).await)?;
        self.context = self.guarded(load(self.cluster, self.elected, self.gives_topic_ids()).await)?;
        self.context.leader_recovery = self.config.channels.versions.leader_recovery;
        let others = self.context.brokers.values().filter(|broker| broker.id != self.config.broker_id);
        others.for_each(|broker| self.channels.add(broker));
        let marked = self.cluster.topics_marked_for_deletion(true).await?;
        self.forget_deletions_if_disabled(&marked).await?;
        if self.keys().general.delete_topic_enable {
            for topic in &marked {
                self.context.adopt_deletion(topic);
            }
        }
        // Leaders' addresses first: followers need them.
        self.batch.brokers([]);
        self.flush().await?;
        let known: Vec<TopicPartition> =
            self.context.all_partitions().into_iter().filter(|tp| self.has_state(tp)).collect();
        self.elect(known.clone(), false).await?;
        if !clean_start {
            let led = led_by(&self.context, self.broker());
            self.change(led, ControllerContext::new_epoch).await?;
        }
        for tp in &known {
            self.batch.lead(&self.context, tp, false);
        }
        let topics: Vec<Arc<str>> = self.context.topics.keys().cloned().collect();
        self.create_partitions(&topics).await?;
        self.flush().await?;
        tracing::info!(topics = topics.len(), partitions = known.len(), "controller has loaded the cluster");
        self.resume_reassignments(|_| true).await?;
        self.on_reassignment_wish().await?;
        self.on_preferred_wish().await?;
        self.on_deletions(marked).await
    }

    pub(super) async fn handle(&mut self, pending: Pending) -> Result<(), Ended> {
        if pending.controller && self.cluster.controller(true).await? != Some(self.broker()) {
            return Err(Ended::Moved);
        }
        if pending.brokers {
            self.on_brokers().await?;
        }
        if pending.topics {
            self.on_topics().await?;
        }
        if !pending.topic_data.is_empty() {
            self.load_topics(pending.topic_data.into_iter().collect()).await?;
        }
        if pending.deletions {
            let marked = self.cluster.topics_marked_for_deletion(true).await?;
            self.on_deletions(marked).await?;
        }
        if pending.log_dirs {
            self.on_log_dirs().await?;
        }
        if pending.isr_changes {
            self.on_isr_changes().await?;
        }
        if pending.reassignments {
            self.on_reassignment_wish().await?;
        }
        if pending.preferred {
            self.on_preferred_wish().await?;
        }
        self.flush().await
    }

    /// Tells what has gathered: other brokers by their queues, the one in this process by the outputs.
    async fn flush(&mut self) -> Result<(), Ended> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let batch = mem::take(&mut self.batch);
        let me = self.broker();
        let mut updates = Updates { batch: &batch, context: &self.context, me, changes: None, everything: None };
        for broker in self.context.brokers.keys().copied().filter(|id| *id != me) {
            let BrokerRequests { lead, update, stop } = batch.requests(&self.context, broker);
            let update = update.map(|update| ToBroker::UpdateMetadata(updates.get(update)));
            let lead = (!lead.is_empty()).then(|| {
                let leaders = self.leaders_of(&lead);
                ToBroker::LeaderAndIsr { partitions: lead, leaders }
            });
            // Kafka's brokers follow only a leader whose address they know: other brokers are told of first.
            let order = if batch.shows_brokers() { [update, lead] } else { [lead, update] };
            order.into_iter().flatten().for_each(|request| self.channels.send(broker, request));
            if !stop.is_empty() {
                self.channels.send(broker, ToBroker::StopReplica(stop));
            }
        }
        let BrokerRequests { lead, update, stop } = batch.requests(&self.context, me);
        let delta = update.map(|_| self.delta(&batch));
        if !lead.is_empty() {
            self.lead_here(lead).await?;
        }
        if let Some(delta) = delta {
            self.publish(delta).await?;
        }
        if !stop.is_empty() {
            self.stop_here(stop).await?;
        }
        Ok(())
    }

    /// Where the leaders of these listen.
    fn leaders_of(&self, partitions: &[LeaderAndIsrPartition]) -> Vec<Peer> {
        let leaders: IndexSet<BrokerId> = partitions.iter().map(|it| it.leader).collect();
        let brokers = leaders.iter().filter_map(|id| self.context.brokers.get(id));
        brokers.filter_map(|broker| peer_of(broker, self.channels.listener())).collect()
    }

    fn delta(&self, batch: &Batch) -> MetadataDelta {
        let (deleted_topics, shown): (Vec<Arc<str>>, Vec<Arc<str>>) =
            batch.topics().into_iter().partition(|topic| self.context.is_deleting(topic));
        let topics = shown.iter().filter_map(|topic| self.context.topic_image(topic)).collect();
        let brokers = batch.shows_brokers().then(|| self.context.brokers.values().cloned().collect());
        let controller = batch.shows_brokers().then_some(Some(self.broker()));
        MetadataDelta { controller, brokers, topics, deleted_topics }
    }

    async fn lead_here(&self, partitions: Vec<LeaderAndIsrPartition>) -> Result<(), Ended> {
        let names: Vec<TopicPartition> = partitions.iter().map(|it| it.topic_partition.clone()).collect();
        let (reply, answer) = oneshot::channel();
        self.answer_later(answer, move |broker, codes| {
            let codes = codes.unwrap_or_default();
            Feedback::Led { broker, codes: names.into_iter().zip(codes).collect() }
        });
        let (controller_id, controller_epoch) = (self.broker(), self.elected.epoch);
        let reply = Some(reply);
        self.send(ControllerOutput::LeaderAndIsr { controller_id, controller_epoch, partitions, reply }).await
    }

    async fn stop_here(&self, partitions: Vec<StopReplicaPartition>) -> Result<(), Ended> {
        let asked = partitions.clone();
        let (reply, answer) = oneshot::channel();
        self.answer_later(answer, move |broker, codes| {
            let codes = codes.unwrap_or_else(|| vec![ErrorCode::UnknownServerError; asked.len()]);
            let answered = asked.into_iter().zip(codes).filter(|(it, _)| it.delete);
            Feedback::Stopped { broker, codes: answered.map(|(it, code)| (it.topic_partition, code)).collect() }
        });
        let (controller_id, controller_epoch) = (self.broker(), self.elected.epoch);
        self.send(ControllerOutput::StopReplica { controller_id, controller_epoch, partitions, reply }).await
    }

    /// The broker here must not be waited for: it may wait for this controller itself.
    fn answer_later(
        &self,
        answer: oneshot::Receiver<Vec<ErrorCode>>,
        feedback: impl FnOnce(BrokerId, Option<Vec<ErrorCode>>) -> Feedback + Send + 'static,
    ) {
        let (sender, broker) = (self.feedback.clone(), self.broker());
        tokio::spawn(async move {
            // Nobody listens once the reign is over.
            let _ = sender.send(feedback(broker, answer.await.ok()));
        });
    }

    async fn publish(&self, delta: MetadataDelta) -> Result<(), Ended> {
        let (controller_id, controller_epoch) = (self.broker(), self.elected.epoch);
        self.send(ControllerOutput::UpdateMetadata { controller_id, controller_epoch, delta }).await
    }

    async fn send(&self, output: ControllerOutput) -> Result<(), Ended> {
        self.outputs.send(output).await.map_err(|_| Ended::Stopping)
    }

    fn guarded<T>(&self, answer: Result<T, CoordinationError>) -> Result<T, Ended> {
        answer.map_err(|fault| if is_controller_moved(&fault) { Ended::Moved } else { Ended::Store(fault) })
    }
}

/// The two contents an UpdateMetadata can have, made once for all brokers.
struct Updates<'a> {
    batch: &'a Batch,
    context: &'a ControllerContext,
    me: BrokerId,
    changes: Option<Arc<MetadataUpdate>>,
    everything: Option<Arc<MetadataUpdate>>,
}

impl Updates<'_> {
    fn get(&mut self, update: Update) -> Arc<MetadataUpdate> {
        let (batch, context, me) = (self.batch, self.context, self.me);
        let made = match update {
            Update::Changes => self.changes.get_or_insert_with(|| Arc::new(batch.changes(context, me))),
            Update::Everything => self.everything.get_or_insert_with(|| {
                let all = context.all_partitions();
                let shown = all.iter().filter(|tp| !context.is_deleting(&tp.topic));
                Arc::new(context.update_of(me, shown))
            }),
        };
        Arc::clone(made)
    }
}
