//! Stories of compaction: rules one by one, then whole logs on a real disk.

mod chosen;
mod logs;
mod model;
mod rules;
mod swaps;
mod threads;

use std::{
    fs,
    ops::ControlFlow,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{CleanerConfig, LogCleaner};
use crate::{
    common::{Clock, Offset, TopicPartition, time::ManualClock},
    config::topic::LogConfig,
    protocol::records::{
        RecordBatchBuilder,
        batch::{BatchHeader, is_crc_valid},
        compression::Compression,
        control::EndTransactionMarker,
        iter::{batches, try_for_each_view},
    },
    storage::{AppendOrigin, FetchIsolation, LogManager, LogManagerConfig, UnifiedLog},
};

const START: i64 = 1_000_000;

fn tp() -> TopicPartition {
    TopicPartition::new("t", 0)
}

/// Everything is dirty enough, and nothing expires.
fn compact() -> LogConfig {
    LogConfig {
        cleanup_compact: true,
        cleanup_delete: false,
        min_cleanable_dirty_ratio: 0.0,
        delete_retention_ms: 1_000,
        segment_bytes: 1 << 20,
        ..LogConfig::default()
    }
}

/// One record as a reader finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    offset: Offset,
    key: Vec<u8>,
    value: Option<Vec<u8>>,
    timestamp: i64,
}

/// A broker's logs, with one compacted log in them and a cleaner that is called by hand.
struct Bench {
    dir: PathBuf,
    clock: Arc<ManualClock>,
    config: LogConfig,
    settings: CleanerConfig,
    logs: Arc<LogManager>,
    cleaner: Arc<LogCleaner>,
    log: Arc<UnifiedLog>,
    _temporary: Option<tempfile::TempDir>,
}

impl Bench {
    fn new(config: LogConfig) -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(START));
        let mut bench = Self::open(temporary.path().join("data"), config, clock);
        bench._temporary = Some(temporary);
        bench
    }

    fn open(dir: PathBuf, config: LogConfig, clock: Arc<ManualClock>) -> Self {
        let manager = LogManagerConfig {
            log_dirs: vec![dir.clone()],
            recovery_threads_per_dir: 1,
            producer_id_expiration_ms: 86_400_000,
            default_log_config: config.clone(),
        };
        let logs = Arc::new(LogManager::open(manager, clock.clone()).unwrap());
        logs.load(&|_| config.clone()).unwrap();
        let log = logs.get_or_create(&tp(), None, config.clone()).unwrap();
        log.update_high_watermark(log.log_end_offset());
        let settings = CleanerConfig { dedupe_buffer_bytes: 2 << 20, ..CleanerConfig::default() };
        let cleaner = LogCleaner::new(Arc::clone(&logs), settings.clone(), clock.clone());
        Self { dir, clock, config, settings, logs, cleaner, log, _temporary: None }
    }

    /// Starts again as after `kill -9`.
    fn reload(&mut self) {
        let temporary = self._temporary.take();
        self.logs.mark_offline(&self.dir);
        *self = Self::open(self.dir.clone(), self.config.clone(), Arc::clone(&self.clock));
        self._temporary = temporary;
    }

    fn path(&self) -> PathBuf {
        self.dir.join("t-0")
    }

    fn now(&self) -> i64 {
        self.clock.now_ms()
    }

    fn append(&self, batch: RecordBatchBuilder) -> Offset {
        self.append_bytes(batch.build(), AppendOrigin::Client)
    }

    fn append_bytes(&self, batch: bytes::BytesMut, origin: AppendOrigin) -> Offset {
        let info = self.log.append_as_leader(batch, 0, origin, self.now()).unwrap();
        self.log.update_high_watermark(self.log.log_end_offset());
        info.first_offset
    }

    /// One record in a batch of its own.
    fn put(&self, key: &str, value: Option<&str>) -> Offset {
        self.append(self.batch(&[(key, value)]))
    }

    fn batch(&self, records: &[(&str, Option<&str>)]) -> RecordBatchBuilder {
        self.fill(RecordBatchBuilder::new(0), records)
    }

    fn fill(&self, mut batch: RecordBatchBuilder, records: &[(&str, Option<&str>)]) -> RecordBatchBuilder {
        for (key, value) in records {
            batch.append(self.now(), Some(key.as_bytes()), value.map(str::as_bytes), &[]);
        }
        batch
    }

    fn produce(&self, id: i64, sequence: i32, in_txn: bool, records: &[(&str, Option<&str>)]) -> Offset {
        let batch = RecordBatchBuilder::new(0).producer(id, 0, sequence).transactional(in_txn);
        self.append(self.fill(batch, records))
    }

    fn end_txn(&self, id: i64, is_commit: bool) -> Offset {
        let marker = EndTransactionMarker { is_commit, coordinator_epoch: 3 };
        self.append_bytes(marker.to_batch(self.now(), id, 0), AppendOrigin::Coordinator)
    }

    /// Makes everything so far cleanable and cleans it.
    fn clean(&self) {
        self.log.roll().unwrap();
        assert!(self.cleaner.clean_filthiest(0, &self.settings), "nothing was cleaned");
    }

    /// As [`clean`](Self::clean), with a record that makes even a clean log dirty.
    fn clean_again(&self) {
        self.put("tick", Some("tock"));
        self.clean();
    }

    fn raw(&self) -> Vec<u8> {
        raw(&self.log)
    }

    fn headers(&self) -> Vec<BatchHeader> {
        headers(&self.raw())
    }

    fn records(&self) -> Vec<Found> {
        records(&self.raw())
    }

    fn offsets(&self) -> Vec<Offset> {
        self.records().iter().map(|record| record.offset).collect()
    }

    fn names(&self) -> Vec<String> {
        names(&self.path())
    }
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// All whole batches from the log start on, read through the front door.
fn raw(log: &UnifiedLog) -> Vec<u8> {
    let mut all = Vec::new();
    let mut offset = log.log_start_offset();
    while offset < log.log_end_offset() {
        let data = log.read(offset, 1 << 20, FetchIsolation::LogEnd, true).unwrap();
        let Some(region) = data.region else { break };
        let mut bytes = vec![0; region.length];
        region.file.read_exact_at(&mut bytes, region.position).unwrap();
        let mut whole = batches(&bytes);
        for batch in whole.by_ref() {
            offset = batch.unwrap().header.next_offset();
        }
        let taken = bytes.len() - whole.rest().len();
        assert!(taken > 0);
        all.extend_from_slice(&bytes[..taken]);
    }
    all
}

fn headers(raw: &[u8]) -> Vec<BatchHeader> {
    let check = |batch: crate::protocol::records::iter::Batch<'_>| {
        assert!(is_crc_valid(&batch.header, batch.bytes));
        batch.header
    };
    batches(raw).map(|batch| check(batch.unwrap())).collect()
}

/// Data records; markers are left out.
fn records(raw: &[u8]) -> Vec<Found> {
    let mut found = Vec::new();
    for batch in batches(raw).map(Result::unwrap).filter(|batch| !batch.header.is_control()) {
        try_for_each_view(batch.bytes, &mut |record| {
            found.push(Found {
                offset: record.offset,
                key: record.key.unwrap_or_default().to_vec(),
                value: record.value.map(<[u8]>::to_vec),
                timestamp: record.timestamp,
            });
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
    }
    assert!(found.is_sorted_by(|one, other| one.offset < other.offset));
    found
}

fn packed(kind: crate::protocol::records::batch::CompressionType) -> RecordBatchBuilder {
    RecordBatchBuilder::new(0).compression(Compression::of(kind))
}
