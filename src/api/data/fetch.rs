//! Fetch (key 1), v0–17.
//! v3 response limit, at least one message · v4 isolation, magic 2 · v5 log start offset · v7 sessions (KIP-227) · v9 leader
//! epoch (KIP-320) · v10 zstd (KIP-110) · v11 rack (KIP-392) · v12 last fetched epoch (KIP-595) · v13 topic ids (KIP-516) ·
//! v15 replica state (KIP-903) · v16 endpoints (KIP-951) · v17 directory id (KIP-853)

use std::sync::Arc;

use bytes::BytesMut;
use kafka_protocol::messages::FetchRequest;
use smallvec::SmallVec;
use uuid::Uuid;

use super::{
    fetch_answer::{self, Answer},
    fetch_session::{FetchContext, Requested, SessionKey, SessionRequest},
};
use crate::{
    api::{BadRequest, Context, Reply, dispatch::decode},
    common::{BrokerId, ErrorCode, TopicPartition},
    metadata::MetadataImage,
    replication::{FetchParams, FetchPartition},
    storage::FetchIsolation,
};

/// A fetch that is not a consumer's and not a follower's may read to the log's end, for debugging.
const CONSUMER_REPLICA_ID: BrokerId = -1;
const READ_COMMITTED: i8 = 1;

pub async fn handle(ctx: &Context<'_>, body: BytesMut) -> Result<Reply, BadRequest> {
    let request: FetchRequest = decode(ctx, body)?;
    let params = params(ctx, &request);
    let context = session_context(ctx, request, params.replica_id >= 0);
    let plan = Plan::of(ctx, &context);
    let data =
        if plan.fetches.is_empty() { Vec::new() } else { ctx.services.replicas.fetch(&params, &plan.fetches).await };
    let response = fetch_answer::make(ctx, Answer { context, plan, data, from_follower: params.replica_id >= 0 });
    ctx.count_errors(&response);
    let frame = response
        .encode(ctx.correlation_id, ctx.version)
        .map_err(|fault| BadRequest(format!("cannot answer Fetch: {fault}")))?;
    Ok(Reply::Frame(frame))
}

fn params(ctx: &Context<'_>, request: &FetchRequest) -> FetchParams {
    let replica_id = if ctx.version >= 15 { request.replica_state.replica_id.0 } else { request.replica_id.0 };
    let max_bytes = request.max_bytes.min(ctx.services.replicas.config().fetch_max_bytes);
    FetchParams {
        replica_id,
        replica_epoch: if ctx.version >= 15 { request.replica_state.replica_epoch } else { -1 },
        max_wait_ms: request.max_wait_ms,
        min_bytes: request.min_bytes.min(max_bytes),
        max_bytes,
        isolation: match replica_id {
            CONSUMER_REPLICA_ID if request.isolation_level == READ_COMMITTED => FetchIsolation::TxnCommitted,
            CONSUMER_REPLICA_ID => FetchIsolation::HighWatermark,
            _ => FetchIsolation::LogEnd,
        },
        hard_max_bytes: ctx.version <= 2,
        client_rack: (ctx.version >= 11).then(|| request.rack_id.as_str().to_owned()),
    }
}

fn session_context(ctx: &Context<'_>, request: FetchRequest, from_follower: bool) -> FetchContext {
    let image = ctx.services.metadata.load();
    let uses_topic_ids = ctx.version >= 13;
    let named = |name: &str, id: Uuid| topic_name(&image, uses_topic_ids, name, id);
    let mut partitions = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let (name, topic_id) = (named(&topic.topic, topic.topic_id), topic.topic_id);
        partitions.extend(topic.partitions.iter().map(|asked| Requested {
            topic: name.clone(),
            topic_id: if uses_topic_ids { topic_id } else { Uuid::nil() },
            partition: asked.partition,
            fetch_offset: asked.fetch_offset,
            log_start_offset: asked.log_start_offset,
            max_bytes: asked.partition_max_bytes,
            current_leader_epoch: asked.current_leader_epoch,
            last_fetched_epoch: asked.last_fetched_epoch,
        }));
    }
    let mut forgotten = Vec::new();
    for topic in &request.forgotten_topics_data {
        let name = named(&topic.topic, topic.topic_id);
        forgotten.extend(topic.partitions.iter().map(|partition| match &name {
            Some(name) if !uses_topic_ids => SessionKey::Name(Arc::clone(name), *partition),
            _ => SessionKey::Id(topic.topic_id, *partition),
        }));
    }
    let session = SessionRequest {
        session_id: request.session_id,
        epoch: request.session_epoch,
        uses_topic_ids,
        from_follower,
        partitions,
        forgotten,
    };
    ctx.services.fetch_sessions.new_context(ctx.services.clock.monotonic_ms(), session)
}

/// The image's own copy of the name where there is one; an id that is not in the image has none.
fn topic_name(image: &MetadataImage, uses_topic_ids: bool, name: &str, id: Uuid) -> Option<Arc<str>> {
    if uses_topic_ids {
        return name_of_id(image, id);
    }
    Some(image.topic(name).map_or_else(|| Arc::from(name), |topic| Arc::clone(&topic.name)))
}

/// The nil id is no id, though topics of before KIP-516 carry it.
fn name_of_id(image: &MetadataImage, id: Uuid) -> Option<Arc<str>> {
    if id.is_nil() { None } else { image.topics_by_id.get(&id).cloned() }
}

/// What is read, and what is refused unread. Positions are those of the session's reading order.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) fetches: Vec<FetchPartition>,
    pub(super) positions: SmallVec<[usize; 4]>,
    pub(super) erroneous: Vec<(usize, Requested, ErrorCode)>,
}

impl Plan {
    fn of(ctx: &Context<'_>, context: &FetchContext) -> Self {
        let image = ctx.services.metadata.load();
        let mut plan = Self::default();
        let mut position = 0;
        let resolve = |id| name_of_id(&image, id);
        context.for_each(resolve, |requested| {
            match admit(&image, requested) {
                Ok(fetch) => {
                    plan.fetches.push(fetch);
                    plan.positions.push(position);
                }
                Err(code) => plan.erroneous.push((position, requested.clone(), code)),
            }
            position += 1;
        });
        plan
    }
}

fn admit(image: &MetadataImage, requested: &Requested) -> Result<FetchPartition, ErrorCode> {
    let Some(topic) = &requested.topic else { return Err(ErrorCode::UnknownTopicId) };
    if image.partition(topic, requested.partition).is_none() {
        return Err(ErrorCode::UnknownTopicOrPartition);
    }
    Ok(FetchPartition {
        topic_partition: TopicPartition::new(Arc::clone(topic), requested.partition),
        topic_id: requested.topic_id,
        fetch_offset: requested.fetch_offset,
        log_start_offset: requested.log_start_offset,
        max_bytes: requested.max_bytes,
        current_leader_epoch: requested.current_leader_epoch,
        last_fetched_epoch: requested.last_fetched_epoch,
    })
}
