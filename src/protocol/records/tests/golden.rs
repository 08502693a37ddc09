//! Batches written by Kafka's own library, and ours for it to read.

use std::{fs, path::Path};

use bytes::BytesMut;

use super::{CODECS, dump};
use crate::protocol::records::{
    RecordBatchBuilder,
    batch::{CompressionType, TimestampType},
    compression::Compression,
    control::EndTransactionMarker,
    legacy::LegacyBatchBuilder,
};

fn golden() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("compat-tests/golden/records")
}

#[test]
fn every_batch_that_java_wrote_reads_as_java_reads_it() {
    let mut files = 0;
    for entry in fs::read_dir(golden()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "bin") {
            let expected = fs::read_to_string(path.with_extension("txt")).unwrap();
            assert_eq!(dump(&fs::read(&path).unwrap()), expected, "{}", path.display());
            files += 1;
        }
    }
    assert!(files >= 28, "only {files} golden files");
}

#[test]
fn an_uncompressed_batch_is_written_byte_for_byte_as_java_writes_it() {
    for (magic, name) in [(0, "v0-none"), (1, "v1-none"), (2, "v2-none")] {
        let expected = fs::read(golden().join(name).with_extension("bin")).unwrap();
        assert_eq!(&ours(magic, CompressionType::None, None)[..], expected, "{name}");
    }
    let expected = fs::read(golden().join("v2-commit.bin")).unwrap();
    let marker = EndTransactionMarker::of_batch(&expected).unwrap().unwrap();
    assert_eq!(marker, EndTransactionMarker { is_commit: true, coordinator_epoch: 17 });
    let mut written = marker.to_batch(1_234, 4_000, 3);
    super::batch::set_base_offset(&mut written, 11);
    super::batch::set_leader_epoch(&mut written, 5);
    assert_eq!(&written[..], expected);
    let abort = fs::read(golden().join("v2-abort.bin")).unwrap();
    let marker = EndTransactionMarker::of_batch(&abort).unwrap().unwrap();
    assert_eq!(marker, EndTransactionMarker { is_commit: false, coordinator_epoch: 18 });
}

#[test]
fn a_batch_of_ours_reads_back_as_the_one_java_made_of_the_same_records() {
    for codec in CODECS {
        for magic in 0..=2 {
            if magic < 2 && codec == CompressionType::Zstd {
                continue;
            }
            for (append_time, suffix) in [(None, ""), (Some(5_000), "-append-time")] {
                if magic == 0 && append_time.is_some() {
                    continue;
                }
                let name = format!("v{magic}-{}{suffix}", format!("{codec:?}").to_lowercase());
                let expected = fs::read_to_string(golden().join(&name).with_extension("txt")).unwrap();
                assert_eq!(dump(&ours(magic, codec, append_time)), expected, "{name}");
            }
        }
    }
}

/// Writes our batches with our reading of them, for `GoldenRecords check DIR`:
/// `RECORDS_OUT=DIR cargo test --lib writes_batches_for_java -- --ignored`.
#[test]
#[ignore = "by hand, with Java"]
fn writes_batches_for_java() {
    let dir = std::env::var("RECORDS_OUT").unwrap();
    let save = |name: String, bytes: &[u8]| {
        fs::write(format!("{dir}/{name}.bin"), bytes).unwrap();
        fs::write(format!("{dir}/{name}.txt"), dump(bytes)).unwrap();
    };
    for codec in CODECS {
        for magic in 0..=2 {
            if magic < 2 && codec == CompressionType::Zstd {
                continue;
            }
            save(format!("v{magic}-{codec:?}"), &ours(magic, codec, None));
            if magic > 0 {
                save(format!("v{magic}-{codec:?}-append"), &ours(magic, codec, Some(5_000)));
            }
        }
        let mut batch = RecordBatchBuilder::new(7)
            .compression(Compression::of(codec))
            .producer(4_000, 3, i32::MAX - 1)
            .transactional(true)
            .leader_epoch(9);
        for i in 0..40 {
            // Every other value does not compress.
            let value = if i % 2 == 0 { pattern(5_000, i) } else { noise(70_000, i as u64) };
            batch.append(1_000 + i64::from(i), Some(format!("key-{i}").as_bytes()), Some(&value), &[]);
        }
        let batch = batch.build();
        save(format!("v2-{codec:?}-large"), &batch);
        if codec != CompressionType::Zstd {
            for magic in 0..=1 {
                let converted = super::super::convert::down_convert(&batch, magic, 0).unwrap();
                save(format!("v2-{codec:?}-to-{magic}"), &converted);
            }
        }
    }
    save("v2-commit".into(), &EndTransactionMarker { is_commit: true, coordinator_epoch: 3 }.to_batch(1, 2, 3));
}

/// The records of `GoldenRecords.fill`.
fn ours(magic: i8, codec: CompressionType, append_time: Option<i64>) -> BytesMut {
    let mut records = vec![
        (1_000, Some(b"a".to_vec()), Some(b"first".to_vec())),
        (1_000 + (1 << 40), None, Some(b"no key, far ahead".to_vec())),
        (999, Some(b"tombstone".to_vec()), None),
        (2_000, Some(vec![]), Some(vec![])),
    ];
    if magic == 2 {
        records.push((2_001, Some(b"h".to_vec()), Some(b"headers".to_vec())));
    }
    for i in 0..20 {
        records.push((3_000 + i64::from(i), Some(format!("k{i}").into_bytes()), Some(pattern(100, i))));
    }
    let compression = Compression::of(codec);
    if magic < 2 {
        let kind = if append_time.is_some() { TimestampType::LogAppendTime } else { TimestampType::CreateTime };
        let mut batch =
            LegacyBatchBuilder::new(BytesMut::new(), magic, compression, kind, append_time.unwrap_or(-1), 100);
        for (offset, (timestamp, key, value)) in (100..).zip(records) {
            batch.append(offset, timestamp, key.as_deref(), value.as_deref());
        }
        return batch.build();
    }
    let mut batch = RecordBatchBuilder::new(100).compression(compression);
    if let Some(time) = append_time {
        batch = batch.log_append_time(time);
    }
    for (timestamp, key, value) in records {
        let headers: &[(&str, Option<&[u8]>)] = if timestamp == 2_001 {
            &[
                ("same", Some(b"1")),
                ("same", Some(b"2")),
                ("null", None),
                ("", Some(b"")),
                ("ümlaut", Some("ä".as_bytes())),
            ]
        } else {
            &[]
        };
        batch.append(timestamp, key.as_deref(), value.as_deref(), headers);
    }
    batch.build()
}

fn pattern(size: usize, seed: i32) -> Vec<u8> {
    format!("{{\"n\":{seed:2},\"name\":\"v\"}}").into_bytes().into_iter().cycle().take(size).collect()
}

fn noise(size: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    })
    .take(size)
    .collect()
}
