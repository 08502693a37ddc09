//! From what was read to a Fetch response: what the session leaves out, what old versions cannot carry, down-conversion.

use std::{os::unix::fs::FileExt, sync::Arc};

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;
use uuid::Uuid;

use super::{
    current_leader::current_leader,
    fetch::Plan,
    fetch_session::{FetchContext, Outcome},
};
use crate::{
    api::Context,
    common::{BrokerId, ErrorCode, chance, ids::NO_OFFSET},
    config::topic::BrokerCompression,
    protocol::{
        chunk::{FileRegion, Records},
        hot::{
            NodeEndpoint,
            fetch::{AbortedTxn, DivergingEpoch, FetchPartitionOut, FetchResponse, FetchTopic},
        },
        records::convert::down_convert,
    },
    replication::{FetchPartition, FetchPartitionData},
};

const NO_REPLICA: BrokerId = -1;

/// A fetch that has been read: what was asked, and what came of it, in the order of `plan.fetches`.
pub(super) struct Answer {
    pub(super) context: FetchContext,
    pub(super) plan: Plan,
    pub(super) data: Vec<FetchPartitionData>,
    pub(super) from_follower: bool,
}

/// The response, before it is encoded. Those that were refused unread come last, as in Kafka.
pub(super) fn make(ctx: &Context<'_>, answer: Answer) -> FetchResponse {
    let Answer { context, plan, data, from_follower } = answer;
    let read = plan.positions.iter().zip(&data).map(|(position, data)| (*position, outcome(data)));
    let refused = plan.erroneous.iter().map(|(position, _, _)| (*position, REFUSED));
    let outcomes: SmallVec<[(usize, Outcome); 4]> = read.chain(refused).collect();
    let mut sent: SmallVec<[usize; 4]> = SmallVec::new();
    let services = &ctx.services;
    let verdict = context.answer(
        services.clock.monotonic_ms(),
        &services.fetch_sessions,
        || i32::try_from(chance::number(1..i32::MAX.into())).unwrap_or(1),
        outcomes.iter().copied(),
        |place| sent.push(place),
    );
    let mut response =
        FetchResponse { error: verdict.error, session_id: verdict.session_id, ..FetchResponse::default() };
    // Places come in ascending order.
    let mut sent = sent.into_iter().peekable();
    for (place, (wanted, data)) in plan.fetches.iter().zip(data).enumerate() {
        if sent.next_if_eq(&place).is_some() {
            let out = partition_out(ctx, wanted, data, from_follower, &mut response.node_endpoints);
            push(&mut response.topics, &wanted.topic_partition.topic, wanted.topic_id, out);
        }
    }
    let nameless: Arc<str> = Arc::from("");
    for place in sent {
        if let Some((_, requested, code)) = plan.erroneous.get(place - plan.fetches.len()) {
            let out = FetchPartitionOut::failed(requested.partition, *code);
            push(&mut response.topics, requested.topic.as_ref().unwrap_or(&nameless), requested.topic_id, out);
        }
    }
    response
}

const REFUSED: Outcome =
    Outcome { bytes: 0, high_watermark: NO_OFFSET, log_start_offset: NO_OFFSET, is_error: true, is_notice: false };

fn outcome(data: &FetchPartitionData) -> Outcome {
    Outcome {
        bytes: data.records.len(),
        high_watermark: data.high_watermark,
        log_start_offset: data.log_start_offset,
        is_error: !data.error.is_none(),
        is_notice: data.diverging.is_some() || data.preferred_read_replica.is_some(),
    }
}

/// Neighbours of one topic share an entry.
fn push(topics: &mut Vec<FetchTopic>, name: &Arc<str>, topic_id: Uuid, out: FetchPartitionOut) {
    match topics.last_mut() {
        Some(last) if last.topic_id == topic_id && last.name == *name => last.partitions.push(out),
        _ => topics.push(FetchTopic { name: Arc::clone(name), topic_id, partitions: vec![out] }),
    }
}

fn partition_out(
    ctx: &Context<'_>,
    wanted: &FetchPartition,
    data: FetchPartitionData,
    from_follower: bool,
    endpoints: &mut Vec<NodeEndpoint>,
) -> FetchPartitionOut {
    let tp = &wanted.topic_partition;
    let records = match for_version(ctx, wanted, data.records, from_follower) {
        Ok(records) => records,
        Err(code) => return FetchPartitionOut::failed(tp.partition, code),
    };
    count_bytes_out(ctx, &tp.topic, records.len(), from_follower);
    let moved = matches!(data.error, ErrorCode::NotLeaderOrFollower | ErrorCode::FencedLeaderEpoch);
    FetchPartitionOut {
        index: tp.partition,
        error: error_for_version(ctx.version, data.error),
        high_watermark: data.high_watermark,
        last_stable_offset: data.last_stable_offset,
        log_start_offset: data.log_start_offset,
        aborted: data.aborted.map(|aborted| {
            let aborted = aborted.into_iter();
            aborted.map(|txn| AbortedTxn { producer_id: txn.producer_id, first_offset: txn.first_offset }).collect()
        }),
        preferred_read_replica: data.preferred_read_replica.unwrap_or(NO_REPLICA),
        diverging_epoch: data
            .diverging
            .map(|diverging| DivergingEpoch { epoch: diverging.leader_epoch, end_offset: diverging.offset }),
        current_leader: if moved && ctx.version >= 16 {
            current_leader(ctx, &ctx.services.metadata.load(), &tp.topic, tp.partition, endpoints)
        } else {
            None
        },
        records,
    }
}

/// Clients before version 6 take KAFKA_STORAGE_ERROR for a reason to give up; this makes them look elsewhere.
fn error_for_version(version: i16, error: ErrorCode) -> ErrorCode {
    if error == ErrorCode::KafkaStorageError && version <= 5 { ErrorCode::NotLeaderOrFollower } else { error }
}

/// The records in a shape that the client's version knows.
fn for_version(
    ctx: &Context<'_>,
    wanted: &FetchPartition,
    records: Records,
    from_follower: bool,
) -> Result<Records, ErrorCode> {
    if ctx.version >= 10 {
        return Ok(records);
    }
    let tp = &wanted.topic_partition;
    let Some(log) = ctx.services.replicas.local_log(&tp.topic, tp.partition) else { return Ok(records) };
    let config = log.config();
    if config.compression == BrokerCompression::Zstd {
        return Err(ErrorCode::UnsupportedCompressionType);
    }
    let to_magic = match ctx.version {
        ..=1 => 0,
        2..=3 => 1,
        _ => return Ok(records),
    };
    if !from_follower && !config.message_downconversion_enable {
        return Err(ErrorCode::UnsupportedVersion);
    }
    let stored = match records {
        Records::Empty => return Ok(Records::Empty),
        Records::Memory(bytes) => bytes,
        Records::File(region) => read(&region).map_err(|fault| {
            tracing::error!(partition = %tp, %fault, "cannot read records for down-conversion");
            error_for_version(ctx.version, ErrorCode::KafkaStorageError)
        })?,
    };
    let converted = down_convert(&stored, to_magic, wanted.fetch_offset).map_err(|fault| fault.code())?;
    ctx.services.replicas.topic_stats().all_topics.fetch_message_conversions.mark(1);
    // Nothing is left of a batch that a hard limit cut.
    Ok(if converted.is_empty() { Records::Empty } else { Records::Memory(converted) })
}

fn read(region: &FileRegion) -> std::io::Result<Bytes> {
    let mut bytes = BytesMut::zeroed(region.length);
    region.file.read_exact_at(&mut bytes, region.position)?;
    Ok(bytes.freeze())
}

fn count_bytes_out(ctx: &Context<'_>, topic: &Arc<str>, bytes: usize, from_follower: bool) {
    if bytes == 0 {
        return;
    }
    let stats = ctx.services.replicas.topic_stats();
    if from_follower {
        stats.all_topics.replication_bytes_out.mark(bytes as u64);
    } else {
        stats.all_topics.bytes_out.mark(bytes as u64);
        stats.topic(topic).bytes_out.mark(bytes as u64);
    }
}
