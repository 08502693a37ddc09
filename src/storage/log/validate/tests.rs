//! What a leader accepts, changes and refuses.

use bytes::BytesMut;
use proptest::prelude::*;

use super::*;
use crate::{
    common::ids::NO_LEADER_EPOCH,
    protocol::records::{
        RecordBatchBuilder,
        control::EndTransactionMarker,
        convert::down_convert,
        iter::{batches, for_each_record, for_each_record_view},
        legacy::LegacyBatchBuilder,
    },
};

const NOW: Timestamp = 1_000_000;
const CODECS: [CompressionType; 5] = [
    CompressionType::None,
    CompressionType::Gzip,
    CompressionType::Snappy,
    CompressionType::Lz4,
    CompressionType::Zstd,
];

fn validate(records: BytesMut, config: &LogConfig) -> Result<Validated, StorageError> {
    validate_from(AppendOrigin::Client, records, config)
}

fn validate_from(origin: AppendOrigin, records: BytesMut, config: &LogConfig) -> Result<Validated, StorageError> {
    let topic_partition = TopicPartition::new("t", 0);
    let params = ValidationParams {
        topic_partition: &topic_partition,
        config,
        origin,
        leader_epoch: 7,
        now: NOW,
        first_offset: 100,
    };
    validate_and_assign(records, &params)
}

fn refusal(result: Result<Validated, StorageError>) -> (ErrorCode, String, usize) {
    match result {
        Err(StorageError::Refused { code, message, record_errors }) => (code, message, record_errors.len()),
        other => panic!("not refused: {other:?}"),
    }
}

fn three(codec: CompressionType) -> RecordBatchBuilder {
    let mut batch = RecordBatchBuilder::new(0).compression(Compression::of(codec));
    for (time, key) in [(900, "a"), (950, "b"), (920, "c")] {
        batch.append(time, Some(key.as_bytes()), Some(b"value"), &[("h", None)]);
    }
    batch
}

/// (offset, timestamp) of all records, with checksums looked at.
fn records_of(bytes: &[u8]) -> Vec<(Offset, Timestamp)> {
    let mut found = Vec::new();
    for batch in batches(bytes) {
        let batch = batch.unwrap();
        assert!(batch::is_crc_valid(&batch.header, batch.bytes));
        assert_eq!((batch.header.magic, batch.header.leader_epoch), (2, 7));
        for_each_record(batch.bytes, &mut |offset, time| {
            found.push((offset, time));
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    }
    found
}

#[test]
fn the_usual_batch_is_patched_where_it_lies() {
    for codec in CODECS {
        let records = three(codec).build();
        let (at, crc) = (records.as_ptr(), BatchHeader::parse(&records).unwrap().crc);
        let done = validate(records, &LogConfig::default()).unwrap();
        assert_eq!(done.records.as_ptr(), at, "moved");
        assert_eq!(BatchHeader::parse(&done.records).unwrap().crc, crc);
        assert_eq!(records_of(&done.records), [(100, 900), (101, 950), (102, 920)]);
        assert_eq!((done.last_offset, done.record_count, done.converted), (102, 3, false));
        assert_eq!((done.max_timestamp, done.offset_of_max_timestamp, done.log_append_time), (950, 102, -1));
    }
}

#[test]
fn append_time_replaces_the_producers_time() {
    let config = LogConfig { message_timestamp_type: TimestampType::LogAppendTime, ..LogConfig::default() };
    for codec in CODECS {
        let done = validate(three(codec).build(), &config).unwrap();
        assert_eq!(records_of(&done.records), [(100, NOW), (101, NOW), (102, NOW)]);
        assert_eq!((done.max_timestamp, done.offset_of_max_timestamp, done.log_append_time), (NOW, 102, NOW));
        assert!(!done.converted);
        let claimed = three(codec).log_append_time(5).build();
        assert_eq!(refusal(validate(claimed, &config)).0, ErrorCode::InvalidTimestamp);
    }
}

#[test]
fn a_wrong_maximum_timestamp_is_corrected() {
    let mut records = three(CompressionType::None).build();
    batch::set_max_timestamp(&mut records, TimestampType::CreateTime, 5_000);
    let done = validate(records, &LogConfig::default()).unwrap();
    assert_eq!(BatchHeader::parse(&done.records).unwrap().max_timestamp, 950);
    assert_eq!(records_of(&done.records).len(), 3);
}

#[test]
fn records_without_a_time_leave_none_in_the_index() {
    for (codec, offset) in [(CompressionType::None, -1), (CompressionType::Lz4, 100)] {
        let mut batch = RecordBatchBuilder::new(0).compression(Compression::of(codec));
        batch.append(-1, None, None, &[]);
        let done = validate(batch.build(), &LogConfig::default()).unwrap();
        assert_eq!((done.max_timestamp, done.offset_of_max_timestamp), (-1, offset));
    }
}

#[test]
fn the_topics_codec_replaces_the_producers() {
    use BrokerCompression as B;
    let targets = [
        (B::Uncompressed, CompressionType::None),
        (B::Gzip, CompressionType::Gzip),
        (B::Snappy, CompressionType::Snappy),
        (B::Lz4, CompressionType::Lz4),
        (B::Zstd, CompressionType::Zstd),
    ];
    for (compression, target) in targets {
        let config = LogConfig { compression, ..LogConfig::default() };
        for source in CODECS {
            let batch = three(source).producer(9, 1, 4).transactional(true);
            let done = validate(batch.build(), &config).unwrap();
            let header = BatchHeader::parse(&done.records).unwrap();
            assert_eq!(header.compression(), Some(target));
            assert_eq!((header.producer_id, header.producer_epoch, header.base_sequence), (9, 1, 4));
            assert!(header.is_transactional());
            assert_eq!(records_of(&done.records), [(100, 900), (101, 950), (102, 920)]);
            assert_eq!(done.converted, source != target);
            let mut headers = 0;
            for_each_record_view(&done.records, &mut |record| {
                headers += record.headers().count();
                std::ops::ControlFlow::Continue(())
            })
            .unwrap();
            assert_eq!(headers, 3);
        }
    }
}

#[test]
fn old_formats_become_magic_2() {
    for codec in [CompressionType::None, CompressionType::Gzip, CompressionType::Snappy, CompressionType::Lz4] {
        for magic in 0..=1 {
            let old = down_convert(&three(codec).build(), magic, 0).unwrap();
            let done = validate(BytesMut::from(&old[..]), &LogConfig::default()).unwrap();
            let times = if magic == 0 { [-1; 3] } else { [900, 950, 920] };
            assert_eq!(records_of(&done.records), [(100, times[0]), (101, times[1]), (102, times[2])]);
            assert!(done.converted);
            let max = times.into_iter().max().unwrap();
            assert_eq!((done.last_offset, done.max_timestamp), (102, max));
            assert_eq!(done.offset_of_max_timestamp, if magic == 0 { -1 } else { 102 });
        }
    }
}

#[test]
fn a_message_inside_a_wrapper_has_a_checksum_too() {
    let mut batch = LegacyBatchBuilder::new(
        BytesMut::new(),
        1,
        Compression::of(CompressionType::Gzip),
        TimestampType::CreateTime,
        -1,
        0,
    );
    batch.append(0, 1, Some(b"k"), Some(b"v"));
    let good = batch.build();
    let mut inner = LegacyBatchBuilder::new(BytesMut::new(), 1, Compression::NONE, TimestampType::CreateTime, -1, 0);
    inner.append(0, 1, Some(b"k"), Some(b"v"));
    let mut inner = inner.build();
    *inner.last_mut().unwrap() ^= 1;
    // The wrapper of the good one over a payload whose message does not fit its checksum.
    let mut forged = crate::protocol::records::compression::Compressor::new(
        Compression::of(CompressionType::Gzip),
        BytesMut::from(&good[..34]),
        1,
    );
    forged.write(&inner);
    let mut forged = forged.finish();
    let (size, value) = (forged.len() as u32 - 12, forged.len() as u32 - 34);
    forged[8..12].copy_from_slice(&size.to_be_bytes());
    forged[30..34].copy_from_slice(&value.to_be_bytes());
    assert!(validate(good, &LogConfig::default()).is_ok());
    let (code, message, _) = refusal(validate(forged, &LogConfig::default()));
    assert_eq!(code, ErrorCode::CorruptMessage, "{message}");
}

#[test]
fn compacted_topics_want_keys() {
    let config = LogConfig { cleanup_compact: true, ..LogConfig::default() };
    for codec in CODECS {
        assert!(validate(three(codec).build(), &config).is_ok());
        let mut batch = three(codec);
        batch.append(1, None, Some(b"no key"), &[]);
        batch.append(1, Some(b""), Some(b"an empty one is one"), &[]);
        let StorageError::Refused { code, message, record_errors } = validate(batch.build(), &config).unwrap_err()
        else {
            panic!()
        };
        assert_eq!(code, ErrorCode::InvalidRecord);
        let why = "Compacted topic cannot accept message without key in topic partition t-0";
        assert_eq!(record_errors, [crate::storage::error::RecordError { batch_index: 3, message: why.into() }]);
        assert_eq!(
            message,
            format!(
                "One or more records have been rejected due to 1 record errors in total, and only showing the first \
                 three errors at most: [RecordError(batchIndex=3, message='{why}')]"
            )
        );
    }
}

#[test]
fn times_too_far_off_are_refused_record_by_record() {
    let batch = |time| {
        let mut batch = RecordBatchBuilder::new(0);
        batch.append(NOW, None, None, &[]);
        batch.append(time, None, None, &[]);
        batch.append(-1, None, None, &[]);
        batch.build()
    };
    let config =
        LogConfig { message_timestamp_before_max_ms: 10, message_timestamp_after_max_ms: 20, ..LogConfig::default() };
    assert!(validate(batch(NOW - 10), &config).is_ok());
    assert!(validate(batch(NOW + 20), &config).is_ok());
    for time in [NOW - 11, NOW + 21] {
        let StorageError::Refused { code, record_errors, .. } = validate(batch(time), &config).unwrap_err() else {
            panic!()
        };
        assert_eq!(code, ErrorCode::InvalidTimestamp);
        assert_eq!(record_errors.len(), 1);
        assert_eq!(
            record_errors[0].message,
            format!(
                "Timestamp {time} of message with offset 1 is out of range. The timestamp should be within [999990, \
                 1000020]"
            )
        );
    }
    // The older key holds for a side that is not set.
    let old = LogConfig { message_timestamp_difference_max_ms: 5, ..LogConfig::default() };
    assert_eq!(refusal(validate(batch(NOW - 6), &old)).0, ErrorCode::InvalidTimestamp);
}

#[test]
fn headers_must_agree_with_themselves() {
    let cases: [(usize, &[u8], &str); 5] = [
        (
            23,
            &5_i32.to_be_bytes(),
            "Inconsistent batch offset range [0, 5] and count of records 3 in topic partition t-0",
        ),
        (23, &(-1_i32).to_be_bytes(), "Batch has an invalid offset range: [0, -1] in topic partition t-0"),
        (57, &0_i32.to_be_bytes(), "Invalid reported count for record batch: 0 in topic partition t-0"),
        (21, &0x20_i16.to_be_bytes(), "Clients are not allowed to write control records in topic partition t-0"),
        (
            43,
            &8_i64.to_be_bytes(),
            "Invalid sequence number -1 in record batch with producerId 8 in topic partition t-0",
        ),
    ];
    for (at, bytes, expected) in cases {
        let mut records = three(CompressionType::None).build();
        records[at..at + bytes.len()].copy_from_slice(bytes);
        assert_eq!(refusal(validate(records, &LogConfig::default())), (ErrorCode::InvalidRecord, expected.into(), 0));
    }
}

#[test]
fn the_count_of_records_is_that_of_the_payload() {
    for codec in CODECS {
        for count in [2_i32, 4] {
            let mut records = three(codec).build();
            records[57..61].copy_from_slice(&count.to_be_bytes());
            records[23..27].copy_from_slice(&(count - 1).to_be_bytes());
            let (code, message, _) = refusal(validate(records, &LogConfig::default()));
            assert_eq!((code, message.starts_with("Incorrect declared batch size")), (ErrorCode::InvalidRecord, true));
        }
    }
}

/// Java's readers have a code for bytes that end, and none for a number that does not.
#[test]
fn a_size_without_an_end_is_no_record() {
    let mut records = three(CompressionType::None).build();
    records[61..].fill(0xff);
    assert_eq!(refusal(validate(records, &LogConfig::default())).0, ErrorCode::UnknownServerError);
    let mut records = three(CompressionType::None).build();
    records.truncate(61);
    records.extend_from_slice(&[0xff; 4]);
    let length = records.len() as i32 - 12;
    records[8..12].copy_from_slice(&length.to_be_bytes());
    assert_eq!(refusal(validate(records, &LogConfig::default())).0, ErrorCode::InvalidRecord);
}

#[test]
fn two_batches_are_one_too_many() {
    let twice = [three(CompressionType::None).build(), three(CompressionType::None).build()].concat();
    let (code, message, _) = refusal(validate(BytesMut::from(&twice[..]), &LogConfig::default()));
    assert_eq!((code, &message[..]), (ErrorCode::InvalidRecord, "Compressed outer record has more than one batch"));
    assert_eq!(refusal(validate(BytesMut::new(), &LogConfig::default())).0, ErrorCode::InvalidRecord);
    // A second one that is cut short is cut off.
    let cut = validate(BytesMut::from(&twice[..twice.len() - 1]), &LogConfig::default()).unwrap();
    assert_eq!(cut.records.len(), twice.len() / 2);
}

#[test]
fn offsets_that_do_not_count_up_are_given_anew() {
    for codec in CODECS {
        let mut batch = RecordBatchBuilder::new(0).compression(Compression::of(codec));
        for offset in [0, 0, 2] {
            batch.append_with_offset(offset, 900, Some(b"k"), None, std::iter::empty());
        }
        let done = validate(batch.build(), &LogConfig::default());
        if codec != CompressionType::None {
            assert_eq!(refusal(done).0, ErrorCode::UnknownServerError);
            continue;
        }
        let done = done.unwrap();
        assert!(done.converted);
        assert_eq!(records_of(&done.records), [(100, 900), (101, 900), (102, 900)]);
    }
}

#[test]
fn coordinators_write_markers_whatever_the_topics_codec() {
    let config = LogConfig { compression: BrokerCompression::Gzip, ..LogConfig::default() };
    let marker = EndTransactionMarker { is_commit: true, coordinator_epoch: 3 };
    let done = validate_from(AppendOrigin::Coordinator, marker.to_batch(NOW, 5, 0), &config).unwrap();
    assert!(!done.converted);
    let header = BatchHeader::parse(&done.records).unwrap();
    assert_eq!((header.base_offset, header.is_control(), header.is_compressed()), (100, true, false));
    assert_eq!(EndTransactionMarker::of_batch(&done.records), Ok(Some(marker)));
}

#[test]
fn a_bomb_is_not_unpacked_to_be_written_uncompressed() {
    let mut batch = RecordBatchBuilder::new(0).compression(Compression::of(CompressionType::Zstd));
    let zeros = vec![0; 1 << 20];
    for _ in 0..32 {
        batch.append(1, None, Some(&zeros), &[]);
    }
    let config = LogConfig { compression: BrokerCompression::Uncompressed, ..LogConfig::default() };
    assert_eq!(refusal(validate(batch.build(), &config)).0, ErrorCode::MessageTooLarge);
}

proptest! {
    #[test]
    fn whatever_arrives_is_stored_right_or_refused(
        codec in 0..CODECS.len(),
        target in 0..3_usize,
        magic in 0..3_i8,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = three(CODECS[codec]).build();
        if magic < 2 && let Ok(old) = down_convert(&bytes, magic, 0) {
            bytes = BytesMut::from(&old[..]);
        }
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if bytes.len() > 61 && bytes[16] == 2 {
            // Past the checksum, to where the rules are.
            batch::update_crc(&mut bytes);
        }
        let compression = [BrokerCompression::Producer, BrokerCompression::Uncompressed, BrokerCompression::Lz4][target];
        let config = LogConfig { compression, ..LogConfig::default() };
        if let Ok(done) = validate(bytes, &config) {
            let offsets: Vec<_> = records_of(&done.records).into_iter().map(|r| r.0).collect();
            prop_assert_eq!(offsets, (100..=done.last_offset).collect::<Vec<_>>());
            prop_assert!(NO_LEADER_EPOCH != BatchHeader::parse(&done.records).unwrap().leader_epoch);
        }
    }
}
