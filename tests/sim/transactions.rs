//! A transactional producer, as Kafka's is driven: it asks again where that is safe, begins anew with `InitProducerId` where
//! it is not, and a reader that leaves out what was aborted (KIP-98).

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bytes::Bytes;
use kafka_protocol::{
    messages::{
        AddPartitionsToTxnRequest, EndTxnRequest, FetchRequest, InitProducerIdRequest, ProduceRequest, TopicName,
        TransactionalId,
        add_partitions_to_txn_request::AddPartitionsToTxnTopic,
        fetch_request::{FetchPartition, FetchTopic},
        produce_request::{PartitionProduceData, TopicProduceData},
    },
    protocol::StrBytes,
};
use monedula::{
    common::ErrorCode,
    protocol::records::{
        builder::RecordBatchBuilder,
        control::ControlRecordType,
        iter::{batches, for_each_record_view},
    },
};
use parking_lot::Mutex;
use rand::Rng;

use super::{
    clients::{Client, number_of},
    history::History,
    ledger::End,
    world::TX_PARTITIONS,
};

pub const TX_TOPIC: &str = "x";
/// `transaction.timeout.ms`
pub const TX_TIMEOUT: Duration = Duration::from_secs(10);
const TRANSACTION: i8 = 1;
/// How often one step is asked again before the transaction is given up.
const PATIENCE: usize = 20;

pub struct TransactionalProducer {
    client: Client,
    id: TransactionalId,
    number: u64,
    /// Id and epoch; none before `InitProducerId`.
    producer: Option<(i64, i16)>,
    /// The next sequence of each partition in this epoch.
    sequences: BTreeMap<i32, i32>,
}

/// Why a step has not been done.
enum Failed {
    /// For certain, or as far as we know: begin anew.
    Fatal(ErrorCode),
    /// Asked as often as we ask, and nobody knows what became of it.
    Silence,
}

impl TransactionalProducer {
    pub fn new(client: Client, writer: u64) -> Self {
        let id = TransactionalId(StrBytes::from_string(format!("writer-{writer}")));
        Self { client, id, number: writer << 40, producer: None, sequences: BTreeMap::new() }
    }

    /// One transaction after another.
    pub async fn live(&mut self, history: &Mutex<History>) {
        loop {
            self.transact(history).await;
            tokio::time::sleep(self.client.tide.pause(700, 15)).await;
        }
    }

    /// One transaction, of one to four records.
    async fn transact(&mut self, history: &Mutex<History>) {
        let Some(producer) = self.init(history).await else { return };
        self.number += 1;
        let number = self.number << 8;
        let count = self.client.random.random_range(1..=4);
        let values: Vec<(i32, u64)> =
            (0..count).map(|at| (self.client.random.random_range(0..TX_PARTITIONS), number | at)).collect();
        history.lock().transactions.begins(number, values.iter().map(|(_, value)| *value).collect());
        tracing::info!(number = format!("{number:x}"), ?producer, ?values, "a transaction begins");
        let written = self.write(producer, &values).await;
        let is_written = written.is_ok();
        let commits = is_written && self.client.random.random_bool(0.75);
        if let Err(failed) = written {
            self.note(&failed, history);
            if matches!(failed, Failed::Fatal(_)) {
                // Whoever fenced us has aborted it, or the coordinator will.
                self.producer = None;
                history.lock().transactions.ends(number, End::Aborted);
                return;
            }
        }
        let is_certain = is_written;
        let known = if commits { End::Unknown } else { End::Aborted };
        tracing::info!(number = format!("{number:x}"), commits, "a transaction ends");
        history.lock().transactions.ends(number, known);
        match self.end(producer, commits).await {
            Ok(()) if commits => history.lock().transactions.ends(number, End::Committed),
            // Nobody knows which sequence a partition has come to: a new epoch counts from 0 (KIP-360).
            Ok(()) if !is_certain => self.producer = None,
            Ok(()) => {}
            Err(failed) => {
                self.note(&failed, history);
                self.producer = None;
            }
        }
    }

    fn note(&self, failed: &Failed, history: &Mutex<History>) {
        let name = match failed {
            Failed::Fatal(code) => code.name(),
            Failed::Silence => "silence",
        };
        tracing::info!(number = format!("{:x}", self.number << 8), name, "a step has failed");
        *history.lock().transactions.errors.entry(name).or_default() += 1;
    }

    async fn init(&mut self, history: &Mutex<History>) -> Option<(i64, i16)> {
        if self.producer.is_some() {
            return self.producer;
        }
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(self.id.clone()))
            .with_transaction_timeout_ms(TX_TIMEOUT.as_millis() as i32)
            .with_producer_id((-1).into())
            .with_producer_epoch(-1);
        let key = self.id.0.to_string();
        let answer = self.client.ask_coordinator(&key, TRANSACTION, &request, 4).await;
        match answer {
            Some(answer) if answer.error_code == 0 => {
                self.sequences.clear();
                self.producer = Some((answer.producer_id.0, answer.producer_epoch));
            }
            answer => {
                if let Some(answer) = answer {
                    self.note(&Failed::Fatal(ErrorCode::from_code(answer.error_code)), history);
                }
                self.client.forget_coordinator(&key);
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        }
        self.producer
    }

    async fn write(&mut self, producer: (i64, i16), values: &[(i32, u64)]) -> Result<(), Failed> {
        let partitions: BTreeSet<i32> = values.iter().map(|(partition, _)| *partition).collect();
        self.add_partitions(producer, &partitions).await?;
        for (partition, value) in values {
            self.produce(producer, *partition, *value).await?;
        }
        Ok(())
    }

    async fn add_partitions(&mut self, producer: (i64, i16), partitions: &BTreeSet<i32>) -> Result<(), Failed> {
        let topic = AddPartitionsToTxnTopic::default()
            .with_name(topic_name())
            .with_partitions(partitions.iter().copied().collect());
        let request = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(self.id.clone())
            .with_v3_and_below_producer_id(producer.0.into())
            .with_v3_and_below_producer_epoch(producer.1)
            .with_v3_and_below_topics(vec![topic]);
        let key = self.id.0.to_string();
        for _ in 0..PATIENCE {
            let answer = self.client.ask_coordinator(&key, TRANSACTION, &request, 3).await;
            let codes = answer.map(|answer| {
                let topics = answer.results_by_topic_v3_and_below;
                let codes = topics.iter().flat_map(|topic| &topic.results_by_partition);
                codes.map(|it| ErrorCode::from_code(it.partition_error_code)).collect::<Vec<_>>()
            });
            let first =
                codes.and_then(|codes| codes.iter().copied().find(|code| !code.is_none()).or(Some(ErrorCode::None)));
            if self.settled(&key, first).await? {
                return Ok(());
            }
        }
        Err(Failed::Silence)
    }

    /// Whether a step is done (`Ok(true)`), is to be asked again, or has failed for good.
    async fn settled(&mut self, key: &str, code: Option<ErrorCode>) -> Result<bool, Failed> {
        match code {
            Some(ErrorCode::None) => return Ok(true),
            Some(ErrorCode::ConcurrentTransactions | ErrorCode::CoordinatorLoadInProgress) => {}
            None
            | Some(
                ErrorCode::NotCoordinator
                | ErrorCode::CoordinatorNotAvailable
                | ErrorCode::UnknownTopicOrPartition
                | ErrorCode::OperationNotAttempted
                | ErrorCode::RequestTimedOut,
            ) => self.client.forget_coordinator(key),
            Some(code) => return Err(Failed::Fatal(code)),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        Ok(false)
    }

    /// The same batch again until it is known to be in: its sequence makes it one record.
    async fn produce(&mut self, producer: (i64, i16), partition: i32, value: u64) -> Result<(), Failed> {
        let sequence = self.sequences.get(&partition).copied().unwrap_or(0);
        let mut batch = RecordBatchBuilder::new(0).producer(producer.0, producer.1, sequence).transactional(true);
        batch.append(1_700_000_000_000, None, Some(&value.to_be_bytes()), &[]);
        let data = PartitionProduceData::default().with_index(partition).with_records(Some(batch.build().freeze()));
        let topic = TopicProduceData::default().with_name(topic_name()).with_partition_data(vec![data]);
        let request = ProduceRequest::default()
            .with_transactional_id(Some(self.id.clone()))
            .with_acks(-1)
            .with_timeout_ms(3000)
            .with_topic_data([topic].into_iter().collect());
        for _ in 0..PATIENCE {
            let code = match self.client.leader_of(TX_TOPIC, partition).await {
                None => None,
                Some((leader, _)) => self.client.ask(leader, &request, 8).await.and_then(|response| {
                    let topic = response.responses.into_iter().next()?;
                    Some(ErrorCode::from_code(topic.partition_responses.into_iter().next()?.error_code))
                }),
            };
            match code {
                Some(ErrorCode::None | ErrorCode::DuplicateSequenceNumber) => {
                    self.sequences.insert(partition, sequence + 1);
                    return Ok(());
                }
                None
                | Some(
                    ErrorCode::NotLeaderOrFollower
                    | ErrorCode::LeaderNotAvailable
                    | ErrorCode::UnknownTopicOrPartition
                    | ErrorCode::NotEnoughReplicas
                    | ErrorCode::NotEnoughReplicasAfterAppend
                    | ErrorCode::RequestTimedOut
                    | ErrorCode::KafkaStorageError
                    | ErrorCode::CoordinatorLoadInProgress
                    | ErrorCode::CoordinatorNotAvailable
                    | ErrorCode::NetworkException
                    | ErrorCode::NotCoordinator,
                ) => self.client.forget_leader_of(TX_TOPIC, partition),
                Some(code) => return Err(Failed::Fatal(code)),
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Err(Failed::Silence)
    }

    async fn end(&mut self, producer: (i64, i16), commits: bool) -> Result<(), Failed> {
        let request = EndTxnRequest::default()
            .with_transactional_id(self.id.clone())
            .with_producer_id(producer.0.into())
            .with_producer_epoch(producer.1)
            .with_committed(commits);
        let key = self.id.0.to_string();
        for _ in 0..PATIENCE {
            let answer = self.client.ask_coordinator(&key, TRANSACTION, &request, 3).await;
            let code = answer.map(|answer| ErrorCode::from_code(answer.error_code));
            if self.settled(&key, code).await? {
                return Ok(());
            }
        }
        Err(Failed::Silence)
    }
}

/// One partition, read from the start with `isolation.level=read_committed`.
pub struct CommittedReader {
    client: Client,
    partition: i32,
    next: i64,
    /// The end at the last answer: nothing open is below it once both marks agree with `next`.
    pub high_watermark: i64,
}

impl CommittedReader {
    pub fn new(client: Client, partition: i32) -> Self {
        Self { client, partition, next: 0, high_watermark: -1 }
    }

    pub fn is_at_the_end(&self) -> bool {
        self.next == self.high_watermark
    }

    /// Polls for ever.
    pub async fn live(&mut self, history: &Mutex<History>) {
        loop {
            self.poll(history).await;
            self.client.rest().await;
        }
    }

    pub async fn poll(&mut self, history: &Mutex<History>) {
        let Some((leader, epoch)) = self.client.leader_of(TX_TOPIC, self.partition).await else {
            return tokio::time::sleep(Duration::from_millis(200)).await;
        };
        let wanted = FetchPartition::default()
            .with_partition(self.partition)
            .with_current_leader_epoch(epoch)
            .with_fetch_offset(self.next)
            .with_partition_max_bytes(1 << 20);
        let topic = FetchTopic::default().with_topic(topic_name()).with_partitions(vec![wanted]);
        let request = FetchRequest::default()
            .with_max_wait_ms(self.client.max_wait_ms())
            .with_min_bytes(1)
            .with_max_bytes(1 << 20)
            .with_isolation_level(1)
            .with_topics(vec![topic]);
        let answer = self.client.ask(leader, &request, 11).await;
        let data = answer.and_then(|response| response.responses.into_iter().next()?.partitions.into_iter().next());
        let Some(data) = data.filter(|data| data.error_code == 0) else {
            self.client.forget_leader_of(TX_TOPIC, self.partition);
            return tokio::time::sleep(Duration::from_millis(100)).await;
        };
        let aborted = data.aborted_transactions.unwrap_or_default();
        let aborted: Vec<(i64, i64)> = aborted.iter().map(|it| (it.first_offset, it.producer_id.0)).collect();
        let records = data.records.unwrap_or_default();
        let (values, next) = committed(&records, aborted, self.next);
        self.next = next;
        self.high_watermark = data.high_watermark;
        let mut history = history.lock();
        let History { transactions, anomalies, .. } = &mut *history;
        if data.last_stable_offset > data.high_watermark {
            anomalies.push(format!("partition {}: the last stable offset is above the high watermark", self.partition));
        }
        for (offset, value) in values {
            transactions.was_read(self.partition, offset, value, anomalies);
        }
    }
}

/// What a consumer hands out of `records`, and where it reads on (`CompletedFetch.nextFetchedRecord`).
fn committed(records: &Bytes, mut aborted: Vec<(i64, i64)>, from: i64) -> (Vec<(i64, u64)>, i64) {
    aborted.sort_unstable();
    let mut aborted = aborted.into_iter().peekable();
    let mut leaving_out = BTreeSet::new();
    let mut found = Vec::new();
    let mut next = from;
    for batch in batches(records).map_while(Result::ok) {
        let header = &batch.header;
        while let Some((_, producer)) = aborted.next_if(|(first, _)| *first <= header.last_offset()) {
            leaving_out.insert(producer);
        }
        next = next.max(header.last_offset() + 1);
        for_each_record_view(batch.bytes, &mut |record| {
            if header.is_control() {
                let kind = record.key.map(ControlRecordType::parse);
                if matches!(kind, Some(Ok(ControlRecordType::Abort))) {
                    leaving_out.remove(&header.producer_id);
                }
            } else if record.offset >= from && !(header.is_transactional() && leaving_out.contains(&header.producer_id))
            {
                found.extend(number_of(record.value).map(|value| (record.offset, value)));
            }
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    }
    (found, next)
}

fn topic_name() -> TopicName {
    TopicName(StrBytes::from_static_str(TX_TOPIC))
}
