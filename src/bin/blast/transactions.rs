//! Transactions as fast as they are taken: each producer adds its partition, produces, commits and begins again, on a
//! thread and a connection of its own. What is sent is made once; only the batch's sequence changes.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use hdrhistogram::Histogram;
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::{
    AddPartitionsToTxnRequest, EndTxnRequest, InitProducerIdRequest, ProducerId, TopicName, TransactionalId,
};
use kafka_protocol::protocol::StrBytes;

use super::call::{Call, frame};
use super::{TransactionsArgs, histogram, micros, own_cpu_seconds, produce::now_ms, quantiles, wire};

const CONCURRENT_TRANSACTIONS: i16 = 51;
const COORDINATOR_LOAD_IN_PROGRESS: i16 = 14;
const INIT_VERSION: i16 = 4;
const ADD_VERSION: i16 = 3;
const END_VERSION: i16 = 3;
const TIMEOUT_MS: i32 = 60_000;

/// What came of one producer.
struct Outcome {
    committed: u64,
    /// Answers CONCURRENT_TRANSACTIONS: the markers of the transaction before were not all written.
    early: u64,
    end_txn: Histogram<u64>,
    whole: Histogram<u64>,
}

pub fn all(args: &TransactionsArgs) -> Result<serde_json::Value> {
    let producers = (0..args.producers).map(|at| Producer::new(args, at)).collect::<Result<Vec<_>>>()?;
    let start = Instant::now();
    let end = start + Duration::from_secs_f64(args.seconds);
    let outcomes: Vec<Result<Outcome>> = thread::scope(|scope| {
        let running: Vec<_> = producers.into_iter().map(|producer| scope.spawn(move || producer.run(end))).collect();
        let joined = running.into_iter().map(|one| one.join().unwrap_or_else(|_| bail!("a producer panicked")));
        joined.collect()
    });
    let seconds = start.elapsed().as_secs_f64();
    let (mut committed, mut early, mut end_txn, mut whole) = (0, 0, histogram()?, histogram()?);
    for outcome in outcomes {
        let outcome = outcome?;
        committed += outcome.committed;
        early += outcome.early;
        end_txn.add(&outcome.end_txn)?;
        whole.add(&outcome.whole)?;
    }
    Ok(serde_json::json!({
        "mode": "transactions",
        "committed": committed,
        "seconds": seconds,
        "transactions_per_s": committed as f64 / seconds,
        "concurrent_transactions": early,
        "end_txn": quantiles(&end_txn),
        "latency": quantiles(&whole),
        "client_cpu_s": own_cpu_seconds(),
    }))
}

struct Producer {
    call: Call,
    topic: String,
    add: Vec<u8>,
    produce: Vec<u8>,
    /// Where in `produce` the batch lies.
    batch_at: usize,
    batch_len: usize,
    end: Vec<u8>,
    records: i32,
    backoff: Duration,
}

impl Producer {
    fn new(args: &TransactionsArgs, at: usize) -> Result<Self> {
        let name = format!("{}-{at}", args.target.topic);
        let mut call = Call::new(&args.target.bootstrap)?;
        call.find_coordinator(&name, 1)?;
        let id = TransactionalId(StrBytes::from_string(name.clone()));
        let (producer_id, epoch) = init(&mut call, &id)?;
        let partition = i32::try_from(at)? % args.target.partitions;
        let topic = AddPartitionsToTxnTopic::default()
            .with_name(TopicName(StrBytes::from_string(args.target.topic.clone())))
            .with_partitions(vec![partition]);
        let add = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(id.clone())
            .with_v3_and_below_producer_id(producer_id)
            .with_v3_and_below_producer_epoch(epoch)
            .with_v3_and_below_topics(vec![topic]);
        let end = EndTxnRequest::default()
            .with_transactional_id(id)
            .with_producer_id(producer_id)
            .with_producer_epoch(epoch)
            .with_committed(true);
        let mut batch = wire::batch_of(args.record_size, i64::from(args.records), now_ms());
        wire::stamp_producer(&mut batch, producer_id.0, epoch);
        let (produce, batch_at) = wire::produce_in(Some(&name), &args.target.topic, partition, -1, &batch);
        Ok(Self {
            call,
            topic: args.target.topic.clone(),
            add: frame(&add, ADD_VERSION)?.to_vec(),
            produce: produce.to_vec(),
            batch_at,
            batch_len: batch.len(),
            end: frame(&end, END_VERSION)?.to_vec(),
            records: args.records,
            backoff: Duration::from_secs_f64(args.backoff_ms / 1000.0),
        })
    }

    fn run(mut self, end: Instant) -> Result<Outcome> {
        let mut outcome = Outcome { committed: 0, early: 0, end_txn: histogram()?, whole: histogram()? };
        let mut sequence = 0;
        while Instant::now() < end {
            let began = Instant::now();
            while !self.has_begun()? {
                outcome.early += 1;
                thread::sleep(self.backoff);
            }
            wire::stamp_sequence(&mut self.produce[self.batch_at..self.batch_at + self.batch_len], sequence);
            sequence = sequence.checked_add(self.records).context("too many records")?;
            self.call.send(&self.produce)?;
            let answer = self.call.receive_raw()?;
            match wire::produce_error(&answer, &self.topic) {
                Some(0) => {}
                error => bail!("Produce is answered {error:?}"),
            }
            let ending = Instant::now();
            self.call.send(&self.end)?;
            let answer = self.call.receive::<EndTxnRequest>(END_VERSION)?;
            if answer.error_code != 0 {
                bail!("EndTxn is answered {}", answer.error_code);
            }
            let now = Instant::now();
            outcome.end_txn.saturating_record(micros(ending, now));
            outcome.whole.saturating_record(micros(began, now));
            outcome.committed += 1;
        }
        Ok(outcome)
    }

    fn has_begun(&mut self) -> Result<bool> {
        self.call.send(&self.add)?;
        let answer = self.call.receive::<AddPartitionsToTxnRequest>(ADD_VERSION)?;
        let mut results = answer.results_by_topic_v3_and_below.iter().flat_map(|topic| &topic.results_by_partition);
        match results.next().map(|result| result.partition_error_code) {
            Some(0) => Ok(true),
            Some(CONCURRENT_TRANSACTIONS) => Ok(false),
            other => bail!("AddPartitionsToTxn is answered {other:?}"),
        }
    }
}

fn init(call: &mut Call, id: &TransactionalId) -> Result<(ProducerId, i16)> {
    let request = InitProducerIdRequest::default()
        .with_transactional_id(Some(id.clone()))
        .with_transaction_timeout_ms(TIMEOUT_MS)
        .with_producer_id(ProducerId(-1))
        .with_producer_epoch(-1);
    for _ in 0..200 {
        let answer = call.ask(&request, INIT_VERSION)?;
        match answer.error_code {
            0 => return Ok((answer.producer_id, answer.producer_epoch)),
            COORDINATOR_LOAD_IN_PROGRESS..=16 | CONCURRENT_TRANSACTIONS => thread::sleep(Duration::from_millis(50)),
            error => bail!("InitProducerId is answered {error}"),
        }
    }
    bail!("InitProducerId is never answered");
}
