//! DeleteRecords (key 21), v0–2.
//! v2 flexible

use std::sync::Arc;

use futures::future::join_all;
use kafka_protocol::messages::{
    DeleteRecordsRequest, DeleteRecordsResponse,
    delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult},
};

use super::list_offsets::topic_name;
use crate::{
    api::Context,
    common::{ErrorCode, TopicPartition, ids::NO_OFFSET},
    replication::DeleteRecordsResult,
};

pub async fn handle(ctx: &Context<'_>, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let timeout_ms = request.timeout_ms;
    let topics = request.topics.into_iter().map(async |topic| {
        let name = topic_name(ctx, &topic.name);
        let partitions = topic.partitions.into_iter().map(async |asked| {
            let tp = TopicPartition::new(Arc::clone(&name), asked.partition_index);
            let result = delete(ctx, &tp, asked.offset, timeout_ms).await;
            DeleteRecordsPartitionResult::default()
                .with_partition_index(asked.partition_index)
                .with_low_watermark(result.low_watermark)
                .with_error_code(result.error.code())
        });
        let partitions = join_all(partitions).await;
        DeleteRecordsTopicResult::default().with_name(topic.name).with_partitions(partitions)
    });
    // All at once: they share one timeout.
    DeleteRecordsResponse::default().with_topics(join_all(topics).await)
}

async fn delete(ctx: &Context<'_>, tp: &TopicPartition, offset: i64, timeout_ms: i32) -> DeleteRecordsResult {
    let is_known = ctx.services.metadata.load().partition(&tp.topic, tp.partition).is_some();
    if !is_known {
        return DeleteRecordsResult { error: ErrorCode::UnknownTopicOrPartition, low_watermark: NO_OFFSET };
    }
    ctx.services.replicas.delete_records(tp, offset, timeout_ms).await
}
