//! DescribeLogDirs (key 35), v0–4 (KIP-113).
//! v2 flexible · v3 error of the whole · v4 total and usable bytes (KIP-827)

use std::collections::BTreeSet;

use indexmap::IndexMap;
use kafka_protocol::{
    messages::{
        DescribeLogDirsRequest, DescribeLogDirsResponse, TopicName,
        describe_log_dirs_response::{DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic},
    },
    protocol::StrBytes,
};

use crate::{api::Context, common::TopicPartition, replication::LogDirInfo};

#[allow(clippy::unused_async)]
pub async fn handle(ctx: &Context<'_>, request: DescribeLogDirsRequest) -> DescribeLogDirsResponse {
    // Null asks for everything, an empty list for the dirs alone.
    let wanted: Option<BTreeSet<(&str, i32)>> = request.topics.as_ref().map(|topics| {
        topics.iter().flat_map(|topic| topic.partitions.iter().map(|index| (topic.topic.as_str(), *index))).collect()
    });
    let is_wanted =
        |tp: &TopicPartition| wanted.as_ref().is_none_or(|wanted| wanted.contains(&(&*tp.topic, tp.partition)));
    let dirs = ctx.services.replicas.describe_log_dirs(is_wanted);
    DescribeLogDirsResponse::default().with_results(dirs.into_iter().map(result).collect())
}

fn result(dir: LogDirInfo) -> DescribeLogDirsResult {
    let mut topics: IndexMap<std::sync::Arc<str>, Vec<DescribeLogDirsPartition>> = IndexMap::new();
    for partition in dir.partitions {
        let described = DescribeLogDirsPartition::default()
            .with_partition_index(partition.topic_partition.partition)
            .with_partition_size(partition.size_bytes)
            .with_offset_lag(partition.offset_lag)
            .with_is_future_key(partition.is_future);
        topics.entry(partition.topic_partition.topic).or_default().push(described);
    }
    let topics = topics.into_iter().map(|(name, partitions)| {
        let name = TopicName(StrBytes::from_string(name.to_string()));
        DescribeLogDirsTopic::default().with_name(name).with_partitions(partitions)
    });
    DescribeLogDirsResult::default()
        .with_error_code(dir.error.code())
        .with_log_dir(StrBytes::from_string(dir.path))
        .with_total_bytes(dir.total_bytes)
        .with_usable_bytes(dir.usable_bytes)
        .with_topics(topics.collect())
}
