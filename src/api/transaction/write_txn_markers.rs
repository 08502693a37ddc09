//! WriteTxnMarkers (key 27), v0–1: from the transaction's coordinator to the leaders of its partitions, or from an
//! administrator who ends a hanging transaction.
//! v1 flexible

use indexmap::IndexMap;
use kafka_protocol::messages::{
    ProducerId, WriteTxnMarkersRequest, WriteTxnMarkersResponse,
    write_txn_markers_request::WritableTxnMarker,
    write_txn_markers_response::{
        WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
    },
};

use crate::{
    api::{
        Context,
        group::wire::{by_topic, shared, topic_name},
    },
    common::{ErrorCode, TopicPartition},
    coordinator::txn_markers::TxnMarker,
};

type Answers = IndexMap<TopicPartition, ErrorCode>;

pub async fn handle(ctx: &Context<'_>, request: WriteTxnMarkersRequest) -> WriteTxnMarkersResponse {
    let mut answers: IndexMap<i64, Answers> = IndexMap::new();
    let nobodys = |marker: &WritableTxnMarker| marker.producer_id.0 < 0 || marker.producer_epoch < 0;
    if request.markers.iter().any(nobodys) {
        // Kafka fails to write such a marker, and the whole request with it.
        for marker in request.markers.iter().map(marker_of) {
            let failed = marker.partitions.into_iter().map(|tp| (tp, ErrorCode::UnknownServerError));
            answers.entry(marker.producer_id).or_default().extend(failed);
        }
        return respond(answers);
    }
    for marker in &request.markers {
        let marker = marker_of(marker);
        if !marker.partitions.is_empty() {
            let written = ctx.services.markers.write(&marker).await;
            answers.entry(marker.producer_id).or_default().extend(written);
        }
    }
    respond(answers)
}

fn marker_of(marker: &WritableTxnMarker) -> TxnMarker {
    let partitions = marker.topics.iter().flat_map(|topic| {
        let name = shared(&topic.name);
        topic.partition_indexes.iter().map(move |index| TopicPartition::new(name.clone(), *index))
    });
    TxnMarker {
        producer_id: marker.producer_id.0,
        producer_epoch: marker.producer_epoch,
        coordinator_epoch: marker.coordinator_epoch,
        is_commit: marker.transaction_result,
        partitions: partitions.collect(),
    }
}

fn respond(answers: IndexMap<i64, Answers>) -> WriteTxnMarkersResponse {
    let partition = |(index, error): (i32, ErrorCode)| {
        WritableTxnMarkerPartitionResult::default().with_partition_index(index).with_error_code(error.code())
    };
    let topic = |(name, partitions): (std::sync::Arc<str>, Vec<(i32, ErrorCode)>)| {
        WritableTxnMarkerTopicResult::default()
            .with_name(topic_name(&name))
            .with_partitions(partitions.into_iter().map(partition).collect())
    };
    let markers = answers.into_iter().map(|(producer_id, answers)| {
        WritableTxnMarkerResult::default()
            .with_producer_id(ProducerId(producer_id))
            .with_topics(by_topic(answers).into_iter().map(topic).collect())
    });
    WriteTxnMarkersResponse::default().with_markers(markers.collect())
}
