//! Fetch (key 1), v12–17: the response as a follower reads it. Records are cut out of the frame, not copied, and stay
//! mutable for the log.

use bytes::{Buf, BytesMut};
use kafka_protocol::protocol::StrBytes;

use super::{Malformed, fetch::DivergingEpoch, wire::Reader};
use crate::common::{ErrorCode, Offset, topic_id::Uuid};

/// From here topics have ids instead of names.
const TOPIC_IDS_SINCE: i16 = 13;
const DIVERGING_EPOCH_TAG: u32 = 0;
/// Least bytes of a partition: numbers, two empty arrays' lengths, tags.
const PARTITION_WIRE_SIZE: usize = 4 + 2 + 8 + 8 + 8 + 1 + 4 + 1 + 1;
const ABORTED_WIRE_SIZE: usize = 17;

#[derive(Debug)]
pub struct FetchedResponse {
    pub error: ErrorCode,
    pub session_id: i32,
    pub partitions: Vec<FetchedPartition>,
}

/// How a topic is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TopicKey {
    Name(StrBytes),
    Id(Uuid),
}

#[derive(Debug)]
pub struct FetchedPartition {
    pub topic: TopicKey,
    pub index: i32,
    pub error: ErrorCode,
    pub high_watermark: Offset,
    pub log_start_offset: Offset,
    pub diverging: Option<DivergingEpoch>,
    pub records: BytesMut,
}

/// Takes a response's body apart.
pub fn decode(body: BytesMut, version: i16) -> Result<FetchedResponse, Malformed> {
    let mut reader = Reader::new(body, true);
    reader.i32("throttle time")?;
    let error = ErrorCode::from_code(reader.i16("error")?);
    let session_id = reader.i32("session id")?;
    let topics = reader.count(2, 0, "topics")?;
    let mut partitions = Vec::new();
    for _ in 0..topics {
        let topic = if version >= TOPIC_IDS_SINCE {
            TopicKey::Id(Uuid::from_bytes(reader.array("topic id")?))
        } else {
            TopicKey::Name(reader.text("topic")?)
        };
        let count = reader.count(PARTITION_WIRE_SIZE, size_of::<FetchedPartition>(), "partitions")?;
        partitions.reserve(count);
        for _ in 0..count {
            partitions.push(partition(&mut reader, topic.clone())?);
        }
        reader.end_structure()?;
    }
    reader.end_structure()?;
    Ok(FetchedResponse { error, session_id, partitions })
}

fn partition(reader: &mut Reader<BytesMut>, topic: TopicKey) -> Result<FetchedPartition, Malformed> {
    let index = reader.i32("partition")?;
    let error = ErrorCode::from_code(reader.i16("partition error")?);
    let high_watermark = reader.i64("high watermark")?;
    reader.i64("last stable offset")?;
    let log_start_offset = reader.i64("log start offset")?;
    // Followers read to the log's end and are told of no aborted transactions; who sends some anyway is passed over.
    for _ in 0..reader.nullable_count(ABORTED_WIRE_SIZE, 0, "aborted transactions")? {
        reader.i64("producer id")?;
        reader.i64("first offset")?;
        reader.end_structure()?;
    }
    reader.i32("preferred read replica")?;
    let records = reader.nullable_bytes("records")?.unwrap_or_default();
    let mut diverging = None;
    reader.tagged_fields(|tag, mut field| {
        if tag == DIVERGING_EPOCH_TAG {
            let short = |_| Malformed::Truncated("diverging epoch");
            let epoch = field.try_get_i32().map_err(short)?;
            diverging = Some(DivergingEpoch { epoch, end_offset: field.try_get_i64().map_err(short)? });
        }
        Ok(())
    })?;
    // −1 in both is how a broker may spell "none".
    let diverging = diverging.filter(|it| it.epoch >= 0 || it.end_offset >= 0);
    Ok(FetchedPartition { topic, index, error, high_watermark, log_start_offset, diverging, records })
}

#[cfg(test)]
mod tests {
    use kafka_protocol::{
        messages::{
            FetchResponse, TopicName,
            fetch_response::{AbortedTransaction, EpochEndOffset, FetchableTopicResponse, PartitionData},
        },
        protocol::Encodable,
    };
    use proptest::{collection::vec, option, prelude::*};

    use super::*;

    fn response() -> impl Strategy<Value = FetchResponse> {
        let diverging = option::of((0..9, 0..99i64));
        let aborted = option::of(vec(any::<i64>(), 0..3));
        let partition = (any::<i32>(), -1..120i16, any::<(i64, i64)>(), diverging, aborted, vec(any::<u8>(), 0..99));
        let partition = partition.prop_map(|(index, code, marks, diverging, aborted, records)| {
            let aborted = aborted.map(|txns| {
                txns.into_iter().map(|id| AbortedTransaction::default().with_producer_id(id.into())).collect()
            });
            let mut it = PartitionData::default()
                .with_partition_index(index)
                .with_error_code(code)
                .with_high_watermark(marks.0)
                .with_log_start_offset(marks.1)
                .with_aborted_transactions(aborted)
                .with_records(Some(records.into()));
            if let Some((epoch, end)) = diverging {
                it.diverging_epoch = EpochEndOffset::default().with_epoch(epoch).with_end_offset(end);
            }
            it
        });
        let topic = ("[a-z]{1,9}", any::<u128>(), vec(partition, 0..4)).prop_map(|(name, id, partitions)| {
            FetchableTopicResponse::default()
                .with_topic(TopicName(StrBytes::from_string(name)))
                .with_topic_id(Uuid::from_u128(id))
                .with_partitions(partitions)
        });
        (any::<i32>(), vec(topic, 0..4))
            .prop_map(|(session, topics)| FetchResponse::default().with_session_id(session).with_responses(topics))
    }

    proptest! {
        #[test]
        fn reads_what_the_message_crate_writes(original in response(), version in 12i16..18) {
            let mut original = original;
            for topic in &mut original.responses {
                if version >= 13 { topic.topic = TopicName::default() } else { topic.topic_id = Uuid::nil() }
            }
            let mut body = BytesMut::new();
            original.encode(&mut body, version).unwrap();
            for length in 0..body.len() {
                prop_assert!(decode(BytesMut::from(&body[..length]), version).is_err());
            }
            let read = decode(body, version).unwrap();
            prop_assert_eq!(read.session_id, original.session_id);
            let expected = original.responses.iter().flat_map(|topic| topic.partitions.iter().map(move |it| (topic, it)));
            prop_assert_eq!(read.partitions.len(), expected.clone().count());
            for (read, (topic, it)) in read.partitions.iter().zip(expected) {
                let key = if version >= 13 { TopicKey::Id(topic.topic_id) } else { TopicKey::Name(topic.topic.0.clone()) };
                prop_assert_eq!(&read.topic, &key);
                prop_assert_eq!((read.index, read.high_watermark), (it.partition_index, it.high_watermark));
                prop_assert_eq!(read.log_start_offset, it.log_start_offset);
                prop_assert_eq!(&read.records[..], &it.records.clone().unwrap()[..]);
                let diverging = read.diverging.map_or((-1, -1), |it| (it.epoch, it.end_offset));
                prop_assert_eq!(diverging, (it.diverging_epoch.epoch, it.diverging_epoch.end_offset));
            }
        }

        #[test]
        fn rubbish_is_refused_or_read(body in vec(any::<u8>(), 0..200), version in 12i16..18) {
            let _ = decode(BytesMut::from(&body[..]), version);
        }
    }
}
