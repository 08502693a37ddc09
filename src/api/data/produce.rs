//! Produce (key 0), v0–11.
//! v2 append time · v3 transactional id, magic 2 only · v5 log start offset · v7 zstd (KIP-110) · v8 record errors (KIP-467)
//! · v10 current leader (KIP-951) · v11 as v10 (KIP-890)
//!
//! Transactions are not served: no coordinator could have added a partition to one, so transactional batches get what
//! Kafka answers for that, INVALID_TXN_STATE.

use bytes::{Bytes, BytesMut};
use smallvec::{SmallVec, smallvec};

use super::current_leader::current_leader;
use crate::{
    api::{BadRequest, Context, Reply},
    common::{ErrorCode, TopicPartition},
    metadata::MetadataImage,
    protocol::{
        chunk::Chunk,
        hot::produce::{ProducePartitionResponse, ProduceRequest, ProduceResponse, ProduceTopicResponse, RecordError},
        records::{batch::BatchHeader, iter::batches, produce::check_produce_records},
    },
    replication::{AppendRequest, AppendResult},
    storage::AppendOrigin,
};

/// Client id of Kafka's own tools, which may write to internal topics (`AdminUtils.ADMIN_CLIENT_ID`).
const ADMIN_CLIENT_ID: &str = "__admin_client";

pub async fn handle(ctx: &Context, body: BytesMut) -> Result<Reply, BadRequest> {
    let request = ProduceRequest::decode(ctx.version, body)
        .map_err(|fault| BadRequest(format!("cannot parse Produce version {}: {fault}", ctx.version)))?;
    let (acks, timeout_ms) = (request.acks, request.timeout_ms);
    let (mut response, plan) = admit(ctx, request);
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
}

/// Sorts out what can be refused without asking the log. Every partition has its place in the response already.
fn admit(ctx: &Context, request: ProduceRequest) -> (ProduceResponse, Plan) {
    let image = ctx.services.metadata.load();
    let refused_whole = request.transactional_id.is_none() && has_transactional_records(ctx.version, &request);
    let mut response = ProduceResponse::default();
    let mut plan = Plan { requests: Vec::with_capacity(request.topics.len()), places: SmallVec::new() };
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
                    plan.requests.push(AppendRequest { topic_partition, records });
                    plan.places.push((response.topics.len(), partitions.len()));
                }
                Err(refused) => {
                    outcome.error = refused.code;
                    outcome.error_message = refused.message.map(str::to_owned);
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
    message: Option<&'static str>,
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
    if is_transactional(version, records) {
        let message = Some("Partition was not added to the transaction");
        return Err(Refused { code: ErrorCode::InvalidTxnState, message });
    }
    Ok(TopicPartition::new(std::sync::Arc::clone(&known.name), partition))
}

fn has_transactional_records(version: i16, request: &ProduceRequest) -> bool {
    let partitions = request.topics.iter().flat_map(|topic| &topic.partitions);
    partitions.filter_map(|partition| partition.records.as_ref()).any(|records| is_transactional(version, records))
}

/// Decided on every batch, not on the request's field (S-7). From version 3 on more than one batch is refused anyway.
fn is_transactional(version: i16, records: &[u8]) -> bool {
    let of_transaction = |header: &BatchHeader| header.has_producer_id() && header.is_transactional();
    if version >= 3 {
        return BatchHeader::parse(records).is_ok_and(|header| of_transaction(&header));
    }
    batches(records).map_while(Result::ok).any(|batch| of_transaction(&batch.header))
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
