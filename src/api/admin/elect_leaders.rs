//! ElectLeaders (key 43), v0–2.
//! v1 unclean elections and a code for the whole (KIP-460) · v2 flexible

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use indexmap::{IndexMap, IndexSet};
use kafka_protocol::{
    messages::{
        ElectLeadersRequest, ElectLeadersResponse, TopicName,
        elect_leaders_response::{PartitionResult, ReplicaElectionResult},
    },
    protocol::StrBytes,
};

use crate::{
    api::Context,
    common::{BrokerId, ErrorCode, TopicPartition},
    controller::command::{ApiError, ElectionType},
    metadata::MetadataImage,
};

/// What `Errors.ELECTION_NOT_NEEDED` says.
const NOT_NEEDED: &str = "Leader election not needed for topic partition.";

pub async fn handle(ctx: &Context<'_>, request: ElectLeadersRequest) -> ElectLeadersResponse {
    let election = match request.election_type {
        0 => ElectionType::Preferred,
        1 => ElectionType::Unclean,
        _ => return ElectLeadersResponse::default().with_error_code(ErrorCode::InvalidRequest.code()),
    };
    let of_all = request.topic_partitions.is_none();
    let named = request.topic_partitions.map(|topics| {
        let mut named = IndexSet::new();
        for topic in topics {
            let name: Arc<str> = topic.topic.0.as_str().into();
            named.extend(topic.partitions.iter().map(|index| TopicPartition::new(Arc::clone(&name), *index)));
        }
        named.into_iter().collect::<Vec<TopicPartition>>()
    });
    let (partitions, mut results) = match ctx.services.controller.elect_leaders(election, named.clone()).await {
        Ok(answer) => answer,
        // Each partition is refused, not the whole.
        Err(code) => {
            let named = named.unwrap_or_default();
            let refused = named.iter().map(|_| Err(ApiError::from(code))).collect();
            (named, refused)
        }
    };
    let elected: Vec<(TopicPartition, BrokerId)> =
        partitions.iter().zip(&results).filter_map(|(tp, it)| Some((tp.clone(), *it.as_ref().ok()?))).collect();
    let late = wait_for_leaders(ctx, elected, request.timeout_ms).await;
    for (tp, result) in partitions.iter().zip(&mut results) {
        if late.contains(tp) {
            *result = Err(ErrorCode::RequestTimedOut.into());
        }
    }
    let mut topics: IndexMap<Arc<str>, Vec<PartitionResult>> = IndexMap::new();
    for (tp, result) in partitions.into_iter().zip(results) {
        let is_dull = matches!(&result, Err(fault) if fault.code == ErrorCode::ElectionNotNeeded);
        if !(of_all && is_dull) {
            topics.entry(tp.topic).or_default().push(partition_result(tp.partition, result));
        }
    }
    let topics = topics.into_iter().map(|(name, partitions)| {
        let name = TopicName(StrBytes::from_string(name.to_string()));
        ReplicaElectionResult::default().with_topic(name).with_partition_result(partitions)
    });
    ElectLeadersResponse::default().with_replica_election_results(topics.collect())
}

fn partition_result(index: i32, result: Result<BrokerId, ApiError>) -> PartitionResult {
    let answer = PartitionResult::default().with_partition_id(index);
    let Err(ApiError { code, message }) = result else { return answer };
    let message = message.or_else(|| (code == ErrorCode::ElectionNotNeeded).then(|| NOT_NEEDED.to_owned()));
    answer.with_error_code(code.code()).with_error_message(message.map(StrBytes::from_string))
}

/// Waits until the image shows the new leaders (class `DelayedElectLeader`); the answer is those it does not show in time.
async fn wait_for_leaders(
    ctx: &Context<'_>,
    elected: Vec<(TopicPartition, BrokerId)>,
    timeout_ms: i32,
) -> IndexSet<TopicPartition> {
    let leads = |image: &MetadataImage, (tp, leader): &(TopicPartition, BrokerId)| {
        image.partition(&tp.topic, tp.partition).is_some_and(|partition| partition.leader == *leader)
    };
    let metadata = &ctx.services.metadata;
    let mut changes = metadata.subscribe();
    let shown = async {
        while !elected.iter().all(|it| leads(&metadata.image(), it)) {
            if changes.next().await.is_none() {
                return;
            }
        }
    };
    let patience = Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0));
    // Whether in time or not: what counts is what the image shows now.
    let _ = tokio::time::timeout(patience, shown).await;
    let image = metadata.image();
    elected.iter().filter(|it| !leads(&image, it)).map(|(tp, _)| tp.clone()).collect()
}
