//! ListPartitionReassignments (key 46), v0 (KIP-455).

use std::sync::Arc;

use indexmap::IndexMap;
use kafka_protocol::{
    messages::{
        BrokerId as WireBrokerId, ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse, TopicName,
        list_partition_reassignments_response::{OngoingPartitionReassignment, OngoingTopicReassignment},
    },
    protocol::StrBytes,
};

use crate::{
    api::Context,
    common::{BrokerId, TopicPartition},
    controller::command::OngoingReassignment,
};

pub async fn handle(
    ctx: &Context<'_>,
    request: ListPartitionReassignmentsRequest,
) -> ListPartitionReassignmentsResponse {
    let named = request.topics.map(|topics| {
        let mut named = Vec::new();
        for topic in topics {
            let name: Arc<str> = topic.name.0.as_str().into();
            named.extend(topic.partition_indexes.iter().map(|index| TopicPartition::new(Arc::clone(&name), *index)));
        }
        named
    });
    let ongoing = match ctx.services.controller.list_reassignments(named).await {
        Ok(ongoing) => ongoing,
        Err(code) => {
            let why = StrBytes::from_static_str(super::NOT_CONTROLLER_MESSAGE);
            let refused = ListPartitionReassignmentsResponse::default().with_error_code(code.code());
            return refused.with_error_message(Some(why));
        }
    };
    let mut topics: IndexMap<Arc<str>, Vec<OngoingPartitionReassignment>> = IndexMap::new();
    for OngoingReassignment { topic_partition, replicas, adding, removing } in ongoing {
        let partition = OngoingPartitionReassignment::default()
            .with_partition_index(topic_partition.partition)
            .with_replicas(ids(replicas))
            .with_adding_replicas(ids(adding))
            .with_removing_replicas(ids(removing));
        topics.entry(topic_partition.topic).or_default().push(partition);
    }
    let topics = topics.into_iter().map(|(name, partitions)| {
        let name = TopicName(StrBytes::from_string(name.to_string()));
        OngoingTopicReassignment::default().with_name(name).with_partitions(partitions)
    });
    ListPartitionReassignmentsResponse::default().with_error_message(None).with_topics(topics.collect())
}

fn ids(ids: Vec<BrokerId>) -> Vec<WireBrokerId> {
    ids.into_iter().map(WireBrokerId).collect()
}
