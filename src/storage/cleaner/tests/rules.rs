//! The rules as a table, and what becomes of one batch.

use bytes::BytesMut;

use super::*;
use crate::{
    protocol::records::{
        batch::{CompressionType, TimestampType},
        control::ControlRecordType,
        iter::Batch,
        legacy::LegacyBatchBuilder,
    },
    storage::{
        cleaner::{
            filter::filter_batch,
            offset_map::OffsetMap,
            retain::{BatchRetention, CleanedTransactions, Rules, Verdict},
            stats::CleanerStats,
        },
        log::{
            replace_segments::{LastRecord, LastRecords},
            transaction_index::AbortedEntry,
        },
    },
};

const NOW: i64 = 50_000;

fn map(entries: &[(&str, Offset)], latest: Offset) -> OffsetMap {
    let mut map = OffsetMap::new(1 << 16, 0.9);
    for (key, offset) in entries {
        assert!(map.put(key.as_bytes(), *offset));
    }
    map.update_latest_offset(latest);
    map
}

fn rules<'a>(map: &'a OffsetMap, last_records: &'a LastRecords) -> Rules<'a> {
    Rules { map, now: NOW, delete_retention_ms: 1_000, retain_legacy_deletes: false, last_records }
}

fn header(attributes: i16, horizon: Option<i64>) -> BatchHeader {
    let mut batch = RecordBatchBuilder::new(10).producer(7, 1, 3);
    if let Some(horizon) = horizon {
        batch = batch.delete_horizon(horizon);
    }
    batch.append(5, Some(b"k"), None, &[]);
    let mut header = BatchHeader::parse(&batch.build()).unwrap();
    header.attributes |= attributes;
    header
}

const TXN: i16 = 0x10;
const CONTROL: i16 = 0x30;

#[test]
fn a_record_stays_if_it_is_the_last_of_its_key_and_not_a_spent_tombstone() {
    let (map, last) = (map(&[("k", 20)], 30), LastRecords::default());
    let rules = rules(&map, &last);
    let plain = header(0, None);
    let waiting = header(0, Some(NOW + 1));
    let spent = header(0, Some(NOW));
    let cases = [
        ("older than the map's", &plain, 19, Some("k"), true, Verdict::Drop),
        ("the map's own", &plain, 20, Some("k"), true, Verdict::Keep),
        ("newer", &plain, 21, Some("k"), true, Verdict::Keep),
        ("a key the map does not know", &plain, 5, Some("other"), true, Verdict::Keep),
        ("without a key", &plain, 5, None, true, Verdict::Invalid),
        ("without a key beyond the map", &plain, 31, None, true, Verdict::Keep),
        ("older but beyond the map", &plain, 31, Some("k"), true, Verdict::Keep),
        ("a tombstone on its first pass", &plain, 20, Some("k"), false, Verdict::Keep),
        ("a tombstone before its horizon", &waiting, 20, Some("k"), false, Verdict::Keep),
        ("a tombstone past its horizon", &spent, 20, Some("k"), false, Verdict::Drop),
        ("a value in a batch past its horizon", &spent, 20, Some("k"), true, Verdict::Keep),
        ("an old tombstone", &plain, 19, Some("k"), false, Verdict::Drop),
    ];
    for (what, batch, offset, key, has_value, expected) in cases {
        let decision = rules.decide_batch(batch, false);
        let verdict = rules.should_retain(batch, &decision, offset, key.map(str::as_bytes), has_value);
        assert_eq!(verdict, expected, "{what}");
    }
}

#[test]
fn old_formats_have_no_horizon() {
    let (map, last) = (map(&[("k", 20)], 30), LastRecords::default());
    let mut legacy = header(0, None);
    legacy.magic = 1;
    for (retain, expected) in [(true, Verdict::Keep), (false, Verdict::Drop)] {
        let rules = Rules { retain_legacy_deletes: retain, ..rules(&map, &last) };
        let decision = rules.decide_batch(&legacy, false);
        assert_eq!(rules.should_retain(&legacy, &decision, 20, Some(b"k"), false), expected);
    }
}

#[test]
fn what_a_batch_is_worth() {
    let map = map(&[], 30);
    let producer = |last_data_offset, producer_epoch| {
        LastRecords::from_iter([(7, LastRecord { last_data_offset, producer_epoch })])
    };
    let (gone, data, older, marker, fenced) =
        (LastRecords::default(), producer(Some(10), 1), producer(Some(9), 1), producer(None, 1), producer(None, 2));
    use BatchRetention::{Delete, DeleteEmpty, RetainEmpty};
    // what, attributes, horizon, may be discarded, last records → retention, records go, marker of an empty txn
    let cases = [
        ("data", 0, None, false, &gone, (DeleteEmpty, false, false)),
        ("a live producer's last data", 0, None, false, &data, (RetainEmpty, false, false)),
        ("a live producer's older data", 0, None, false, &older, (DeleteEmpty, false, false)),
        ("aborted data", TXN, None, true, &gone, (Delete, true, false)),
        ("aborted data, a live producer's last", TXN, None, true, &data, (RetainEmpty, true, false)),
        ("a marker with data left", CONTROL, None, false, &gone, (DeleteEmpty, false, false)),
        ("a marker without, first seen so", CONTROL, None, true, &gone, (DeleteEmpty, false, true)),
        ("a marker without, waiting", CONTROL, Some(NOW + 1), true, &gone, (DeleteEmpty, false, true)),
        ("a marker without, waited", CONTROL, Some(NOW), true, &gone, (Delete, true, true)),
        ("waited, but all that is known of the epoch", CONTROL, Some(NOW), true, &marker, (RetainEmpty, true, true)),
        ("waited, and fenced since", CONTROL, Some(NOW), true, &fenced, (Delete, true, true)),
    ];
    for (what, attributes, horizon, can_discard, last, expected) in cases {
        let decision = rules(&map, last).decide_batch(&header(attributes, horizon), can_discard);
        let found = (decision.retention, decision.discard_records, decision.marker_of_empty_txn);
        assert_eq!(found, expected, "{what}");
    }
}

fn aborted(producer_id: i64, first_offset: Offset, last_offset: Offset) -> AbortedEntry {
    AbortedEntry { producer_id, first_offset, last_offset, last_stable_offset: last_offset + 1 }
}

fn at(producer_id: i64, offset: Offset, attributes: i16) -> BatchHeader {
    let mut header = header(attributes, None);
    (header.producer_id, header.base_offset, header.last_offset_delta) = (producer_id, offset, 0);
    header
}

#[test]
fn markers_stay_while_data_does() {
    let mut transactions = CleanedTransactions::default();
    transactions.add_aborted([aborted(1, 10, 20), aborted(1, 30, 40), aborted(2, 12, 25)]);
    let abort = Some(ControlRecordType::Abort);
    let commit = Some(ControlRecordType::Commit);
    assert!(!transactions.on_batch(&at(1, 5, TXN)), "a committed one before");
    assert!(!transactions.on_control_batch(&at(1, 6, CONTROL), commit), "its data was met");
    assert!(transactions.on_control_batch(&at(1, 7, CONTROL), commit), "no data was met");
    assert!(transactions.on_batch(&at(1, 11, TXN)), "in the first aborted one");
    assert!(!transactions.on_batch(&at(3, 13, 0)), "without a transaction");
    // The same entries come again when the transaction reaches into the next segment.
    transactions.add_aborted([aborted(1, 10, 20)]);
    assert!(!transactions.on_control_batch(&at(1, 20, CONTROL), abort), "its data was met");
    assert_eq!(transactions.take_retained(), [aborted(1, 10, 20)]);
    assert!(transactions.on_control_batch(&at(2, 25, CONTROL), abort), "its data went in an earlier pass");
    assert!(transactions.take_retained().is_empty());
    assert!(!transactions.on_batch(&at(1, 26, TXN)), "between two aborted ones");
    assert!(!transactions.on_control_batch(&at(1, 27, CONTROL), commit));
    assert!(transactions.on_batch(&at(1, 35, TXN)), "in the second aborted one");
    assert!(!transactions.on_control_batch(&at(9, 36, CONTROL), Some(ControlRecordType::Unknown(5))));
    assert!(transactions.on_control_batch(&at(9, 37, CONTROL), None), "emptied in an earlier pass");
}

/// Runs one batch of any format through the filter.
fn filtered(bytes: &[u8], map: &OffsetMap, last: &LastRecords, transactions: &mut CleanedTransactions) -> BytesMut {
    let mut out = BytesMut::new();
    let header = BatchHeader::parse(bytes).unwrap();
    let mut stats = CleanerStats::default();
    filter_batch(&Batch { header, bytes }, &rules(map, last), transactions, &mut out, &mut stats).unwrap();
    assert_eq!((stats.bytes_read, stats.bytes_written), (bytes.len() as u64, out.len() as u64));
    out
}

#[test]
fn a_batch_keeps_its_identity_when_records_go() {
    for kind in [
        CompressionType::None,
        CompressionType::Gzip,
        CompressionType::Snappy,
        CompressionType::Lz4,
        CompressionType::Zstd,
    ] {
        let mut batch = packed(kind).producer(7, 1, 3).transactional(true).leader_epoch(4);
        batch.append(900, Some(b"a"), Some(b"1"), &[("h", Some(b"x"))]);
        batch.append(700, Some(b"b"), Some(b"2"), &[("h", None)]);
        batch.append(800, Some(b"a"), Some(b"3"), &[]);
        let bytes = batch.build();
        let original = BatchHeader::parse(&bytes).unwrap();
        let last = LastRecords::default();
        let known = map(&[("a", 1), ("b", 1)], 9);
        let out = filtered(&bytes, &known, &last, &mut CleanedTransactions::default());
        let header = BatchHeader::parse(&out).unwrap();
        assert!(is_crc_valid(&header, &out));
        let expected = BatchHeader {
            size: header.size,
            crc: header.crc,
            base_timestamp: 700,
            max_timestamp: 800,
            record_count: 2,
            ..original
        };
        assert_eq!(header, expected, "{kind:?}");
        let left: Vec<_> = records(&out).into_iter().map(|it| (it.offset, it.key, it.timestamp)).collect();
        assert_eq!(left, [(1, b"b".to_vec(), 700), (2, b"a".to_vec(), 800)]);
        // Nothing to drop: the very same bytes.
        let known = map(&[("a", 0), ("b", 1)], 9);
        assert_eq!(filtered(&bytes, &known, &last, &mut CleanedTransactions::default()), bytes);
    }
}

#[test]
fn a_tombstone_gets_its_horizon_on_the_first_pass() {
    let mut batch = RecordBatchBuilder::new(0);
    batch.append(900, Some(b"a"), None, &[]);
    batch.append(950, Some(b"b"), Some(b"2"), &[]);
    let last = LastRecords::default();
    let known = map(&[("a", 0)], 9);
    let bytes = batch.build();
    let out = filtered(&bytes, &known, &last, &mut CleanedTransactions::default());
    let header = BatchHeader::parse(&out).unwrap();
    assert!(header.has_delete_horizon());
    assert_eq!((header.base_timestamp, header.max_timestamp), (NOW + 1_000, 950));
    let found: Vec<_> = records(&out).into_iter().map(|it| (it.offset, it.timestamp)).collect();
    assert_eq!(found, [(0, 900), (1, 950)], "times are the same under the new base");
    // The second pass, not yet due, copies it; when another record goes, the horizon stays.
    assert_eq!(filtered(&out, &known, &last, &mut CleanedTransactions::default()), out);
    let known = map(&[("a", 0), ("b", 5)], 9);
    let again = BatchHeader::parse(&filtered(&out, &known, &last, &mut CleanedTransactions::default())).unwrap();
    assert!(again.has_delete_horizon());
    assert_eq!((again.base_timestamp, again.max_timestamp, again.last_offset_delta), (NOW + 1_000, 900, 1));
}

#[test]
fn the_last_batch_of_a_producer_becomes_a_header() {
    let mut batch = packed(CompressionType::Zstd).producer(7, 1, 40).leader_epoch(4).transactional(true);
    batch.append(900, Some(b"a"), Some(b"1"), &[]);
    batch.append(901, Some(b"a"), Some(b"2"), &[]);
    let bytes = batch.build();
    let last = LastRecords::from_iter([(7, LastRecord { last_data_offset: Some(1), producer_epoch: 1 })]);
    let known = map(&[("a", 8)], 9);
    let out = filtered(&bytes, &known, &last, &mut CleanedTransactions::default());
    assert_eq!(out.len(), 61);
    let header = BatchHeader::parse(&out).unwrap();
    assert!(is_crc_valid(&header, &out));
    assert_eq!((header.last_sequence(), header.record_count, header.last_offset()), (41, 0, 1));
    assert_eq!((header.base_timestamp, header.max_timestamp, header.leader_epoch), (-1, 901, 4));
    assert!(header.is_transactional() && !header.is_compressed());
    // It stays as it is, until the producer is forgotten.
    assert_eq!(filtered(&out, &known, &last, &mut CleanedTransactions::default()), out);
    assert!(filtered(&out, &known, &LastRecords::default(), &mut CleanedTransactions::default()).is_empty());
}

#[test]
fn append_time_survives() {
    let mut batch = RecordBatchBuilder::new(0).log_append_time(1_234);
    batch.append(1_234, Some(b"a"), Some(b"1"), &[]);
    batch.append(1_234, Some(b"b"), Some(b"2"), &[]);
    let known = map(&[("a", 5)], 9);
    let bytes = batch.build();
    let out = filtered(&bytes, &known, &LastRecords::default(), &mut CleanedTransactions::default());
    let header = BatchHeader::parse(&out).unwrap();
    assert_eq!((header.timestamp_type(), header.max_timestamp), (TimestampType::LogAppendTime, 1_234));
    assert_eq!(records(&out)[0].timestamp, 1_234);
}

#[test]
fn wrappers_of_old_formats_are_repacked() {
    for (magic, kind) in [(0, CompressionType::Gzip), (1, CompressionType::Lz4), (1, CompressionType::Snappy)] {
        let create_time = TimestampType::CreateTime;
        let mut batch = LegacyBatchBuilder::new(BytesMut::new(), magic, Compression::of(kind), create_time, -1, 5);
        for (offset, key) in [(5, "a"), (6, "b"), (7, "a")] {
            batch.append(offset, 100 + offset, Some(key.as_bytes()), Some(b"v"));
        }
        let bytes = batch.build();
        let known = map(&[("a", 7), ("b", 6)], 9);
        let out = filtered(&bytes, &known, &LastRecords::default(), &mut CleanedTransactions::default());
        let header = BatchHeader::parse(&out).unwrap();
        assert_eq!((header.magic, header.last_offset(), header.compression()), (magic, 7, Some(kind)));
        assert!(is_crc_valid(&header, &out));
        assert_eq!(records(&out).iter().map(|it| it.offset).collect::<Vec<_>>(), [6, 7]);
        let known = map(&[("a", 5)], 9);
        assert_eq!(filtered(&bytes, &known, &LastRecords::default(), &mut CleanedTransactions::default()), bytes);
    }
}

#[test]
fn damage_is_not_given_a_new_checksum() {
    let mut batch = RecordBatchBuilder::new(0);
    batch.append(1, Some(b"a"), Some(b"1"), &[]);
    batch.append(1, Some(b"b"), Some(b"2"), &[]);
    let mut bytes = batch.build();
    let at = bytes.len() - 2;
    bytes[at] ^= 0x40;
    let header = BatchHeader::parse(&bytes).unwrap();
    let (known, last) = (map(&[("a", 5)], 9), LastRecords::default());
    let (mut out, mut stats) = (BytesMut::new(), CleanerStats::default());
    let batch = Batch { header, bytes: &bytes };
    let done = filter_batch(&batch, &rules(&known, &last), &mut CleanedTransactions::default(), &mut out, &mut stats);
    assert!(done.is_err());
}
