//! WriteTxnMarkers as the coordinator's side sees it.

use std::sync::Arc;

use indexmap::IndexMap;
use kafka_protocol::{
    messages::{
        ProducerId as WireProducerId, TopicName, WriteTxnMarkersRequest, WriteTxnMarkersResponse,
        write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic},
    },
    protocol::StrBytes,
};

use crate::{
    common::{ErrorCode, ProducerId, TopicPartition},
    coordinator::transaction::command::SendMarkers,
};

/// What was told of a producer's partitions.
pub type Told = IndexMap<(ProducerId, TopicPartition), ErrorCode>;

pub fn request(sends: &[SendMarkers]) -> WriteTxnMarkersRequest {
    WriteTxnMarkersRequest::default().with_markers(sends.iter().map(marker).collect())
}

fn marker(send: &SendMarkers) -> WritableTxnMarker {
    let mut topics: IndexMap<&Arc<str>, Vec<i32>> = IndexMap::new();
    for tp in &send.partitions {
        topics.entry(&tp.topic).or_default().push(tp.partition);
    }
    let topic = |(name, partitions): (&Arc<str>, Vec<i32>)| {
        WritableTxnMarkerTopic::default()
            .with_name(TopicName(StrBytes::from_string(name.to_string())))
            .with_partition_indexes(partitions)
    };
    WritableTxnMarker::default()
        .with_producer_id(WireProducerId(send.producer_id))
        .with_producer_epoch(send.producer_epoch)
        .with_coordinator_epoch(send.coordinator_epoch)
        .with_transaction_result(send.is_commit)
        .with_topics(topics.into_iter().map(topic).collect())
}

pub fn answers(response: &WriteTxnMarkersResponse) -> Told {
    let mut told = Told::new();
    for marker in &response.markers {
        for topic in &marker.topics {
            let name: Arc<str> = topic.name.as_str().into();
            told.extend(topic.partitions.iter().map(|it| {
                let tp = TopicPartition::new(Arc::clone(&name), it.partition_index);
                ((marker.producer_id.0, tp), ErrorCode::from_code(it.error_code))
            }));
        }
    }
    told
}

/// What was told of these partitions. One that was passed over is to be asked for again: nothing may count as marked
/// that nobody said is.
pub fn of(told: &Told, producer: ProducerId, partitions: Vec<TopicPartition>) -> Vec<(TopicPartition, ErrorCode)> {
    let one = |tp: TopicPartition| {
        let key = (producer, tp);
        let error = told.get(&key).copied().unwrap_or(ErrorCode::NotLeaderOrFollower);
        (key.1, error)
    };
    partitions.into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::write_txn_markers_response::{
        WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
    };

    use super::*;

    /// Two producers' markers share a request; each finds its own answers in the response, and a partition that the
    /// leader forgot is not taken for marked.
    #[test]
    fn each_entry_finds_its_answers() {
        let send = |producer_id, partitions: &[i32]| SendMarkers {
            transactional_id: "id".into(),
            producer_id,
            producer_epoch: 3,
            coordinator_epoch: 4,
            is_commit: true,
            partitions: partitions.iter().map(|partition| TopicPartition::new("t", *partition)).collect(),
            is_retry: false,
        };
        let sends = [send(7, &[0, 1]), send(8, &[1])];
        let request = request(&sends);
        assert_eq!(request.markers.len(), 2);
        assert_eq!(request.markers[0].topics[0].partition_indexes, [0, 1]);

        let partition =
            |index, code| WritableTxnMarkerPartitionResult::default().with_partition_index(index).with_error_code(code);
        let of_producer = |id, partitions| {
            let topic = WritableTxnMarkerTopicResult::default()
                .with_name(TopicName(StrBytes::from_static_str("t")))
                .with_partitions(partitions);
            WritableTxnMarkerResult::default().with_producer_id(WireProducerId(id)).with_topics(vec![topic])
        };
        let response = WriteTxnMarkersResponse::default()
            .with_markers(vec![of_producer(7, vec![partition(0, 0)]), of_producer(8, vec![partition(1, 6)])]);
        let told = answers(&response);
        let [first, second] = sends;
        let codes =
            |answers: Vec<(TopicPartition, ErrorCode)>| answers.iter().map(|(_, code)| *code).collect::<Vec<_>>();
        let not_leader = ErrorCode::NotLeaderOrFollower;
        assert_eq!(codes(of(&told, 7, first.partitions)), [ErrorCode::None, not_leader]);
        assert_eq!(codes(of(&told, 8, second.partitions)), [not_leader]);
    }
}
