//! Produce (key 0), v0–11.
//! v2 append time · v3 transactional id, magic 2 only · v5 log start offset · v7 zstd (KIP-110) · v8 record errors (KIP-467)
//! · v10 current leader (KIP-951) · v11 as v10 (KIP-890)

use bytes::{Bytes, BytesMut};
use indexmap::IndexMap;
use kafka_protocol::protocol::StrBytes;
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
        records::{
            batch::BatchHeader,
            iter::batches,
            produce::{begins_transactional, check_produce_records},
        },
    },
    replication::{AppendRequest, AppendResult},
    storage::{AppendOrigin, Verification},
};

/// Client id of Kafka's own tools, which may write to internal topics (`AdminUtils.ADMIN_CLIENT_ID`).
const ADMIN_CLIENT_ID: &str = "__admin_client";

pub async fn handle(ctx: &Context<'_>, body: BytesMut) -> Result<Reply, BadRequest> {
    let request = ProduceRequest::decode(ctx.version, body)
        .map_err(|fault| BadRequest(format!("cannot parse Produce version {}: {fault}", ctx.version)))?;
    let (acks, timeout_ms) = (request.acks, request.timeout_ms);
    if let Some(refused) = refuse_whole(ctx.version, &request) {
        return Ok(reply(ctx, refuse_all(request, &refused), acks));
    }
    let transactional_id = request.transactional_id.clone();
    let (mut response, mut plan) = admit(ctx, request);
    if let Some(id) = &transactional_id
        && !plan.transactional.is_empty()
    {
        verify_transaction(ctx, id, &mut plan, &mut response).await;
    }
    if !plan.requests.is_empty() {
        let internal_allowed = ctx.client_id.as_bytes() == ADMIN_CLIENT_ID.as_bytes();
        let replicas = &ctx.services.replicas;
        let results = replicas.append(plan.requests, acks, timeout_ms, AppendOrigin::Client, internal_allowed).await;
        for ((topic, partition), result) in plan.places.into_iter().zip(results) {
            fill(&mut response.topics[topic].partitions[partition], result);
        }
    }
    if !(plan.unknown.is_empty() && plan.invalid.is_empty()) {
        add_refused(&mut response, plan.unknown.into_iter().chain(plan.invalid));
    }
    Ok(reply(ctx, response, acks))
}

/// An outcome that needed no log, and its topic.
type RefusedPartition = (StrBytes, ProducePartitionResponse);

/// What is to be appended, where in the response each outcome belongs, and what is refused without asking the log.
#[derive(Default)]
struct Plan {
    requests: Vec<AppendRequest>,
    places: SmallVec<[(usize, usize); 4]>,
    /// Which of `requests` are written in a transaction, by whom, and the sequence number they begin at.
    transactional: Vec<Transactional>,
    /// Partitions that do not exist.
    unknown: Vec<RefusedPartition>,
    /// Records that a request of this version may not carry.
    invalid: Vec<RefusedPartition>,
}

struct Transactional {
    at: usize,
    producer: (ProducerId, ProducerEpoch),
    base_sequence: i32,
}

/// Sorts out what can be refused without asking the log. What goes to the log has its place in the response already.
fn admit(ctx: &Context<'_>, request: ProduceRequest) -> (ProduceResponse, Plan) {
    let image = ctx.services.metadata.load();
    let mut response = ProduceResponse::default();
    let mut plan = Plan { requests: Vec::with_capacity(request.topics.len()), ..Plan::default() };
    for topic in request.topics {
        let mut partitions = SmallVec::with_capacity(topic.partitions.len());
        for partition in topic.partitions {
            let records = partition.records.unwrap_or_default();
            let mut outcome = ProducePartitionResponse::failed(partition.index, ErrorCode::None);
            match admit_partition(ctx.version, &image, &topic.name, partition.index, &records) {
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
                    partitions.push(outcome);
                }
                Err(refused) => {
                    let unknown = refused.code == ErrorCode::UnknownTopicOrPartition;
                    outcome.error = refused.code;
                    outcome.error_message = refused.message;
                    let place = if unknown { &mut plan.unknown } else { &mut plan.invalid };
                    place.push((topic.name.clone(), outcome));
                }
            }
        }
        if !partitions.is_empty() {
            response.topics.push(ProduceTopicResponse { name: topic.name, partitions });
        }
    }
    (response, plan)
}

/// Kafka answers for what it asked the log first, then for unknown partitions, then for invalid records.
fn add_refused(response: &mut ProduceResponse, refused: impl Iterator<Item = RefusedPartition>) {
    let topics = response.topics.iter().enumerate();
    let mut places: IndexMap<StrBytes, usize, ahash::RandomState> =
        topics.map(|(at, topic)| (topic.name.clone(), at)).collect();
    for (name, outcome) in refused {
        let at = *places.entry(name).or_insert_with_key(|name| {
            response.topics.push(ProduceTopicResponse { name: name.clone(), partitions: SmallVec::new() });
            response.topics.len() - 1
        });
        response.topics[at].partitions.push(outcome);
    }
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

/// What makes Kafka refuse all partitions of a request: bytes of which it cannot even tell whether they belong to a
/// transaction, and a transaction's records without the transaction's name.
fn refuse_whole(version: i16, request: &ProduceRequest) -> Option<Refused> {
    let unnamed = request.transactional_id.is_none();
    let refused = Refused::plain(ErrorCode::TransactionalIdAuthorizationFailed);
    let partitions = || request.topics.iter().flat_map(|topic| &topic.partitions);
    for records in partitions().filter_map(|partition| partition.records.as_ref()) {
        match begins_transactional(records) {
            Ok(false) => {}
            Ok(true) => return unnamed.then_some(refused),
            Err((code, message)) => return Some(Refused { code, message: Some(message) }),
        }
    }
    // Later batches too, which Kafka does not look at (S-7); from version 3 on more than one is refused anyway.
    let hidden = version < 3
        && partitions().filter_map(|it| it.records.as_ref()).any(|records| is_transactional(version, records));
    (unnamed && hidden).then_some(refused)
}

fn refuse_all(request: ProduceRequest, refused: &Refused) -> ProduceResponse {
    let topics = request.topics.into_iter().map(|topic| ProduceTopicResponse {
        name: topic.name,
        partitions: topic
            .partitions
            .iter()
            .map(|partition| {
                let mut outcome = ProducePartitionResponse::failed(partition.index, refused.code);
                outcome.error_message.clone_from(&refused.message);
                outcome
            })
            .collect(),
    });
    ProduceResponse { topics: topics.collect(), ..ProduceResponse::default() }
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
async fn verify_transaction(
    ctx: &Context<'_>,
    transactional_id: &str,
    plan: &mut Plan,
    response: &mut ProduceResponse,
) {
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
        for (one, outcome) in transactional.iter().zip(verify(ctx.services, writer, &asked).await) {
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

fn reply(ctx: &Context<'_>, mut response: ProduceResponse, acks: i16) -> Reply {
    if acks == 0 {
        let failed = |topic: &ProduceTopicResponse| topic.partitions.iter().any(|outcome| !outcome.error.is_none());
        if !response.topics.iter().any(failed) {
            return Reply::Nothing;
        }
        ctx.count_errors(&response);
        tracing::info!(client = ctx.client_id.as_str(), "closing connection: a produce with acks=0 failed");
        return Reply::Close;
    }
    ctx.count_errors(&response);
    if ctx.version >= 10 {
        name_leaders(ctx, &mut response);
    }
    let frame: Bytes = response.encode(ctx.correlation_id, ctx.version);
    Reply::Frame(smallvec![Chunk::Bytes(frame)])
}

fn name_leaders(ctx: &Context<'_>, response: &mut ProduceResponse) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{
        hot::produce::{ProducePartition, ProduceTopic},
        records::RecordBatchBuilder,
    };

    fn records(transactional: bool) -> BytesMut {
        let mut batch = RecordBatchBuilder::new(0).producer(5, 0, 0).transactional(transactional);
        batch.append(1, None, Some(b"v"), &[]);
        batch.build()
    }

    fn request(partitions: Vec<BytesMut>, transactional_id: Option<&'static str>) -> ProduceRequest {
        let partitions = partitions.into_iter().zip(0..);
        ProduceRequest {
            transactional_id: transactional_id.map(StrBytes::from_static_str),
            acks: -1,
            timeout_ms: 0,
            topics: smallvec![ProduceTopic {
                name: StrBytes::from_static_str("t"),
                partitions: partitions
                    .map(|(records, index)| ProducePartition { index, records: Some(records) })
                    .collect(),
            }],
        }
    }

    #[test]
    fn a_batch_that_cannot_be_told_apart_spoils_its_whole_request() {
        let mut bad = records(false);
        bad[16] = 3;
        let request = request(vec![records(false), bad], None);
        let refused = refuse_whole(9, &request).unwrap();
        assert_eq!(refused.code, ErrorCode::CorruptMessage);
        assert_eq!(refused.message.as_deref(), Some("Invalid magic found in record: 3"));
        let answer = refuse_all(request, &refused);
        assert_eq!(answer.topics[0].partitions.len(), 2);
        assert!(answer.topics[0].partitions.iter().all(|it| it.error == ErrorCode::CorruptMessage));
    }

    #[test]
    fn records_of_a_transaction_need_its_name() {
        let code = |request| refuse_whole(9, &request).map(|refused| refused.code);
        let denied = Some(ErrorCode::TransactionalIdAuthorizationFailed);
        assert_eq!(code(request(vec![records(false), records(true)], None)), denied);
        assert_eq!(code(request(vec![records(false), records(true)], Some("id"))), None);
        assert_eq!(code(request(vec![records(false), BytesMut::new()], None)), None);
        // In a version that allows several batches, behind one that belongs to none.
        let both = BytesMut::from(&[records(false), records(true)].concat()[..]);
        assert_eq!(refuse_whole(2, &request(vec![both], None)).map(|it| it.code), denied);
    }

    #[test]
    fn what_the_log_was_asked_comes_first() {
        let outcome = |index, code| ProducePartitionResponse::failed(index, code);
        let (a, b) = (StrBytes::from_static_str("a"), StrBytes::from_static_str("b"));
        let mut response = ProduceResponse::default();
        let partitions = smallvec![outcome(0, ErrorCode::None)];
        response.topics.push(ProduceTopicResponse { name: b.clone(), partitions });
        let refused = [
            (a, outcome(3, ErrorCode::UnknownTopicOrPartition)),
            (b.clone(), outcome(9, ErrorCode::UnknownTopicOrPartition)),
            (b, outcome(1, ErrorCode::CorruptMessage)),
        ];
        add_refused(&mut response, refused.into_iter());
        let found: Vec<_> = response
            .topics
            .iter()
            .map(|it| (it.name.as_str(), it.partitions.iter().map(|it| it.index).collect::<Vec<_>>()))
            .collect();
        assert_eq!(found, [("b", vec![0, 9, 1]), ("a", vec![3])]);
    }
}
