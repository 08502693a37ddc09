//! The log's two hot verbs: appending a produced batch, and finding the region a fetch is answered with.

#![allow(clippy::unwrap_used)]

use std::{hint::black_box, sync::Arc};

use bytes::BytesMut;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use monedula::{
    common::{Clock, TopicPartition, time::ManualClock},
    config::topic::LogConfig,
    protocol::records::RecordBatchBuilder,
    storage::{AppendOrigin, FetchIsolation, LogManager, LogManagerConfig, UnifiedLog},
};

/// Small segments, and retention after each group, keep the disk's share small.
fn log(dir: &std::path::Path) -> (LogManager, Arc<UnifiedLog>) {
    let config = LogConfig { segment_bytes: 256 << 20, retention_bytes: 64 << 20, ..LogConfig::default() };
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(1_700_000_000_000));
    let settings = LogManagerConfig {
        log_dirs: vec![dir.to_path_buf()],
        recovery_threads_per_dir: 1,
        producer_id_expiration_ms: 86_400_000,
        default_log_config: config.clone(),
    };
    let manager = LogManager::open(settings, clock).unwrap();
    manager.load(&|_| config.clone()).unwrap();
    let log = manager.get_or_create(&TopicPartition::new("bench", 0), None, config).unwrap();
    (manager, log)
}

fn batch(records: usize, value_bytes: usize) -> BytesMut {
    let mut builder = RecordBatchBuilder::new(0);
    let value = vec![b'x'; value_bytes];
    for _ in 0..records {
        builder.append(1_700_000_000_000, None, Some(&value), &[]);
    }
    builder.build()
}

fn append(c: &mut Criterion) {
    for (name, records, size) in [("1x100B", 1, 100), ("16KiB", 32, 500), ("1MB", 1_000, 1_000)] {
        let dir = tempfile::tempdir().unwrap();
        let (_manager, log) = log(dir.path());
        let template = batch(records, size);
        let mut group = c.benchmark_group("append");
        group.throughput(Throughput::Bytes(template.len() as u64)).sample_size(20);
        group.bench_function(name, |b| {
            let fresh = || template.clone();
            b.iter_batched(
                fresh,
                |records| log.append_as_leader(records, 0, AppendOrigin::Client, 1_700_000_000_000).unwrap(),
                BatchSize::LargeInput,
            );
        });
        group.finish();
        log.update_high_watermark(log.log_end_offset());
        log.delete_old_segments(1_700_000_000_000).unwrap();
    }
}

fn fetch(c: &mut Criterion) {
    let dir = tempfile::tempdir().unwrap();
    let (_manager, log) = log(dir.path());
    for _ in 0..5_000 {
        log.append_as_leader(batch(8, 500), 0, AppendOrigin::Client, 1_700_000_000_000).unwrap();
    }
    log.update_high_watermark(log.log_end_offset());
    let end = log.log_end_offset();
    let mut group = c.benchmark_group("fetch");
    for (name, offset) in [("tail", end - 8), ("middle", end / 2), ("start", 0)] {
        group.bench_function(name, |b| {
            b.iter(|| black_box(log.read(offset, 1 << 20, FetchIsolation::HighWatermark, true).unwrap()));
        });
    }
    group.finish();
}

criterion_group!(benches, append, fetch);
criterion_main!(benches);
