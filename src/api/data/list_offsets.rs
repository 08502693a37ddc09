//! ListOffsets (key 2), v0–9.
//! v0 a list of segment starts · v1 by record time · v2 isolation · v4 leader epoch (KIP-320) · v5 OFFSET_NOT_AVAILABLE
//! (KIP-207) · v7 max timestamp (KIP-734) · v8 earliest local (KIP-405) · v9 latest tiered (KIP-1005)

use std::{collections::BTreeSet, sync::Arc};

use kafka_protocol::messages::{
    ListOffsetsRequest, ListOffsetsResponse, TopicName,
    list_offsets_request::ListOffsetsPartition,
    list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse},
};

use crate::{
    api::Context,
    common::{BrokerId, ErrorCode, Timestamp, TopicPartition},
    replication::list_offsets::{
        EARLIEST_LOCAL_TIMESTAMP, EARLIEST_TIMESTAMP, LATEST_TIERED_TIMESTAMP, LATEST_TIMESTAMP, MAX_TIMESTAMP,
    },
    storage::FetchIsolation,
};

const CONSUMER_REPLICA_ID: BrokerId = -1;
/// Asks any replica, for debugging.
const DEBUGGING_REPLICA_ID: BrokerId = -2;
const READ_COMMITTED: i8 = 1;

#[allow(clippy::unused_async)]
pub async fn handle(ctx: &Context<'_>, request: ListOffsetsRequest) -> ListOffsetsResponse {
    let duplicates = duplicates(&request);
    let asker = Asker::of(&request);
    let topics = request.topics.into_iter().map(|topic| {
        let name: Arc<str> = topic_name(ctx, &topic.name);
        let partitions = topic.partitions.into_iter().map(|asked| {
            let tp = TopicPartition::new(Arc::clone(&name), asked.partition_index);
            if ctx.version == 0 {
                return segment_starts(ctx, &tp, &asked, asker);
            }
            if duplicates.contains(&tp) {
                return failed(&asked, ErrorCode::InvalidRequest);
            }
            if !is_supported(ctx.version, asked.timestamp) {
                return failed(&asked, ErrorCode::UnsupportedVersion);
            }
            by_time(ctx, &tp, &asked, asker)
        });
        let partitions = partitions.collect();
        ListOffsetsTopicResponse::default().with_name(topic.name).with_partitions(partitions)
    });
    ListOffsetsResponse::default().with_topics(topics.collect())
}

/// What the replica id and isolation level of a request mean.
#[derive(Debug, Clone, Copy)]
struct Asker {
    /// `None`: not a consumer; sees the log end.
    isolation: Option<FetchIsolation>,
    only_leader: bool,
}

impl Asker {
    fn of(request: &ListOffsetsRequest) -> Self {
        let isolation = match request.replica_id.0 {
            CONSUMER_REPLICA_ID if request.isolation_level == READ_COMMITTED => Some(FetchIsolation::TxnCommitted),
            CONSUMER_REPLICA_ID => Some(FetchIsolation::HighWatermark),
            _ => None,
        };
        Self { isolation, only_leader: request.replica_id.0 != DEBUGGING_REPLICA_ID }
    }
}

fn by_time(
    ctx: &Context<'_>,
    tp: &TopicPartition,
    asked: &ListOffsetsPartition,
    asker: Asker,
) -> ListOffsetsPartitionResponse {
    let replicas = &ctx.services.replicas;
    let epoch = asked.current_leader_epoch;
    let answer = replicas.list_offsets_from(tp, asked.timestamp, asker.isolation, epoch, asker.only_leader);
    let error = match answer.error {
        // The code is younger than these clients.
        ErrorCode::OffsetNotAvailable if ctx.version < 5 => ErrorCode::LeaderNotAvailable,
        error => error,
    };
    ListOffsetsPartitionResponse::default()
        .with_partition_index(asked.partition_index)
        .with_error_code(error.code())
        .with_timestamp(answer.timestamp)
        .with_offset(answer.offset)
        .with_leader_epoch(if ctx.version >= 4 { answer.leader_epoch } else { -1 })
}

/// Version 0: negative timestamps other than latest and earliest did not exist.
fn segment_starts(
    ctx: &Context<'_>,
    tp: &TopicPartition,
    asked: &ListOffsetsPartition,
    asker: Asker,
) -> ListOffsetsPartitionResponse {
    let response = ListOffsetsPartitionResponse::default().with_partition_index(asked.partition_index);
    if asked.timestamp < EARLIEST_TIMESTAMP {
        return response.with_error_code(ErrorCode::UnsupportedVersion.code());
    }
    let max_offsets = usize::try_from(asked.max_num_offsets).unwrap_or(0);
    let from_consumer = asker.isolation.is_some();
    let replicas = &ctx.services.replicas;
    match replicas.legacy_list_offsets(tp, asked.timestamp, max_offsets, from_consumer, asker.only_leader) {
        Ok(offsets) => response.with_old_style_offsets(offsets),
        Err(code) => response.with_error_code(code.code()),
    }
}

fn is_supported(version: i16, timestamp: Timestamp) -> bool {
    match timestamp {
        0.. | LATEST_TIMESTAMP | EARLIEST_TIMESTAMP => true,
        MAX_TIMESTAMP => version >= 7,
        EARLIEST_LOCAL_TIMESTAMP => version >= 8,
        LATEST_TIERED_TIMESTAMP => version >= 9,
        _ => false,
    }
}

/// Partitions that are asked for twice are refused, each time.
fn duplicates(request: &ListOffsetsRequest) -> BTreeSet<TopicPartition> {
    let mut seen = BTreeSet::new();
    let mut twice = BTreeSet::new();
    for topic in &request.topics {
        let mut indexes = topic.partitions.iter().map(|partition| partition.partition_index);
        // The usual request names a topic once and a partition or a few: nothing to remember.
        if request.topics.len() == 1 && topic.partitions.len() == 1 {
            break;
        }
        let name: Arc<str> = Arc::from(topic.name.as_str());
        twice.extend(indexes.by_ref().filter_map(|index| {
            let tp = TopicPartition::new(Arc::clone(&name), index);
            (!seen.insert(tp.clone())).then_some(tp)
        }));
    }
    twice
}

fn failed(asked: &ListOffsetsPartition, code: ErrorCode) -> ListOffsetsPartitionResponse {
    ListOffsetsPartitionResponse::default()
        .with_partition_index(asked.partition_index)
        .with_error_code(code.code())
        .with_timestamp(-1)
        .with_offset(-1)
}

/// The image's own copy of a topic's name, else a new one.
pub(super) fn topic_name(ctx: &Context<'_>, name: &TopicName) -> Arc<str> {
    let image = ctx.services.metadata.load();
    image.topic(name).map_or_else(|| Arc::from(name.as_str()), |topic| Arc::clone(&topic.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_timestamps_came_one_by_one() {
        for (timestamp, since) in [(-1, 1), (-2, 1), (-3, 7), (-4, 8), (-5, 9), (0, 1)] {
            for version in 1..=9 {
                assert_eq!(is_supported(version, timestamp), version >= since, "{timestamp} in v{version}");
            }
        }
        assert!(!is_supported(9, -6));
    }

    #[test]
    fn twice_asked_is_a_duplicate() {
        use kafka_protocol::messages::list_offsets_request::ListOffsetsTopic;
        let partition = |index| ListOffsetsPartition::default().with_partition_index(index);
        let topic = |partitions| {
            ListOffsetsTopic::default()
                .with_name(TopicName(kafka_protocol::protocol::StrBytes::from_static_str("t")))
                .with_partitions(partitions)
        };
        let request = ListOffsetsRequest::default()
            .with_topics(vec![topic(vec![partition(0), partition(1)]), topic(vec![partition(1)])]);
        assert_eq!(duplicates(&request).into_iter().collect::<Vec<_>>(), [TopicPartition::new("t", 1)]);
    }
}
