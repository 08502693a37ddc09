//! Asks transaction coordinators elsewhere whether partitions are in a transaction (class `AddPartitionsToTxnManager`,
//! KIP-890): one request in flight to each, and what comes meanwhile goes into the next.

use std::sync::Arc;

use indexmap::IndexMap;
use kafka_protocol::{
    messages::{
        AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, ProducerId as WireProducerId, TopicName,
        TransactionalId,
        add_partitions_to_txn_request::{AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction},
    },
    protocol::StrBytes,
};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use crate::{
    client::{Channel, ClientConfig, ClientError, peer_of},
    common::{BrokerId, ErrorCode, ProducerEpoch, ProducerId, TopicPartition},
    metadata::MetadataCache,
};

/// Highest version of AddPartitionsToTxn; and the first that brokers use among themselves.
const VERSION_MAX: i16 = 5;
const VERSION_MIN: i16 = 4;
/// Questions that may wait for one coordinator; more are told NETWORK_EXCEPTION, on which producers try again.
const QUESTIONS_MAX: usize = 4096;

/// One code per partition, or one for all of them.
pub type Verified = Result<Vec<(TopicPartition, ErrorCode)>, ErrorCode>;

/// The questions of all partitions led here. Cheap to share.
pub struct TxnVerifier {
    destinations: Arc<Destinations>,
    queues: Mutex<IndexMap<BrokerId, mpsc::Sender<Question>>>,
}

struct Destinations {
    metadata: Arc<MetadataCache>,
    inter_broker_listener: String,
    client: Arc<ClientConfig>,
}

struct Question {
    transactional_id: Arc<str>,
    producer: (ProducerId, ProducerEpoch),
    partitions: Vec<TopicPartition>,
    reply: oneshot::Sender<Verified>,
}

impl TxnVerifier {
    #[must_use]
    pub fn new(metadata: Arc<MetadataCache>, inter_broker_listener: String, client: Arc<ClientConfig>) -> Self {
        let destinations = Arc::new(Destinations { metadata, inter_broker_listener, client });
        Self { destinations, queues: Mutex::default() }
    }

    /// Whether the partitions are in the producer's transaction, as `coordinator` knows.
    pub async fn verify(
        &self,
        coordinator: BrokerId,
        transactional_id: &str,
        producer: (ProducerId, ProducerEpoch),
        partitions: Vec<TopicPartition>,
    ) -> Verified {
        let (reply, answer) = oneshot::channel();
        let question = Question { transactional_id: transactional_id.into(), producer, partitions, reply };
        if self.queue(coordinator).try_send(question).is_err() {
            return Err(ErrorCode::NetworkException);
        }
        answer.await.unwrap_or(Err(ErrorCode::NetworkException))
    }

    fn queue(&self, coordinator: BrokerId) -> mpsc::Sender<Question> {
        let mut queues = self.queues.lock();
        // The runtime a queue was begun on may have ended, when a broker stops.
        queues.retain(|_, queue| !queue.is_closed());
        let queue = queues.entry(coordinator).or_insert_with(|| {
            let (queue, questions) = mpsc::channel(QUESTIONS_MAX);
            tokio::spawn(Arc::clone(&self.destinations).serve(coordinator, questions));
            queue
        });
        queue.clone()
    }
}

impl Destinations {
    async fn serve(self: Arc<Self>, coordinator: BrokerId, mut questions: mpsc::Receiver<Question>) {
        let mut channel: Option<Channel> = None;
        while let Some(first) = questions.recv().await {
            let mut batch = Batch::default();
            batch.admit(first);
            while let Ok(next) = questions.try_recv() {
                batch.admit(next);
            }
            let image = self.metadata.image();
            let listener = &self.inter_broker_listener;
            let Some(peer) = image.brokers.get(&coordinator).and_then(|broker| peer_of(broker, listener)) else {
                batch.refuse_all(ErrorCode::CoordinatorNotAvailable);
                continue;
            };
            let channel = match &mut channel {
                Some(channel) if *channel.peer() == peer => channel,
                other => other.insert(Channel::new(peer, Arc::clone(&self.client))),
            };
            match ask(channel, &batch).await {
                Ok(response) => batch.answer(&response),
                // Too old to be asked: Kafka then writes without asking.
                Err(ClientError::UnsupportedVersion { .. }) => batch.accept_all(),
                Err(fault) => {
                    tracing::info!(coordinator, %fault, "transactions could not be verified");
                    batch.refuse_all(ErrorCode::NetworkException);
                }
            }
        }
    }
}

async fn ask(channel: &mut Channel, batch: &Batch) -> Result<AddPartitionsToTxnResponse, ClientError> {
    let version = channel.version_for::<AddPartitionsToTxnRequest>(VERSION_MAX).await?;
    if version < VERSION_MIN {
        let api_key = 24;
        return Err(ClientError::UnsupportedVersion { api_key, wanted: VERSION_MIN, min: 0, max: version });
    }
    channel.send(&batch.request(), version).await
}

/// Questions of one request, at most one of each transactional id.
#[derive(Default)]
struct Batch(IndexMap<Arc<str>, Question>);

impl Batch {
    /// Of two questions about one transaction the older producer's is fenced; of one producer's, the second is a retry
    /// of the first, which nobody waits for any more.
    fn admit(&mut self, question: Question) {
        if let Some(known) = self.0.get(&question.transactional_id)
            && known.producer.1 > question.producer.1
        {
            let _ = question.reply.send(Err(ErrorCode::InvalidProducerEpoch));
            return;
        }
        let epoch = question.producer.1;
        if let Some(known) = self.0.insert(Arc::clone(&question.transactional_id), question) {
            let is_older = known.producer.1 < epoch;
            let error = if is_older { ErrorCode::InvalidProducerEpoch } else { ErrorCode::NetworkException };
            let _ = known.reply.send(Err(error));
        }
    }

    fn request(&self) -> AddPartitionsToTxnRequest {
        AddPartitionsToTxnRequest::default().with_transactions(self.0.values().map(transaction).collect())
    }

    fn answer(self, response: &AddPartitionsToTxnResponse) {
        let whole = ErrorCode::from_code(response.error_code);
        if !whole.is_none() {
            tracing::error!(error = %whole, "a transaction coordinator refused to verify");
            // Not the producer's fault, and not to be told to it.
            let is_ours = whole == ErrorCode::ClusterAuthorizationFailed;
            return self.refuse_all(if is_ours { ErrorCode::InvalidTxnState } else { whole });
        }
        let mut told: IndexMap<(&str, &str, i32), ErrorCode> = IndexMap::new();
        for transaction in &response.results_by_transaction {
            for topic in &transaction.topic_results {
                told.extend(topic.results_by_partition.iter().map(|it| {
                    let key = (transaction.transactional_id.as_str(), topic.name.as_str(), it.partition_index);
                    (key, ErrorCode::from_code(it.partition_error_code))
                }));
            }
        }
        for (id, question) in self.0 {
            let one = |tp: TopicPartition| {
                let known = told.get(&(&*id, &*tp.topic, tp.partition)).copied();
                // Not to be written on the word of an answer that passes it over.
                (tp, known.unwrap_or(ErrorCode::NetworkException))
            };
            let _ = question.reply.send(Ok(question.partitions.into_iter().map(one).collect()));
        }
    }

    fn accept_all(self) {
        for question in self.0.into_values() {
            let _ = question.reply.send(Ok(question.partitions.into_iter().map(|tp| (tp, ErrorCode::None)).collect()));
        }
    }

    fn refuse_all(self, error: ErrorCode) {
        for question in self.0.into_values() {
            let _ = question.reply.send(Err(error));
        }
    }
}

fn transaction(question: &Question) -> AddPartitionsToTxnTransaction {
    let mut topics: IndexMap<&Arc<str>, Vec<i32>> = IndexMap::new();
    for tp in &question.partitions {
        topics.entry(&tp.topic).or_default().push(tp.partition);
    }
    let text = |text: &Arc<str>| StrBytes::from_string(text.to_string());
    let topic = |(name, partitions): (&Arc<str>, Vec<i32>)| {
        AddPartitionsToTxnTopic::default().with_name(TopicName(text(name))).with_partitions(partitions)
    };
    AddPartitionsToTxnTransaction::default()
        .with_transactional_id(TransactionalId(text(&question.transactional_id)))
        .with_producer_id(WireProducerId(question.producer.0))
        .with_producer_epoch(question.producer.1)
        .with_verify_only(true)
        .with_topics(topics.into_iter().map(topic).collect())
}

#[cfg(test)]
mod tests;
