//! Building and reading batches: what coordinators spend when they write state and when they load it.

use std::{hint::black_box, ops::ControlFlow};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use monedula::protocol::records::{
    RecordBatchBuilder,
    batch::CompressionType,
    compression::Compression,
    convert::down_convert,
    iter::{for_each_record, for_each_record_view},
};

const RECORDS: u32 = 10_000;

fn build(codec: CompressionType) -> bytes::BytesMut {
    let mut builder = RecordBatchBuilder::new(0).compression(Compression::of(codec));
    let value = [7; 100];
    for i in 0..RECORDS {
        builder.append(i64::from(i), Some(&i.to_be_bytes()), Some(&value), &[]);
    }
    builder.build()
}

fn codec(c: &mut Criterion) {
    let mut group = c.benchmark_group("codec");
    group.throughput(Throughput::Elements(u64::from(RECORDS)));
    for codec in [
        CompressionType::None,
        CompressionType::Gzip,
        CompressionType::Snappy,
        CompressionType::Lz4,
        CompressionType::Zstd,
    ] {
        group.bench_function(format!("build/{codec:?}"), |b| b.iter(|| build(codec)));
        let batch = build(codec);
        group.bench_function(format!("times/{codec:?}"), |b| {
            b.iter(|| {
                for_each_record(black_box(&batch), &mut |offset, time| {
                    black_box((offset, time));
                    ControlFlow::Continue(())
                })
            });
        });
        group.bench_function(format!("views/{codec:?}"), |b| {
            b.iter(|| {
                for_each_record_view(black_box(&batch), &mut |view| {
                    black_box(view.value);
                    ControlFlow::Continue(())
                })
            });
        });
        if codec != CompressionType::Zstd {
            group.bench_function(format!("down/{codec:?}"), |b| b.iter(|| down_convert(black_box(&batch), 1, 0)));
        }
    }
    group.finish();
}

criterion_group!(benches, codec);
criterion_main!(benches);
