//! AlterReplicaLogDirs (key 34), v0–2 (KIP-113).
//! v2 flexible

use indexmap::IndexMap;
use kafka_protocol::{
    messages::{
        AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse, TopicName,
        alter_replica_log_dirs_response::{AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult},
    },
    protocol::StrBytes,
};

use crate::{api::Context, common::TopicPartition};

#[allow(clippy::unused_async)]
pub async fn handle(ctx: &Context<'_>, request: AlterReplicaLogDirsRequest) -> AlterReplicaLogDirsResponse {
    // A partition named twice goes where it was named last.
    let mut wanted: IndexMap<(StrBytes, i32), StrBytes> = IndexMap::new();
    for dir in request.dirs {
        for topic in dir.topics {
            for partition in topic.partitions {
                wanted.insert((topic.name.0.clone(), partition), dir.path.clone());
            }
        }
    }
    let mut results: IndexMap<StrBytes, Vec<AlterReplicaLogDirPartitionResult>> = IndexMap::new();
    for ((topic, partition), dir) in wanted {
        let tp = TopicPartition::new(topic.as_str(), partition);
        let code = ctx.services.replicas.alter_replica_log_dir(&tp, &dir);
        let result =
            AlterReplicaLogDirPartitionResult::default().with_partition_index(partition).with_error_code(code.code());
        results.entry(topic).or_default().push(result);
    }
    let topics = results.into_iter().map(|(topic, partitions)| {
        AlterReplicaLogDirTopicResult::default().with_topic_name(TopicName(topic)).with_partitions(partitions)
    });
    AlterReplicaLogDirsResponse::default().with_results(topics.collect())
}
