//! What a leader spends on checking a produced batch: the walk over its records, with decompression.
//!
//! `crc` is what the log spends before that on the checksum. 100 × 100 bytes fit the first cache: the walk alone.

use std::hint::black_box;

use bytes::BytesMut;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use monedula::{
    common::TopicPartition,
    config::topic::LogConfig,
    protocol::records::{RecordBatchBuilder, batch::CompressionType, compression::Compression},
    storage::{
        AppendOrigin,
        log::validate::{ValidationParams, validate_and_assign},
    },
};

const CODECS: [CompressionType; 5] = [
    CompressionType::None,
    CompressionType::Gzip,
    CompressionType::Snappy,
    CompressionType::Lz4,
    CompressionType::Zstd,
];

/// Values that compress about four to one, as JSON does.
fn batch(records: u32, value_bytes: usize, codec: CompressionType) -> BytesMut {
    let mut builder = RecordBatchBuilder::new(0).compression(Compression::of(codec));
    let mut state = 1_u32;
    for i in 0..records {
        let value: Vec<u8> = (0..value_bytes)
            .map(|at| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                if at % 5 == 0 { b'0' + (state >> 28) as u8 } else { b"{\"id\":,"[at % 7] }
            })
            .collect();
        builder.append(1_000 + i64::from(i), Some(&i.to_be_bytes()), Some(&value), &[]);
    }
    builder.build()
}

fn validation(c: &mut Criterion) {
    let topic_partition = TopicPartition::new("bench", 0);
    let config = LogConfig::default();
    let params = ValidationParams {
        topic_partition: &topic_partition,
        config: &config,
        origin: AppendOrigin::Client,
        leader_epoch: 3,
        now: 1_000_000,
        first_offset: 42,
    };
    for (count, size) in [(1_000, 1_000), (10_000, 100), (100, 100)] {
        let mut group = c.benchmark_group(format!("{count}x{size}"));
        group.throughput(Throughput::Elements(u64::from(count)));
        for codec in CODECS {
            // Again and again the same buffer: in the cache, as the checksum leaves it.
            let mut records = batch(count, size, codec);
            group.bench_function(format!("validate/{codec:?}"), |b| {
                b.iter(|| {
                    let done = validate_and_assign(std::mem::take(&mut records), &params);
                    records = done.map(|done| done.records).unwrap_or_default();
                });
            });
            assert!(!records.is_empty(), "a good batch was refused");
        }
        let records = batch(count, size, CompressionType::None);
        group.bench_function("crc", |b| b.iter(|| crc32c::crc32c(black_box(&records[21..]))));
        group.finish();
    }
}

criterion_group!(benches, validation);
criterion_main!(benches);
