//! Stories of one log on a real disk.

mod append_read;
mod durability;
mod model;
mod producers;
mod recovery;
mod retention;

use std::{fs, os::unix::fs::FileExt, path::Path, sync::Arc};

use bytes::BytesMut;

use super::{
    AppendInfo, AppendOrigin, FetchData, FetchIsolation, UnifiedLog, context::LogContext, recover::LoadParams,
};
use crate::{
    common::{TopicPartition, time::ManualClock},
    config::topic::LogConfig,
    protocol::records::batch::{BatchHeader, CompressionType},
    storage::StorageError,
};

/// A batch to be made.
#[derive(Clone)]
struct Batch {
    records: i32,
    payload: usize,
    timestamp: i64,
    producer: (i64, i16, i32),
    transactional: bool,
    marker: Option<bool>,
}

impl Default for Batch {
    fn default() -> Self {
        Self { records: 1, payload: 10, timestamp: 1_000, producer: (-1, -1, -1), transactional: false, marker: None }
    }
}

impl Batch {
    fn by(producer_id: i64, epoch: i16, sequence: i32) -> Self {
        Self { producer: (producer_id, epoch, sequence), ..Self::default() }
    }

    fn txn(producer_id: i64, epoch: i16, sequence: i32) -> Self {
        Self { transactional: true, ..Self::by(producer_id, epoch, sequence) }
    }

    fn marker(producer_id: i64, epoch: i16, commit: bool) -> Self {
        Self { marker: Some(commit), ..Self::txn(producer_id, epoch, -1) }
    }

    fn bytes(&self) -> BytesMut {
        let mut records = Vec::new();
        for delta in 0..self.records {
            let (key, value) = match self.marker {
                Some(commit) => (Some(vec![0, 0, 0, u8::from(commit)]), vec![0, 0, 0, 0, 0, 7]),
                None => (None, vec![b'x'; self.payload]),
            };
            let mut body = vec![0];
            varint(&mut body, i64::from(delta));
            varint(&mut body, i64::from(delta));
            match &key {
                Some(key) => {
                    varint(&mut body, key.len() as i64);
                    body.extend_from_slice(key);
                }
                None => varint(&mut body, -1),
            }
            varint(&mut body, value.len() as i64);
            body.extend_from_slice(&value);
            varint(&mut body, 0);
            varint(&mut records, body.len() as i64);
            records.extend_from_slice(&body);
        }
        let attributes = CompressionType::None as i16
            | if self.transactional { 0x10 } else { 0 }
            | if self.marker.is_some() { 0x20 } else { 0 };
        let mut batch = Vec::new();
        batch.extend_from_slice(&0i64.to_be_bytes());
        batch.extend_from_slice(&(49 + records.len() as i32).to_be_bytes());
        batch.extend_from_slice(&(-1i32).to_be_bytes());
        batch.push(2);
        batch.extend_from_slice(&[0; 4]);
        batch.extend_from_slice(&attributes.to_be_bytes());
        batch.extend_from_slice(&(self.records - 1).to_be_bytes());
        batch.extend_from_slice(&self.timestamp.to_be_bytes());
        batch.extend_from_slice(&(self.timestamp + i64::from(self.records) - 1).to_be_bytes());
        batch.extend_from_slice(&self.producer.0.to_be_bytes());
        batch.extend_from_slice(&self.producer.1.to_be_bytes());
        batch.extend_from_slice(&self.producer.2.to_be_bytes());
        batch.extend_from_slice(&self.records.to_be_bytes());
        batch.extend_from_slice(&records);
        let crc = crc32c::crc32c(&batch[21..]);
        batch[17..21].copy_from_slice(&crc.to_be_bytes());
        BytesMut::from(&batch[..])
    }
}

fn varint(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push((rest as u8 & 0x7f) | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// A log in a temporary log dir, and what it takes to open it again.
struct Fixture {
    dir: tempfile::TempDir,
    clock: Arc<ManualClock>,
    context: Arc<LogContext>,
    config: Arc<LogConfig>,
    log: UnifiedLog,
}

fn tp() -> TopicPartition {
    TopicPartition::new("t", 0)
}

/// Small segments and a dense index, so that little data makes every case.
fn small() -> LogConfig {
    LogConfig { segment_bytes: 600, index_interval_bytes: 100, segment_index_bytes: 800, ..LogConfig::default() }
}

impl Fixture {
    fn new(config: LogConfig) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(10_000));
        let context = LogContext::new(clock.clone(), 86_400_000);
        let config = Arc::new(config);
        let id = Some(crate::common::topic_id::random());
        let log = UnifiedLog::create(dir.path(), tp(), id, config.clone(), context.clone()).unwrap();
        Self { dir, clock, context, config, log }
    }

    fn now(&self) -> i64 {
        crate::common::Clock::now_ms(&*self.clock)
    }

    fn path(&self) -> std::path::PathBuf {
        self.dir.path().join("t-0")
    }

    fn append(&self, batch: &Batch) -> Result<AppendInfo, StorageError> {
        let origin = if batch.marker.is_some() { AppendOrigin::Coordinator } else { AppendOrigin::Client };
        let info = self.log.append_as_leader(batch.bytes(), 0, origin, self.now())?;
        self.log.update_high_watermark(self.log.log_end_offset());
        Ok(info)
    }

    fn append_many(&self, count: usize) {
        for at in 0..count {
            let batch = Batch { records: 1 + (at % 3) as i32, timestamp: 1_000 + at as i64 * 10, ..Batch::default() };
            self.append(&batch).unwrap();
        }
    }

    /// Stops properly and starts again.
    fn reload_clean(&mut self) {
        self.log.flush().unwrap();
        self.log.close().unwrap();
        let params = self.params(true);
        self.log = self.load(params);
    }

    /// Starts again as after `kill -9` with nothing known to be durable.
    fn reload_crashed(&mut self) {
        let params = LoadParams { recovery_point: 0, ..self.params(false) };
        self.log = self.load(params);
    }

    fn params(&self, clean_shutdown: bool) -> LoadParams {
        LoadParams {
            recovery_point: self.log.recovery_point(),
            log_start_offset: self.log.log_start_offset(),
            high_watermark: self.log.high_watermark(),
            clean_shutdown,
        }
    }

    fn load(&self, params: LoadParams) -> UnifiedLog {
        UnifiedLog::load(self.path(), tp(), self.config.clone(), params, self.context.clone()).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(self.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn bytes_of(data: &FetchData) -> Vec<u8> {
    let Some(region) = &data.region else { return Vec::new() };
    let mut bytes = vec![0; region.length];
    region.file.read_exact_at(&mut bytes, region.position).unwrap();
    bytes
}

/// Offsets (first, last) of all batches from the log start on, read through the front door.
fn all_batches(log: &UnifiedLog) -> Vec<(i64, i64)> {
    let mut found = Vec::new();
    let mut offset = log.log_start_offset();
    while offset < log.log_end_offset() {
        let data = log.read(offset, 1, FetchIsolation::LogEnd, true).unwrap();
        let bytes = bytes_of(&data);
        if bytes.is_empty() {
            break;
        }
        let header = BatchHeader::parse(&bytes).unwrap();
        assert_eq!(header.size, bytes.len());
        assert!(crate::protocol::records::batch::is_crc_valid(&header, &bytes));
        found.push((header.base_offset, header.last_offset()));
        offset = header.next_offset();
    }
    found
}

fn garble(path: &Path) {
    let length = fs::metadata(path).unwrap().len().max(16) as usize;
    fs::write(path, (0..length).map(|at| (at * 37 + 11) as u8).collect::<Vec<_>>()).unwrap();
}
