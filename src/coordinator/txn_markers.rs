//! Transaction markers: written to partitions led here ([`MarkerWriter`], the body of WriteTxnMarkers), and taken from
//! the transaction coordinator to whoever leads the partitions ([`MarkerSender`], class
//! `TransactionMarkerChannelManager`).

mod wire;

use std::{sync::Arc, time::Duration};

use indexmap::IndexMap;
use tokio::{sync::mpsc, task::JoinSet};

use super::{
    group::GroupCoordinator,
    transaction::{TransactionCoordinator, command::SendMarkers},
};
use crate::{
    client::{Channel, ClientConfig, peer_of},
    common::{
        BrokerId, Clock, ErrorCode, ProducerEpoch, ProducerId, TopicPartition,
        topic_name::{GROUP_METADATA_TOPIC, TRANSACTION_STATE_TOPIC},
    },
    metadata::{MetadataCache, MetadataImage},
    protocol::records::control::EndTransactionMarker,
    replication::{AppendRequest, ReplicaManager},
    storage::{AppendOrigin, Verification},
};

/// Before a marker that did not get through is tried again.
const RETRY_DELAY: Duration = Duration::from_millis(100);
/// Transactions whose markers go into one request.
const BATCH_MAX: usize = 256;
/// Dictated by `inter.broker.protocol.version`, not negotiated; the same since 2.8.
const WRITE_TXN_MARKERS_VERSION: i16 = 1;

/// The end of one producer's transaction in some partitions.
#[derive(Debug, Clone)]
pub struct TxnMarker {
    pub producer_id: ProducerId,
    pub producer_epoch: ProducerEpoch,
    pub coordinator_epoch: i32,
    pub is_commit: bool,
    pub partitions: Vec<TopicPartition>,
}

/// Writes markers to partitions that this broker leads.
pub struct MarkerWriter {
    pub replicas: Arc<ReplicaManager>,
    pub groups: Arc<GroupCoordinator>,
    pub clock: Arc<dyn Clock>,
    /// `request.timeout.ms`
    pub timeout_ms: i32,
}

impl MarkerWriter {
    /// One answer per partition, in their order, once the marker is replicated. Offsets that were committed in the
    /// transaction become visible, or vanish.
    pub async fn write(&self, marker: &TxnMarker) -> Vec<(TopicPartition, ErrorCode)> {
        let mut answers: IndexMap<&TopicPartition, ErrorCode> = IndexMap::new();
        let mut requests = Vec::with_capacity(marker.partitions.len());
        let end = EndTransactionMarker { is_commit: marker.is_commit, coordinator_epoch: marker.coordinator_epoch };
        for tp in &marker.partitions {
            if self.replicas.local_log(&tp.topic, tp.partition).is_none() {
                answers.insert(tp, ErrorCode::UnknownTopicOrPartition);
            } else if answers.insert(tp, ErrorCode::None).is_none() {
                let records = end.to_batch(self.clock.now_ms(), marker.producer_id, marker.producer_epoch);
                let verification = Verification::NotRequired;
                requests.push(AppendRequest { topic_partition: tp.clone(), records, verification });
            }
        }
        let written: Vec<TopicPartition> = requests.iter().map(|request| request.topic_partition.clone()).collect();
        let results = self.replicas.append(requests, -1, self.timeout_ms, AppendOrigin::Coordinator, true).await;
        let mut offsets_partitions = Vec::new();
        for (tp, result) in written.iter().zip(results) {
            if result.error.is_none() && &*tp.topic == GROUP_METADATA_TOPIC {
                offsets_partitions.push(tp.partition);
            }
            if let Some(answer) = answers.get_mut(tp) {
                *answer = result.error;
            }
        }
        if !offsets_partitions.is_empty() {
            self.groups.complete_transaction(marker.producer_id, &offsets_partitions, marker.is_commit);
        }
        answers.into_iter().map(|(tp, error)| (tp.clone(), error)).collect()
    }
}

/// Carries markers from the transaction coordinator to the partitions' leaders and the answers back.
pub struct MarkerSender {
    pub broker_id: BrokerId,
    pub metadata: Arc<MetadataCache>,
    pub transactions: Arc<TransactionCoordinator>,
    pub writer: Arc<MarkerWriter>,
    pub peers: MarkerPeers,
}

/// How the leaders elsewhere are reached.
#[derive(Clone)]
pub struct MarkerPeers {
    pub inter_broker_listener: String,
    pub client: Arc<ClientConfig>,
}

impl MarkerSender {
    /// Until the coordinator is dropped. All that it began ends with it.
    pub async fn run(self, mut markers: mpsc::UnboundedReceiver<SendMarkers>) {
        let this = Arc::new(self);
        let mut queues = Queues::default();
        // What is to be tried again, when its time has come. At most one entry of each transaction and destination
        // exists, so that the number of transactions bounds every queue here.
        let (due, mut retries) = mpsc::unbounded_channel();
        loop {
            let send = tokio::select! {
                biased;
                send = markers.recv() => match send {
                    Some(send) => send,
                    None => return,
                },
                Some(send) = retries.recv() => send,
            };
            if send.is_retry {
                let due = due.clone();
                queues.tasks.spawn(async move {
                    tokio::time::sleep(RETRY_DELAY).await;
                    let _ = due.send(SendMarkers { is_retry: false, ..send });
                });
            } else {
                this.route(send, &mut queues);
            }
            queues.reap();
        }
    }

    fn route(self: &Arc<Self>, send: SendMarkers, queues: &mut Queues) {
        let by_leader = destinations(&self.metadata.image(), self.broker_id, send.partitions.clone());
        for (destination, partitions) in by_leader {
            let part = SendMarkers { partitions, ..send.clone() };
            match destination {
                Destination::Gone => self.answer_all(part, ErrorCode::None),
                Destination::Unknown => self.answer_all(part, ErrorCode::NotLeaderOrFollower),
                // Each on its own: one that waits for its replicas must not hold up the others.
                Destination::Broker(id) if id == self.broker_id => {
                    queues.tasks.spawn(Arc::clone(self).write_here(part));
                }
                Destination::Broker(id) => queues.push(self, id, part),
            }
        }
    }

    async fn write_here(self: Arc<Self>, send: SendMarkers) {
        let marker = TxnMarker {
            producer_id: send.producer_id,
            producer_epoch: send.producer_epoch,
            coordinator_epoch: send.coordinator_epoch,
            is_commit: send.is_commit,
            partitions: send.partitions,
        };
        let answers = self.writer.write(&marker).await;
        self.transactions.markers_written(&send.transactional_id, send.coordinator_epoch, answers);
    }

    /// One request in flight; what comes meanwhile goes into the next.
    async fn serve(self: Arc<Self>, broker: BrokerId, mut queue: mpsc::UnboundedReceiver<SendMarkers>) {
        let mut channel: Option<Channel> = None;
        let mut batch = Vec::with_capacity(BATCH_MAX);
        while queue.recv_many(&mut batch, BATCH_MAX).await > 0 {
            let sends = std::mem::take(&mut batch);
            let listener = &self.peers.inter_broker_listener;
            let peer = self.metadata.load().brokers.get(&broker).and_then(|broker| peer_of(broker, listener));
            let Some(peer) = peer else {
                channel = None;
                self.answer_each(sends, ErrorCode::NotLeaderOrFollower);
                continue;
            };
            let channel = match &mut channel {
                Some(channel) if *channel.peer() == peer => channel,
                other => other.insert(Channel::new(peer, Arc::clone(&self.peers.client))),
            };
            match channel.send(&wire::request(&sends), WRITE_TXN_MARKERS_VERSION).await {
                Ok(response) => {
                    let told = wire::answers(&response);
                    for send in sends {
                        let answers = wire::of(&told, send.producer_id, send.partitions);
                        self.transactions.markers_written(&send.transactional_id, send.coordinator_epoch, answers);
                    }
                }
                Err(fault) => {
                    tracing::info!(broker, %fault, "transaction markers are to be sent again");
                    self.answer_each(sends, ErrorCode::NotLeaderOrFollower);
                }
            }
        }
    }

    fn answer_each(&self, sends: Vec<SendMarkers>, error: ErrorCode) {
        for send in sends {
            self.answer_all(send, error);
        }
    }

    fn answer_all(&self, send: SendMarkers, error: ErrorCode) {
        let answers = send.partitions.into_iter().map(|tp| (tp, error)).collect();
        self.transactions.markers_written(&send.transactional_id, send.coordinator_epoch, answers);
    }
}

/// One queue for each broker that was ever sent a marker, and all that runs for the sender.
#[derive(Default)]
struct Queues {
    by_broker: IndexMap<BrokerId, mpsc::UnboundedSender<SendMarkers>>,
    tasks: JoinSet<()>,
}

impl Queues {
    fn push(&mut self, sender: &Arc<MarkerSender>, broker: BrokerId, send: SendMarkers) {
        let tasks = &mut self.tasks;
        let queue = self.by_broker.entry(broker).or_insert_with(|| {
            let (queue, receiver) = mpsc::unbounded_channel();
            tasks.spawn(Arc::clone(sender).serve(broker, receiver));
            queue
        });
        // Its task lives as long as this set.
        let _ = queue.send(send);
    }

    fn reap(&mut self) {
        while self.tasks.try_join_next().is_some() {}
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Destination {
    Broker(BrokerId),
    /// Nobody leads it for now.
    Unknown,
    /// The partition was deleted: it needs no marker.
    Gone,
}

/// Partitions by who is to write their markers.
fn destinations(
    image: &MetadataImage,
    here: BrokerId,
    partitions: Vec<TopicPartition>,
) -> IndexMap<Destination, Vec<TopicPartition>> {
    // At start leadership is known before the image: only an image that shows our own topic can tell what is gone.
    let is_image_ready = image.topic(TRANSACTION_STATE_TOPIC).is_some();
    let mut found: IndexMap<Destination, Vec<TopicPartition>> = IndexMap::new();
    for tp in partitions {
        let destination = match image.partition(&tp.topic, tp.partition) {
            Some(partition) if partition.leader < 0 => Destination::Unknown,
            Some(partition) if partition.leader == here || image.brokers.contains_key(&partition.leader) => {
                Destination::Broker(partition.leader)
            }
            Some(_) => Destination::Unknown,
            None if is_image_ready => Destination::Gone,
            None => Destination::Unknown,
        };
        found.entry(destination).or_default().push(tp);
    }
    found
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::metadata::{MetadataDelta, PartitionImage, TopicImage};

    fn topic(name: &str, leaders: &[i32]) -> Arc<TopicImage> {
        let partition = |(partition, leader): (usize, &i32)| PartitionImage {
            partition: i32::try_from(partition).unwrap(),
            leader: *leader,
            leader_epoch: 0,
            partition_epoch: 0,
            isr: vec![1],
            replicas: vec![1],
            offline_replicas: Vec::new(),
        };
        let partitions = leaders.iter().enumerate().map(partition).collect();
        Arc::new(TopicImage { name: name.into(), id: Uuid::nil(), partitions })
    }

    /// A deleted partition needs no marker, but one that the image does not show yet does.
    #[test]
    fn only_a_complete_image_tells_what_is_gone() {
        let asked = || vec![TopicPartition::new("t", 0), TopicPartition::new("t", 1), TopicPartition::new("u", 0)];
        let mut image = MetadataImage::default();
        let found = destinations(&image, 1, asked());
        assert_eq!(found.keys().collect::<Vec<_>>(), [&Destination::Unknown]);
        image.apply(&MetadataDelta {
            topics: vec![topic("t", &[1, -1]), topic(TRANSACTION_STATE_TOPIC, &[1])],
            ..MetadataDelta::default()
        });
        let found = destinations(&image, 1, asked());
        let expected = [Destination::Broker(1), Destination::Unknown, Destination::Gone];
        assert_eq!(found.keys().copied().collect::<Vec<_>>(), expected);
    }
}
