//! Produce (key 0), v0–11.
//! v2 append time · v3 transactional id, magic 2 only · v5 log start offset · v7 zstd (KIP-110) · v8 record errors (KIP-467)
//! · v10 current leader (KIP-951) · v11 as v10 (KIP-890)

use bytes::{Bytes, BytesMut};
use smallvec::{SmallVec, smallvec};

use super::current_leader::current_leader;
use crate::{
    api::{
        BadRequest, Context, Reply,
        transaction::verify::{Writer, verify},
    },
    common::{ErrorCode, ProducerEpoch, ProducerId, TopicPartition},
    metadata::MetadataImage,
    protocol::{
        chunk::Chunk,
        hot::produce::{ProducePartitionResponse, ProduceRequest, ProduceResponse, ProduceTopicResponse, RecordError},
        records::{batch::BatchHeader, iter::batches, produce::check_produce_records},
    },
    replication::{AppendRequest, AppendResult},
    storage::{AppendOrigin, Verification},
};

/// Client id of Kafka's own tools, which may write to internal topics (`AdminUtils.ADMIN_CLIENT_ID`).
const ADMIN_CLIENT_ID: &str = "__admin_client";

pub async fn handle(ctx: &Context, body: BytesMut) -> Result<Reply, BadRequest> {
    let request = ProduceRequest::decode(ctx.version, body)
        .map_err(|fault| BadRequest(format!("cannot parse Produce version {}: {fault}", ctx.version)))?;
    let (acks, timeout_ms) = (request.acks, request.timeout_ms);
    let transactional_id = request.transactional_id.clone();
    let (mut response, mut plan) = admit(ctx, request);
    if let Some(id) = &transactional_id
        && !plan.transactional.is_empty()
    {
        verify_transaction(ctx, id, &mut plan, &mut response);
    }
    if !plan.requests.is_empty() {
        let internal_allowed = ctx.client_id.as_str() == ADMIN_CLIENT_ID;
        let replicas = &ctx.services.replicas;
        let results = replicas.append(plan.requests, acks, timeout_ms, AppendOrigin::Client, internal_allowed).await;
        for ((topic, partition), result) in plan.places.into_iter().zip(results) {
            fill(&mut response.topics[topic].partitions[partition], result);
        }
    }
    Ok(reply(ctx, response, acks))
}

/// What is to be appended, and where in the response each outcome belongs.
struct Plan {
    requests: Vec<AppendRequest>,
    places: SmallVec<[(usize, usize); 4]>,
    /// Which of `requests` are written in a transaction, by whom, and the sequence number they begin at.
    transactional: Vec<Transactional>,
}

struct Transactional {
    at: usize,
    producer: (ProducerId, ProducerEpoch),
    base_sequence: i32,
}

/// Sorts out what can be refused without asking the log. Every partition has its place in the response already.
fn admit(ctx: &Context, request: ProduceRequest) -> (ProduceResponse, Plan) {
    let image = ctx.services.metadata.load();
    let refused_whole = request.transactional_id.is_none() && has_transactional_records(ctx.version, &request);
    let mut response = ProduceResponse::default();
    let mut plan =
        Plan { requests: Vec::with_capacity(request.topics.len()), places: SmallVec::new(), transactional: Vec::new() };
    for topic in request.topics {
        let mut partitions = SmallVec::with_capacity(topic.partitions.len());
        for partition in topic.partitions {
            let records = partition.records.unwrap_or_default();
            let admitted = if refused_whole {
                Err(Refused::plain(ErrorCode::TransactionalIdAuthorizationFailed))
            } else {
                admit_partition(ctx.version, &image, &topic.name, partition.index, &records)
            };
            let mut outcome = ProducePartitionResponse::failed(partition.index, ErrorCode::None);
            match admitted {
                Ok(topic_partition) => {
                    let at = plan.requests.len();
                    let found = transactional_batches(ctx.version, &records).map(|batch| Transactional {
                        at,
                        producer: (batch.producer_id, batch.producer_epoch),
                        base_sequence: batch.base_sequence,
                    });
                    plan.transactional.extend(found);
                    let verification = Verification::NotRequired;
                    plan.requests.push(AppendRequest { topic_partition, records, verification });
                    plan.places.push((response.topics.len(), partitions.len()));
                }
                Err(refused) => {
                    outcome.error = refused.code;
                    outcome.error_message = refused.message;
                }
            }
            partitions.push(outcome);
        }
        response.topics.push(ProduceTopicResponse { name: topic.name, partitions });
    }
    (response, plan)
}

struct Refused {
    code: ErrorCode,
    message: Option<String>,
}

impl Refused {
    fn plain(code: ErrorCode) -> Self {
        Self { code, message: None }
    }
}

/// The partition, with the name that the image holds: no copy of the name is made.
fn admit_partition(
    version: i16,
    image: &MetadataImage,
    topic: &str,
    partition: i32,
    records: &[u8],
) -> Result<TopicPartition, Refused> {
    let known = image.topic(topic).filter(|_| image.partition(topic, partition).is_some());
    let Some(known) = known else { return Err(Refused::plain(ErrorCode::UnknownTopicOrPartition)) };
    check_produce_records(version, records).map_err(|(code, _)| Refused::plain(code))?;
    Ok(TopicPartition::new(std::sync::Arc::clone(&known.name), partition))
}

fn has_transactional_records(version: i16, request: &ProduceRequest) -> bool {
    let partitions = request.topics.iter().flat_map(|topic| &topic.partitions);
    partitions.filter_map(|partition| partition.records.as_ref()).any(|records| is_transactional(version, records))
}

fn is_transactional(version: i16, records: &[u8]) -> bool {
    transactional_batches(version, records).next().is_some()
}

/// Decided on every batch, not on the request's field (S-7). From version 3 on more than one batch is refused anyway.
fn transactional_batches(version: i16, records: &[u8]) -> impl Iterator<Item = BatchHeader> {
    let first = (version >= 3).then(|| BatchHeader::parse(records).ok()).flatten();
    let all = if version >= 3 { &[] } else { records };
    let headers = first.into_iter().chain(batches(all).map_while(Result::ok).map(|batch| batch.header));
    headers.filter(|header| header.has_producer_id() && header.is_transactional())
}

/// Takes out of the plan what its transaction's coordinator does not know of
/// (`ReplicaManager.handleProduceAppend`).
fn verify_transaction(ctx: &Context, transactional_id: &str, plan: &mut Plan, response: &mut ProduceResponse) {
    let mut transactional = std::mem::take(&mut plan.transactional);
    let Some(producer) = transactional.first().map(|first| first.producer) else { return };
    let refuse_all = transactional.iter().any(|other| other.producer != producer);
    transactional.dedup_by_key(|one| one.at);
    let mut refused: Vec<(usize, Refused)> = Vec::new();
    if refuse_all {
        let all = 0..plan.requests.len();
        refused.extend(all.map(|at| (at, Refused::plain(ErrorCode::InvalidProducerIdMapping))));
    } else {
        let asked: Vec<(TopicPartition, i32)> = transactional
            .iter()
            .map(|one| (plan.requests[one.at].topic_partition.clone(), one.base_sequence))
            .collect();
        let writer = Writer { transactional_id, producer, knows_abortable: ctx.version > 10 };
        for (one, outcome) in transactional.iter().zip(verify(&ctx.services, writer, &asked)) {
            match outcome {
                Ok(verification) => plan.requests[one.at].verification = verification,
                Err(error) => refused.push((one.at, unverified(error))),
            }
        }
    }
    for (at, refused) in refused.into_iter().rev() {
        plan.requests.remove(at);
        let (topic, partition) = plan.places.remove(at);
        let outcome = &mut response.topics[topic].partitions[partition];
        outcome.error = refused.code;
        outcome.error_message = refused.message;
    }
}

/// Codes of the coordinator in the words of a produce response.
fn unverified(error: ErrorCode) -> Refused {
    match error {
        ErrorCode::InvalidTxnState => {
            Refused { code: error, message: Some("Partition was not added to the transaction".to_owned()) }
        }
        // To be tried again; clients do that for this code without asking for metadata.
        ErrorCode::ConcurrentTransactions
        | ErrorCode::NetworkException
        | ErrorCode::CoordinatorLoadInProgress
        | ErrorCode::CoordinatorNotAvailable
        | ErrorCode::NotCoordinator => {
            let message = format!(
                "Unable to verify the partition has been added to the transaction. Underlying error: {}",
                error.name()
            );
            Refused { code: ErrorCode::NotEnoughReplicas, message: Some(message) }
        }
        other => Refused::plain(other),
    }
}

fn fill(outcome: &mut ProducePartitionResponse, result: AppendResult) {
    outcome.error = result.error;
    outcome.error_message = result.error_message;
    outcome.base_offset = result.base_offset;
    outcome.log_append_time_ms = result.log_append_time;
    outcome.log_start_offset = result.log_start_offset;
    let errors = result.record_errors.into_iter();
    outcome.record_errors =
        errors.map(|error| RecordError { batch_index: error.batch_index, message: Some(error.message) }).collect();
}

fn reply(ctx: &Context, mut response: ProduceResponse, acks: i16) -> Reply {
    if acks == 0 {
        let failed = |topic: &ProduceTopicResponse| topic.partitions.iter().any(|outcome| !outcome.error.is_none());
        if !response.topics.iter().any(failed) {
            return Reply::Nothing;
        }
        tracing::info!(client = ctx.client_id.as_str(), "closing connection: a produce with acks=0 failed");
        return Reply::Close;
    }
    if ctx.version >= 10 {
        name_leaders(ctx, &mut response);
    }
    let frame: Bytes = response.encode(ctx.correlation_id, ctx.version);
    Reply::Frame(smallvec![Chunk::Bytes(frame)])
}

fn name_leaders(ctx: &Context, response: &mut ProduceResponse) {
    let ProduceResponse { topics, node_endpoints, .. } = response;
    for topic in topics {
        for outcome in &mut topic.partitions {
            if outcome.error == ErrorCode::NotLeaderOrFollower {
                let image = ctx.services.metadata.load();
                outcome.current_leader = current_leader(ctx, &image, &topic.name, outcome.index, node_endpoints);
            }
        }
    }
}
