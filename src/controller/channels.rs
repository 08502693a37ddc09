//! The way to every other broker (class `ControllerChannelManager`): one ordered queue each, emptied by a task that asks
//! until it is answered. A broker that does not answer holds up nobody but itself; its queue goes with its registration.

use std::{sync::Arc, time::Duration};

use indexmap::IndexMap;
use tokio::{sync::mpsc, task::JoinHandle};

use super::{
    output::{LeaderAndIsrPartition, StopReplicaPartition},
    wire::{self, Versions},
};
use crate::{
    client::{Channel, ClientConfig, ClientError, Peer, peer_of},
    common::{BrokerId, ErrorCode, TopicPartition},
    metadata::{BrokerImage, MetadataUpdate},
};

/// Pause before a broker that did not answer is asked again (`RequestSendThread`).
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// How other brokers are reached.
#[derive(Debug, Clone)]
pub struct ChannelConfig {
    pub client: Arc<ClientConfig>,
    /// `inter.broker.listener.name`
    pub listener: String,
    pub versions: Versions,
}

/// Who decided, in every request.
#[derive(Debug, Clone, Copy)]
pub struct Decider {
    pub id: BrokerId,
    pub epoch: i32,
}

/// One request in the making: versions and broker epochs are put in when it is sent.
#[derive(Debug)]
pub enum ToBroker {
    LeaderAndIsr { partitions: Vec<LeaderAndIsrPartition>, leaders: Vec<Peer> },
    UpdateMetadata(Arc<MetadataUpdate>),
    StopReplica(Vec<StopReplicaPartition>),
}

/// What a broker answered.
#[derive(Debug)]
pub enum Feedback {
    Led { broker: BrokerId, codes: Vec<(TopicPartition, ErrorCode)> },
    Stopped { broker: BrokerId, codes: Vec<(TopicPartition, ErrorCode)> },
}

/// All channels of one reign; they end with it.
pub struct Channels {
    config: ChannelConfig,
    decider: Decider,
    feedback: mpsc::UnboundedSender<Feedback>,
    channels: IndexMap<BrokerId, BrokerChannel>,
}

struct BrokerChannel {
    /// Without a limit, as in Kafka: what is decided must be told, and the controller may not wait for a dead broker.
    queue: mpsc::UnboundedSender<ToBroker>,
    task: JoinHandle<()>,
}

impl Drop for BrokerChannel {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Channels {
    #[must_use]
    pub fn new(config: ChannelConfig, decider: Decider, feedback: mpsc::UnboundedSender<Feedback>) -> Self {
        Self { config, decider, feedback, channels: IndexMap::new() }
    }

    /// Opens the way to a broker; what was queued for an earlier life of it is dropped.
    pub fn add(&mut self, broker: &BrokerImage) {
        let Some(peer) = peer_of(broker, &self.config.listener) else {
            tracing::error!(broker = broker.id, listener = %self.config.listener, "a broker has no listener for its peers");
            self.remove(broker.id);
            return;
        };
        let (queue, requests) = mpsc::unbounded_channel();
        let sender = Sender {
            channel: Channel::new(peer, Arc::clone(&self.config.client)),
            broker: broker.id,
            broker_epoch: broker.epoch,
            decider: self.decider,
            versions: self.config.versions,
            feedback: self.feedback.clone(),
        };
        let task = tokio::spawn(sender.run(requests));
        self.channels.insert(broker.id, BrokerChannel { queue, task });
    }

    pub fn remove(&mut self, broker: BrokerId) {
        self.channels.swap_remove(&broker);
    }

    /// Never waits. A broker without a channel is gone, and so is its need to know.
    pub fn send(&self, broker: BrokerId, request: ToBroker) {
        if let Some(channel) = self.channels.get(&broker) {
            let _ = channel.queue.send(request);
        }
    }

    #[must_use]
    pub fn listener(&self) -> &str {
        &self.config.listener
    }
}

struct Sender {
    channel: Channel,
    broker: BrokerId,
    broker_epoch: i64,
    decider: Decider,
    versions: Versions,
    feedback: mpsc::UnboundedSender<Feedback>,
}

impl Sender {
    async fn run(mut self, mut requests: mpsc::UnboundedReceiver<ToBroker>) {
        while let Some(request) = requests.recv().await {
            while let Err(fault) = self.send(&request).await {
                if let ClientError::Unsendable(why) = fault {
                    tracing::error!(broker = self.broker, why, "a request to a broker cannot be sent");
                    break;
                }
                tracing::warn!(broker = self.broker, %fault, "a broker does not answer the controller; asking again");
                tokio::time::sleep(RETRY_AFTER).await;
            }
        }
    }

    async fn send(&mut self, request: &ToBroker) -> Result<(), ClientError> {
        let (broker, epoch) = (self.broker, self.broker_epoch);
        let (code, feedback) = match request {
            ToBroker::LeaderAndIsr { partitions, leaders } => {
                let version = self.versions.leader_and_isr;
                let asked = wire::leader_and_isr(version, self.decider, epoch, partitions, leaders);
                let answer = self.channel.send(&asked, version).await?;
                let codes = wire::led(partitions, &answer);
                (answer.error_code, Some(Feedback::Led { broker, codes }))
            }
            ToBroker::UpdateMetadata(update) => {
                let version = self.versions.update_metadata;
                let asked = wire::update_metadata(version, self.decider, epoch, update);
                (self.channel.send(&asked, version).await?.error_code, None)
            }
            ToBroker::StopReplica(partitions) => {
                // Before version 3 one request does one thing.
                for some in wire::alike(self.versions.stop_replica, partitions) {
                    self.stop_replica(&some).await?;
                }
                (0, None)
            }
        };
        if code != ErrorCode::None.code() {
            tracing::error!(broker, code = %ErrorCode::from_code(code), "a broker refuses what the controller decided");
        } else if let Some(feedback) = feedback {
            // Nobody listens once the reign is over.
            let _ = self.feedback.send(feedback);
        }
        Ok(())
    }

    async fn stop_replica(&mut self, partitions: &[StopReplicaPartition]) -> Result<(), ClientError> {
        let version = self.versions.stop_replica;
        let asked = wire::stop_replica(version, self.decider, self.broker_epoch, partitions);
        let answer = self.channel.send(&asked, version).await?;
        let codes = wire::stopped(partitions, &answer);
        let _ = self.feedback.send(Feedback::Stopped { broker: self.broker, codes });
        Ok(())
    }
}
