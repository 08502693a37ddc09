//! Produce against the generated codec, in every version.

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::{
    messages::{
        ProduceRequest as Reference, ProduceResponse as ReferenceResponse, TopicName, TransactionalId,
        produce_request::{PartitionProduceData, TopicProduceData},
        produce_response::{
            BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint as ReferenceEndpoint, PartitionProduceResponse,
            TopicProduceResponse,
        },
    },
    protocol::{Decodable, Encodable},
};
use proptest::{collection::vec, option, prelude::*};

use super::*;

fn text() -> impl Strategy<Value = StrBytes> {
    "[a-zé.]{0,12}".prop_map(StrBytes::from_string)
}

fn request() -> impl Strategy<Value = Reference> {
    let partition = (any::<i32>(), option::of(vec(any::<u8>(), 0..200)));
    let topic = (text(), vec(partition, 0..4));
    (option::of(text()), any::<i16>(), any::<i32>(), vec(topic, 0..4)).prop_map(|(id, acks, timeout, topics)| {
        let topics = topics.into_iter().map(|(name, partitions)| {
            let partitions = partitions.into_iter().map(|(index, records)| {
                PartitionProduceData::default().with_index(index).with_records(records.map(Bytes::from))
            });
            TopicProduceData::default().with_name(TopicName(name)).with_partition_data(partitions.collect())
        });
        Reference::default()
            .with_transactional_id(id.map(TransactionalId))
            .with_acks(acks)
            .with_timeout_ms(timeout)
            .with_topic_data(topics.collect())
    })
}

fn response() -> impl Strategy<Value = ProduceResponse> {
    let record_error = (any::<i32>(), option::of("[a-z ]{0,9}"))
        .prop_map(|(batch_index, message)| RecordError { batch_index, message });
    let leader = option::of((0..99, 0..99))
        .prop_map(|leader| leader.map(|(leader_id, leader_epoch)| CurrentLeader { leader_id, leader_epoch }));
    let offsets = (any::<i64>(), any::<i64>(), any::<i64>());
    let rest = (vec(record_error, 0..3), option::of("[a-z ]{0,9}"), leader);
    let partition =
        (any::<i32>(), -1..120i16, offsets, rest).prop_map(|(index, code, offsets, rest)| ProducePartitionResponse {
            base_offset: offsets.0,
            log_append_time_ms: offsets.1,
            log_start_offset: offsets.2,
            record_errors: rest.0,
            error_message: rest.1,
            current_leader: rest.2,
            ..ProducePartitionResponse::failed(index, ErrorCode::from_code(code))
        });
    let topic = (text(), vec(partition, 0..3))
        .prop_map(|(name, partitions)| ProduceTopicResponse { name, partitions: partitions.into() });
    let endpoint = (any::<i32>(), "[a-z]{0,9}", any::<i32>(), option::of("[a-z]{0,9}"))
        .prop_map(|(node_id, host, port, rack)| NodeEndpoint { node_id, host, port, rack });
    (vec(topic, 0..3), any::<i32>(), vec(endpoint, 0..3)).prop_map(|(topics, throttle_time_ms, node_endpoints)| {
        ProduceResponse { topics: topics.into(), throttle_time_ms, node_endpoints }
    })
}

fn string(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn reference_partition(partition: &ProducePartitionResponse, version: i16) -> PartitionProduceResponse {
    let mut out = PartitionProduceResponse::default()
        .with_index(partition.index)
        .with_error_code(partition.error.code())
        .with_base_offset(partition.base_offset)
        .with_log_append_time_ms(partition.log_append_time_ms)
        .with_log_start_offset(partition.log_start_offset);
    if version >= 8 {
        let errors = partition.record_errors.iter().map(|error| {
            BatchIndexAndErrorMessage::default()
                .with_batch_index(error.batch_index)
                .with_batch_index_error_message(error.message.as_deref().map(string))
        });
        out =
            out.with_record_errors(errors.collect()).with_error_message(partition.error_message.as_deref().map(string));
    }
    if let Some(leader) = partition.current_leader.filter(|_| version >= 10) {
        let leader =
            LeaderIdAndEpoch::default().with_leader_id(leader.leader_id.into()).with_leader_epoch(leader.leader_epoch);
        out = out.with_current_leader(leader);
    }
    out
}

fn reference_response(response: &ProduceResponse, version: i16) -> ReferenceResponse {
    let topics = response.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| reference_partition(partition, version));
        TopicProduceResponse::default()
            .with_name(TopicName(topic.name.clone()))
            .with_partition_responses(partitions.collect())
    });
    let endpoints = response.node_endpoints.iter().filter(|_| version >= 10).map(|endpoint| {
        ReferenceEndpoint::default()
            .with_node_id(endpoint.node_id.into())
            .with_host(string(&endpoint.host))
            .with_port(endpoint.port)
            .with_rack(endpoint.rack.as_deref().map(string))
    });
    ReferenceResponse::default()
        .with_responses(topics.collect())
        .with_throttle_time_ms(response.throttle_time_ms)
        .with_node_endpoints(endpoints.collect())
}

fn assert_same(ours: ProduceRequest, theirs: &Reference) {
    assert_eq!(ours.transactional_id, theirs.transactional_id.clone().map(|id| id.0));
    assert_eq!((ours.acks, ours.timeout_ms), (theirs.acks, theirs.timeout_ms));
    assert_eq!(ours.topics.len(), theirs.topic_data.len());
    for (our, their) in ours.topics.into_iter().zip(&theirs.topic_data) {
        assert_eq!(our.name, their.name.0);
        let ours: Vec<_> = our.partitions.into_iter().map(|p| (p.index, p.records.map(BytesMut::freeze))).collect();
        let theirs: Vec<_> = their.partition_data.iter().map(|p| (p.index, p.records.clone())).collect();
        assert_eq!(ours, theirs);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn decodes_what_the_generated_encoder_writes(request in request()) {
        for version in 0..=11 {
            let request = if version < 3 { request.clone().with_transactional_id(None) } else { request.clone() };
            let mut body = BytesMut::new();
            request.encode(&mut body, version).unwrap();
            assert_same(ProduceRequest::decode(version, body).unwrap(), &request);
        }
    }

    #[test]
    fn truncated_and_tampered_bodies_are_refused_or_read_as_the_generated_decoder_does(
        request in request(), at in any::<prop::sample::Index>(), byte in any::<u8>(), version in 0..=11i16,
    ) {
        let request = if version < 3 { request.with_transactional_id(None) } else { request };
        let mut body = BytesMut::new();
        request.encode(&mut body, version).unwrap();
        let at = at.index(body.len());
        let cut = BytesMut::from(&body[..at]);
        prop_assert!(ProduceRequest::decode(version, cut).is_err());
        body[at] = byte;
        if let Ok(ours) = ProduceRequest::decode(version, body.clone()) {
            assert_same(ours, &Reference::decode(&mut body.freeze(), version).unwrap());
        }
    }

    #[test]
    fn encodes_what_the_generated_encoder_encodes(response in response()) {
        for version in 0..=11 {
            let mut frame = response.encode(-9, version);
            prop_assert_eq!(frame.get_i32() as usize, frame.len());
            prop_assert_eq!(frame.get_i32(), -9);
            if version >= 9 {
                prop_assert_eq!(frame.get_u8(), 0);
            }
            let mut expected = BytesMut::new();
            reference_response(&response, version).encode(&mut expected, version).unwrap();
            prop_assert_eq!(&frame[..], &expected[..], "version {}", version);
        }
    }
}

#[test]
fn records_are_the_received_bytes_themselves() {
    let records = Bytes::from(vec![7u8; 1000]);
    let partition = PartitionProduceData::default().with_index(3).with_records(Some(records));
    let topic = TopicProduceData::default().with_name(TopicName(string("t"))).with_partition_data(vec![partition]);
    let mut body = BytesMut::new();
    Reference::default().with_topic_data(vec![topic]).encode(&mut body, 9).unwrap();
    let range = body.as_ptr_range();
    let mut request = ProduceRequest::decode(9, body).unwrap();
    let records = request.topics[0].partitions[0].records.as_mut().unwrap();
    records[0] = 1;
    assert!(range.contains(&records.as_ptr()));
}

#[test]
fn hostile_counts_are_refused_before_they_are_reserved() {
    let mut topics = BytesMut::new();
    topics.put_slice(&[0, 1, 0, 0, 0, 1]);
    topics.put_i32(i32::MAX);
    topics.put_bytes(0, 100);
    assert_eq!(ProduceRequest::decode(0, topics).unwrap_err(), Malformed::Count("topics"));
    // Three bytes a topic are a message, but each would become more than a hundred.
    let mut dense = BytesMut::new();
    dense.put_slice(&[0, 0, 1, 0, 0, 0, 1]);
    dense.put_slice(&[0x81, 0x80, 0x80, 0x01]);
    dense.put_bytes(1, 3 << 21);
    assert_eq!(ProduceRequest::decode(9, dense).unwrap_err(), Malformed::Count("topics"));
}
