//! What consumers of old get.

use super::{CODECS, dump};
use crate::common::ErrorCode;
use crate::protocol::records::{
    RecordBatchBuilder, RecordsError,
    batch::CompressionType,
    compression::Compression,
    control::EndTransactionMarker,
    convert::{down_convert, needs_down_conversion},
    produce::check_produce_records,
};

fn three_records(codec: CompressionType) -> Vec<u8> {
    let mut batch = RecordBatchBuilder::new(10).compression(Compression::of(codec)).producer(1, 0, 0);
    for i in 0..3 {
        batch.append(1_000 + i, Some(b"k"), Some(b"v"), &[("h", None)]);
    }
    batch.build().to_vec()
}

#[test]
fn offsets_stay_and_headers_go() {
    for codec in CODECS {
        let batch = three_records(codec);
        assert!(needs_down_conversion(&batch, 1));
        if codec == CompressionType::Zstd {
            assert!(matches!(down_convert(&batch, 1, 0), Err(RecordsError::UnsupportedCompression(_))));
            continue;
        }
        for magic in 0..=1 {
            let converted = down_convert(&batch, magic, 0).unwrap();
            assert!(!needs_down_conversion(&converted, magic));
            let text = dump(&converted);
            for (offset, time) in [(10, 1_000), (11, 1_001), (12, 1_002)] {
                let time = if magic == 0 { -1 } else { time };
                assert!(text.contains(&format!("  {offset} @{time} x6b = x76\n")), "{codec:?} to {magic}:\n{text}");
            }
        }
    }
}

#[test]
fn records_below_the_fetch_offset_are_dropped_from_uncompressed_batches_only() {
    let text = dump(&down_convert(&three_records(CompressionType::None), 1, 12).unwrap());
    assert_eq!(text.matches(" @").count(), 1, "{text}");
    let text = dump(&down_convert(&three_records(CompressionType::Lz4), 1, 12).unwrap());
    assert_eq!(text.matches(" @").count(), 3, "{text}");
}

#[test]
fn markers_alone_become_the_head_of_something_too_large() {
    let marker = EndTransactionMarker { is_commit: true, coordinator_epoch: 0 }.to_batch(1, 1, 0);
    assert_eq!(&down_convert(&marker, 1, 0).unwrap()[..], b"\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\x3d");
    assert!(down_convert(&marker[..20], 1, 0).unwrap().is_empty());
}

#[test]
fn a_zstd_batch_ends_the_answer_when_it_is_not_the_first() {
    let mut log = three_records(CompressionType::Gzip);
    log.extend_from_slice(&three_records(CompressionType::Zstd));
    assert_eq!(dump(&down_convert(&log, 1, 0).unwrap()).matches(" @").count(), 3);
}

#[test]
fn a_produce_request_carries_one_batch_of_its_version() {
    let plain = three_records(CompressionType::None);
    let zstd = three_records(CompressionType::Zstd);
    assert_eq!(check_produce_records(3, &plain), Ok(()));
    assert_eq!(check_produce_records(7, &zstd), Ok(()));
    let code = |version, records: &[u8]| check_produce_records(version, records).unwrap_err().0;
    assert_eq!(code(6, &zstd), ErrorCode::UnsupportedCompressionType);
    assert_eq!(code(3, &[]), ErrorCode::InvalidRecord);
    assert_eq!(code(9, &[&plain[..], &plain[..]].concat()), ErrorCode::InvalidRecord);
    let old = down_convert(&plain, 1, 0).unwrap();
    assert_eq!(code(3, &old), ErrorCode::InvalidRecord);
    assert_eq!(check_produce_records(2, &old), Ok(()));
    let mut bad_magic = plain.clone();
    bad_magic[16] = 3;
    assert_eq!(code(9, &bad_magic), ErrorCode::CorruptMessage);
}
