//! The Fetch response, with its records put in place, against the generated encoder in every version.

use bytes::{Buf, BytesMut};
use kafka_protocol::{
    messages::{
        FetchResponse as Reference, TopicName,
        fetch_response::{
            AbortedTransaction, EpochEndOffset, FetchableTopicResponse, LeaderIdAndEpoch,
            NodeEndpoint as ReferenceEndpoint, PartitionData,
        },
    },
    protocol::{Encodable, StrBytes},
};
use proptest::{collection::vec, option, prelude::*};

use super::*;

fn records() -> impl Strategy<Value = Records> {
    prop_oneof![
        Just(Records::Empty),
        vec(any::<u8>(), 0..300).prop_map(|bytes| Records::Memory(bytes.into())),
        (INLINE_MAX..3 * INLINE_MAX).prop_map(|size| Records::Memory(vec![9; size].into())),
    ]
}

fn response() -> impl Strategy<Value = FetchResponse> {
    let marks = (any::<i64>(), any::<i64>(), any::<i64>());
    let aborted = option::of(vec((any::<i64>(), any::<i64>()), 0..3));
    let tags = (option::of((0..9, 0..9i64)), option::of((0..9, 0..9)));
    let partition = (any::<i32>(), -1..120i16, marks, aborted, any::<i32>(), tags, records()).prop_map(
        |(index, code, marks, aborted, preferred_read_replica, tags, records)| FetchPartitionOut {
            index,
            error: ErrorCode::from_code(code),
            high_watermark: marks.0,
            last_stable_offset: marks.1,
            log_start_offset: marks.2,
            aborted: aborted.map(|txns| {
                txns.into_iter().map(|(producer_id, first_offset)| AbortedTxn { producer_id, first_offset }).collect()
            }),
            preferred_read_replica,
            diverging_epoch: tags.0.map(|(epoch, end_offset)| DivergingEpoch { epoch, end_offset }),
            current_leader: tags.1.map(|(leader_id, leader_epoch)| CurrentLeader { leader_id, leader_epoch }),
            records,
        },
    );
    let topic = ("[a-zé]{0,9}", any::<u128>(), vec(partition, 0..4)).prop_map(|(name, id, partitions)| FetchTopic {
        name: name.into(),
        topic_id: Uuid::from_u128(id),
        partitions,
    });
    let endpoint = (any::<i32>(), "[a-z]{0,9}", any::<i32>(), option::of("[a-z]{0,9}"))
        .prop_map(|(node_id, host, port, rack)| NodeEndpoint { node_id, host, port, rack });
    (any::<i32>(), -1..120i16, any::<i32>(), vec(topic, 0..4), vec(endpoint, 0..3)).prop_map(
        |(throttle_time_ms, code, session_id, topics, node_endpoints)| FetchResponse {
            throttle_time_ms,
            error: ErrorCode::from_code(code),
            session_id,
            topics,
            node_endpoints,
        },
    )
}

fn string(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn reference_partition(partition: &FetchPartitionOut, version: i16) -> PartitionData {
    let records = match &partition.records {
        Records::Memory(bytes) => bytes.clone(),
        _ => Bytes::new(),
    };
    let aborted = partition.aborted.as_ref().map(|txns| {
        let txn = |txn: &AbortedTxn| {
            AbortedTransaction::default().with_producer_id(txn.producer_id.into()).with_first_offset(txn.first_offset)
        };
        txns.iter().map(txn).collect()
    });
    let mut out = PartitionData::default()
        .with_partition_index(partition.index)
        .with_error_code(partition.error.code())
        .with_high_watermark(partition.high_watermark)
        .with_last_stable_offset(partition.last_stable_offset)
        .with_log_start_offset(partition.log_start_offset)
        .with_aborted_transactions(aborted)
        .with_records(Some(records));
    if version >= 11 {
        out = out.with_preferred_read_replica(partition.preferred_read_replica.into());
    }
    if let Some(diverging) = partition.diverging_epoch.filter(|_| version >= 12) {
        let diverging = EpochEndOffset::default().with_epoch(diverging.epoch).with_end_offset(diverging.end_offset);
        out = out.with_diverging_epoch(diverging);
    }
    if let Some(leader) = partition.current_leader.filter(|_| version >= 12) {
        let leader =
            LeaderIdAndEpoch::default().with_leader_id(leader.leader_id.into()).with_leader_epoch(leader.leader_epoch);
        out = out.with_current_leader(leader);
    }
    out
}

fn reference(response: &FetchResponse, version: i16) -> Reference {
    let topics = response.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| reference_partition(partition, version));
        FetchableTopicResponse::default()
            .with_topic(TopicName(string(&topic.name)))
            .with_topic_id(topic.topic_id)
            .with_partitions(partitions.collect())
    });
    let mut out =
        Reference::default().with_throttle_time_ms(response.throttle_time_ms).with_responses(topics.collect());
    if version >= 7 {
        out = out.with_error_code(response.error.code()).with_session_id(response.session_id);
    }
    let endpoints = response.node_endpoints.iter().filter(|_| version >= 16).map(|endpoint| {
        ReferenceEndpoint::default()
            .with_node_id(endpoint.node_id.into())
            .with_host(string(&endpoint.host))
            .with_port(endpoint.port)
            .with_rack(endpoint.rack.as_deref().map(string))
    });
    out.with_node_endpoints(endpoints.collect())
}

fn flatten(chunks: &[Chunk]) -> Bytes {
    let mut out = BytesMut::new();
    for chunk in chunks {
        match chunk {
            Chunk::Bytes(bytes) => out.extend_from_slice(bytes),
            Chunk::File(region) => {
                let mut bytes = vec![0; region.length];
                std::os::unix::fs::FileExt::read_exact_at(&*region.file, &mut bytes, region.position).unwrap();
                out.extend_from_slice(&bytes);
            }
        }
    }
    out.freeze()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn with_its_records_in_place_it_is_the_generated_encoding(response in response()) {
        for version in 0..=17 {
            let chunks = response.clone().encode(77, version).unwrap();
            let mut frame = flatten(&chunks);
            prop_assert_eq!(frame.get_i32() as usize, frame.len());
            prop_assert_eq!(frame.get_i32(), 77);
            if version >= 12 {
                prop_assert_eq!(frame.get_u8(), 0);
            }
            let mut expected = BytesMut::new();
            reference(&response, version).encode(&mut expected, version).unwrap();
            prop_assert_eq!(&frame[..], &expected[..], "version {}", version);
            for partition in response.topics.iter().flat_map(|topic| &topic.partitions) {
                let mut one = BytesMut::new();
                reference_partition(partition, version).encode(&mut one, version).unwrap();
                prop_assert_eq!(partition.encoded_size(version), one.len());
            }
        }
    }
}

/// Two segments' regions travel unopened between the bytes around them.
#[test]
fn file_regions_are_carried_in_their_places() {
    let mut file = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut file, b"0123456789").unwrap();
    let file = Arc::new(file);
    let partition = |index, position, length| FetchPartitionOut {
        records: Records::File(crate::protocol::chunk::FileRegion { file: Arc::clone(&file), position, length }),
        ..FetchPartitionOut::failed(index, ErrorCode::None)
    };
    let partitions = vec![partition(0, 2, 3), partition(1, 0, 0), partition(2, 7, 2)];
    let topic = FetchTopic { name: "t".into(), topic_id: Uuid::nil(), partitions };
    let chunks = FetchResponse { topics: vec![topic], ..Default::default() }.encode(1, 12).unwrap();
    let kinds: Vec<_> = chunks.iter().map(|chunk| matches!(chunk, Chunk::File(_))).collect();
    assert_eq!(kinds, [false, true, false, true, false]);
    let frame = flatten(&chunks);
    assert_eq!(frame.len() - 4, u32::from_be_bytes(frame[..4].try_into().unwrap()) as usize);
    let text = String::from_utf8_lossy(&frame);
    assert!(text.contains("234") && text.contains("78"));
}
