//! One segment: a `.log` file and its indexes (class `LogSegment`).
//!
//! The log's lock orders writers. Readers take the segment's own lock for an index search only.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;

use super::{
    context::LogContext,
    file_records::{BatchAt, BatchScanner},
    index_rebuild::IndexRebuild,
    offset_index::{OffsetIndex, OffsetPosition},
    segment_files::Stage,
    time_index::{TimeIndex, TimestampOffset},
};
use crate::{
    common::{Offset, Timestamp, chance, ids::NO_TIMESTAMP},
    config::topic::LogConfig,
    storage::checkpoint::sync_dir,
};

pub const LOG_SUFFIX: &str = ".log";
pub const INDEX_SUFFIX: &str = ".index";
pub const TIME_INDEX_SUFFIX: &str = ".timeindex";
pub const TXN_INDEX_SUFFIX: &str = ".txnindex";
pub const SNAPSHOT_SUFFIX: &str = ".snapshot";
pub const DELETED_SUFFIX: &str = ".deleted";

/// `<20-digit offset><suffix>` in `dir`.
#[must_use]
pub fn file_path(dir: &Path, offset: Offset, suffix: &str) -> PathBuf {
    dir.join(format!("{offset:020}{suffix}"))
}

pub struct Segment {
    base_offset: Offset,
    /// Bytes of valid batches. Stored after the bytes are written.
    size: AtomicU64,
    /// Open for the active segment, for sealed ones while they are read.
    pub(super) file: Mutex<Option<Arc<File>>>,
    /// What the files' names end with; changed under the locks of `indexes` and `file`.
    pub(super) stage: AtomicU8,
    /// Read since the descriptor cache last looked.
    touched: AtomicBool,
    has_txn_index: AtomicBool,
    pub(super) indexes: Mutex<Indexes>,
}

pub(super) struct Indexes {
    pub(super) offsets: OffsetIndex,
    pub(super) times: TimeIndex,
    /// False until the index files were looked at.
    pub(super) loaded: bool,
    /// `None` until it is asked for after a start.
    pub(super) max_timestamp: Option<TimestampOffset>,
    pub(super) bytes_since_entry: u64,
    /// Largest timestamp of the first batch: segments roll by records' time.
    pub(super) first_timestamp: Option<Timestamp>,
    pub(super) created: Timestamp,
    pub(super) roll_jitter_ms: i64,
}

/// What is about to be appended, for [`Segment::should_roll`].
#[derive(Debug, Clone, Copy)]
pub struct RollParams {
    pub bytes: usize,
    pub max_timestamp: Timestamp,
    pub last_offset: Offset,
    pub now: Timestamp,
}

impl Segment {
    /// A new, empty segment and its files.
    pub fn create(dir: &Path, base_offset: Offset, config: &LogConfig, now: Timestamp) -> io::Result<Arc<Self>> {
        let path = file_path(dir, base_offset, LOG_SUFFIX);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        if config.preallocate {
            let bytes = u64::try_from(config.segment_bytes).unwrap_or(0);
            // Beyond the file's end, so that its size stays what was written.
            if let Err(error) = rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::KEEP_SIZE, 0, bytes) {
                tracing::debug!(%error, "no preallocation on this file system");
            }
        }
        File::create(file_path(dir, base_offset, INDEX_SUFFIX))?;
        File::create(file_path(dir, base_offset, TIME_INDEX_SUFFIX))?;
        let segment = Self::on_disk(base_offset, 0, false, config, now);
        segment.indexes.lock().loaded = true;
        *segment.file.lock() = Some(Arc::new(file));
        Ok(Arc::new(segment))
    }

    /// A segment found at start; nothing is opened yet.
    #[must_use]
    pub fn on_disk(base_offset: Offset, size: u64, has_txn_index: bool, config: &LogConfig, now: Timestamp) -> Self {
        let jitter_max = config.segment_jitter_ms.min(config.segment_ms);
        let indexes = Indexes {
            offsets: OffsetIndex::empty(base_offset),
            times: TimeIndex::empty(base_offset),
            loaded: false,
            max_timestamp: (size == 0).then_some(TimestampOffset { timestamp: NO_TIMESTAMP, offset: base_offset }),
            bytes_since_entry: 0,
            first_timestamp: None,
            created: now,
            roll_jitter_ms: if jitter_max > 0 { chance::number(0..jitter_max) } else { 0 },
        };
        Self {
            base_offset,
            size: AtomicU64::new(size),
            file: Mutex::new(None),
            stage: AtomicU8::new(Stage::Live as u8),
            touched: AtomicBool::new(false),
            has_txn_index: AtomicBool::new(has_txn_index),
            indexes: Mutex::new(indexes),
        }
    }

    #[must_use]
    pub fn base_offset(&self) -> Offset {
        self.base_offset
    }

    #[must_use]
    pub fn size(&self) -> u64 {
        self.size.load(Ordering::Acquire)
    }

    pub fn set_size(&self, size: u64) {
        self.size.store(size, Ordering::Release);
    }

    #[must_use]
    pub fn has_txn_index(&self) -> bool {
        self.has_txn_index.load(Ordering::Relaxed)
    }

    pub fn set_has_txn_index(&self, has: bool) {
        self.has_txn_index.store(has, Ordering::Relaxed);
    }

    /// The file, opened if need be. A segment that retention renamed meanwhile is still found.
    pub fn file(self: &Arc<Self>, dir: &Path, context: &LogContext) -> io::Result<Arc<File>> {
        let mut slot = self.file.lock();
        if let Some(file) = &*slot {
            self.touched.store(true, Ordering::Relaxed);
            return Ok(Arc::clone(file));
        }
        let path = self.path(dir, LOG_SUFFIX);
        let open = |path: &Path| OpenOptions::new().read(true).write(true).open(path);
        let file = match open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                open(&crate::storage::checkpoint::with_suffix(&path, DELETED_SUFFIX)).map_err(|_| error)?
            }
            other => other?,
        };
        let file = Arc::new(file);
        *slot = Some(Arc::clone(&file));
        drop(slot);
        context.open_files.opened(self);
        Ok(file)
    }

    /// Opens the active segment's file, which stays open.
    pub fn open_active(&self, dir: &Path) -> io::Result<Arc<File>> {
        let mut slot = self.file.lock();
        if let Some(file) = &*slot {
            return Ok(Arc::clone(file));
        }
        let file = OpenOptions::new().read(true).write(true).open(self.path(dir, LOG_SUFFIX))?;
        let file = Arc::new(file);
        *slot = Some(Arc::clone(&file));
        Ok(file)
    }

    pub fn close_file(&self) {
        *self.file.lock() = None;
    }

    pub fn take_touched(&self) -> bool {
        self.touched.swap(false, Ordering::Relaxed)
    }

    /// Whether the append must go to a new segment.
    pub fn should_roll(&self, dir: &Path, config: &LogConfig, append: &RollParams) -> io::Result<bool> {
        let size = self.size();
        let bytes_max = u64::try_from(config.segment_bytes).unwrap_or(0);
        if size + append.bytes as u64 > bytes_max || !self.can_hold(append.last_offset) {
            return Ok(true);
        }
        let mut indexes = self.loaded(dir)?;
        if indexes.offsets.is_full(config.segment_index_bytes) || indexes.times.is_full(config.segment_index_bytes) {
            return Ok(true);
        }
        if size == 0 {
            return Ok(false);
        }
        let waited = match self.first_timestamp(&mut indexes, dir)? {
            first if first >= 0 => append.max_timestamp.saturating_sub(first),
            _ => append.now.saturating_sub(indexes.created),
        };
        Ok(waited > config.segment_ms.saturating_sub(indexes.roll_jitter_ms))
    }

    /// Whether `offset` can be written as int32 relative to the base.
    #[must_use]
    pub fn can_hold(&self, offset: Offset) -> bool {
        (0..=i64::from(i32::MAX)).contains(&(offset - self.base_offset))
    }

    fn first_timestamp(&self, indexes: &mut Indexes, dir: &Path) -> io::Result<Timestamp> {
        if let Some(timestamp) = indexes.first_timestamp {
            return Ok(timestamp);
        }
        let file = self.open_active(dir)?;
        let first = BatchScanner::new(&file, 0, self.size()).next_batch()?;
        let timestamp = first.map_or(NO_TIMESTAMP, |batch| batch.header.max_timestamp);
        indexes.first_timestamp = Some(timestamp);
        Ok(timestamp)
    }

    /// Writes `records` at the end and notes them in the indexes. On error nothing counts as written; the bytes that
    /// were are cut off, and if even that fails the error says so by kind `Other`.
    pub fn append(
        &self,
        dir: &Path,
        records: &[u8],
        last_offset: Offset,
        largest: TimestampOffset,
        index_interval_bytes: i32,
    ) -> io::Result<u64> {
        let position = self.size();
        let file = self.open_active(dir)?;
        let mut indexes = self.loaded(dir)?;
        let max = self.max_timestamp_locked(&mut indexes, dir)?;
        if let Err(error) = file.write_all_at(records, position) {
            return match file.set_len(position) {
                Ok(()) => Err(error),
                Err(cut) => Err(io::Error::other(format!("{error}; and the torn append cannot be removed: {cut}"))),
            };
        }
        if position == 0 {
            indexes.first_timestamp = Some(largest.timestamp);
        }
        let max = if largest.timestamp > max.timestamp { largest } else { max };
        indexes.max_timestamp = Some(max);
        if indexes.bytes_since_entry > u64::try_from(index_interval_bytes).unwrap_or(0) {
            indexes.offsets.append(last_offset, position);
            indexes.times.maybe_append(max);
            indexes.bytes_since_entry = 0;
        }
        indexes.bytes_since_entry += records.len() as u64;
        let size = position + records.len() as u64;
        self.set_size(size);
        if indexes.offsets.is_due() || indexes.times.is_due() {
            // Not fatal: they go on waiting.
            if let Err(error) = self.spill(&mut indexes, dir) {
                tracing::warn!(?dir, base_offset = self.base_offset, %error, "cannot write index entries");
            }
        }
        Ok(size)
    }

    fn spill(&self, indexes: &mut Indexes, dir: &Path) -> io::Result<()> {
        indexes.times.spill(&self.path(dir, TIME_INDEX_SUFFIX))?;
        indexes.offsets.spill(&self.path(dir, INDEX_SUFFIX)).map(drop)
    }

    /// Last time-index entry and all waiting entries go to the files: at roll and at close.
    pub fn seal(&self, dir: &Path) -> io::Result<()> {
        let mut indexes = self.indexes.lock();
        if !indexes.loaded {
            return Ok(());
        }
        if let Some(max) = indexes.max_timestamp {
            indexes.times.maybe_append(max);
        }
        self.spill(&mut indexes, dir)
    }

    /// Makes the data durable, and of a sealed segment the indexes too (an active one's are rebuilt after a crash).
    pub fn flush(self: &Arc<Self>, dir: &Path, sealed: bool, context: &LogContext) -> io::Result<()> {
        self.file(dir, context)?.sync_data()?;
        if sealed {
            for suffix in [INDEX_SUFFIX, TIME_INDEX_SUFFIX] {
                sync_if_exists(&self.path(dir, suffix))?;
            }
        }
        if self.has_txn_index() { sync_if_exists(&self.path(dir, TXN_INDEX_SUFFIX)) } else { Ok(()) }
    }

    /// The first batch whose last offset is ≥ `offset`, among the first `end` bytes.
    pub fn locate(&self, dir: &Path, file: &File, offset: Offset, end: u64) -> io::Result<Option<BatchAt>> {
        let path = self.path(dir, INDEX_SUFFIX);
        let entry = self.loaded(dir).and_then(|indexes| indexes.offsets.lookup(offset, &path));
        if let Ok(entry) = entry {
            let mut batches = BatchScanner::new(file, entry.position, end);
            let first = batches.next_batch()?;
            if entry.position == 0 || first.is_some_and(|batch| self.fits(&batch, entry)) {
                return reach(first, batches, offset);
            }
        }
        let entry = self.lookup(dir, file, offset)?;
        let mut batches = BatchScanner::new(file, entry.position, end);
        reach(batches.next_batch()?, batches, offset)
    }

    /// The index entry for `offset`, proven by the batch it points at: a damaged index is rebuilt, never believed.
    pub fn lookup(&self, dir: &Path, file: &File, offset: Offset) -> io::Result<OffsetPosition> {
        let path = self.path(dir, INDEX_SUFFIX);
        let found = self.loaded(dir).and_then(|indexes| indexes.offsets.lookup(offset, &path));
        match found {
            Ok(entry) if entry.position == 0 || self.points_at_batch(file, entry)? => return Ok(entry),
            Ok(entry) => tracing::warn!(?path, ?entry, "index entry points at no batch, rebuilding the index"),
            Err(error) => tracing::warn!(?path, %error, "cannot use the index, rebuilding it"),
        }
        self.rebuild_indexes(dir, file)?;
        self.indexes.lock().offsets.lookup(offset, &path)
    }

    fn points_at_batch(&self, file: &File, entry: OffsetPosition) -> io::Result<bool> {
        let batch = BatchScanner::new(file, entry.position, self.size()).next_batch()?;
        Ok(batch.is_some_and(|batch| self.fits(&batch, entry)))
    }

    fn fits(&self, batch: &BatchAt, entry: OffsetPosition) -> bool {
        (self.base_offset..=entry.offset).contains(&batch.header.base_offset)
    }

    /// Largest timestamp and its offset; timestamp −1 if no record has one.
    pub fn max_timestamp(&self, dir: &Path) -> io::Result<TimestampOffset> {
        let mut indexes = self.loaded(dir)?;
        self.max_timestamp_locked(&mut indexes, dir)
    }

    /// Largest timestamp, or when the file was last written if no record has one. What retention goes by.
    pub fn largest_timestamp(&self, dir: &Path) -> io::Result<Timestamp> {
        let max = self.max_timestamp(dir)?.timestamp;
        if max >= 0 {
            return Ok(max);
        }
        let modified = std::fs::metadata(self.path(dir, LOG_SUFFIX))?.modified()?;
        let since = modified.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Ok(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    /// After a start the last time-index entry is the answer, if the batch it names has that timestamp. Retention
    /// deletes by this number, so a damaged index must not make it up.
    fn max_timestamp_locked(&self, indexes: &mut Indexes, dir: &Path) -> io::Result<TimestampOffset> {
        if let Some(max) = indexes.max_timestamp {
            return Ok(max);
        }
        let last = indexes.times.last();
        let file = match &*self.file.lock() {
            Some(file) => Arc::clone(file),
            None => Arc::new(File::open(self.path(dir, LOG_SUFFIX))?),
        };
        let from = indexes
            .offsets
            .lookup(last.offset, &self.path(dir, INDEX_SUFFIX))
            .unwrap_or(OffsetPosition { offset: self.base_offset, position: 0 });
        let mut batches = BatchScanner::new(&file, from.position, self.size());
        let mut proven = false;
        while let Some(batch) = batches.next_batch()? {
            if batch.header.last_offset() >= last.offset {
                proven = batch.header.base_offset <= last.offset && batch.header.max_timestamp == last.timestamp;
                break;
            }
        }
        if !proven {
            self.rebuild_locked(indexes, dir, &file)?;
        }
        let max = if proven { last } else { indexes.times.last() };
        indexes.max_timestamp = Some(max);
        Ok(max)
    }

    /// The indexes, read from their files at first use; files that cannot be indexes are rebuilt from the log.
    pub(super) fn loaded(&self, dir: &Path) -> io::Result<parking_lot::MutexGuard<'_, Indexes>> {
        let mut indexes = self.indexes.lock();
        if indexes.loaded {
            return Ok(indexes);
        }
        let offsets = OffsetIndex::load(self.base_offset, &self.path(dir, INDEX_SUFFIX));
        let times = TimeIndex::load(self.base_offset, &self.path(dir, TIME_INDEX_SUFFIX));
        match (offsets, times) {
            (Ok(offsets), Ok(times)) => {
                indexes.offsets = offsets;
                indexes.times = times;
                indexes.loaded = true;
            }
            (offsets, times) => {
                let errors = (offsets.err(), times.err());
                tracing::warn!(?dir, base_offset = self.base_offset, ?errors, "rebuilding indexes");
                let file = File::open(self.path(dir, LOG_SUFFIX))?;
                self.rebuild_locked(&mut indexes, dir, &file)?;
            }
        }
        Ok(indexes)
    }

    pub fn rebuild_indexes(&self, dir: &Path, file: &File) -> io::Result<()> {
        self.rebuild_locked(&mut self.indexes.lock(), dir, file)
    }

    /// Writes both indexes anew from the batch headers.
    fn rebuild_locked(&self, indexes: &mut Indexes, dir: &Path, file: &File) -> io::Result<()> {
        let mut rebuild = IndexRebuild::begin(indexes, self, dir)?;
        let mut batches = BatchScanner::new(file, 0, self.size());
        while let Some(batch) = batches.next_batch()? {
            rebuild.add(&batch)?;
        }
        rebuild.finish()
    }

    /// Begins to write the indexes anew, batch by batch (recovery).
    pub fn with_rebuild<T>(
        &self,
        dir: &Path,
        run: impl FnOnce(&mut IndexRebuild<'_>) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut indexes = self.indexes.lock();
        let mut rebuild = IndexRebuild::begin(&mut indexes, self, dir)?;
        let result = run(&mut rebuild)?;
        rebuild.finish()?;
        Ok(result)
    }

    /// Offset from which nothing in the first `position` bytes is reached (for aborted transactions).
    pub fn upper_bound_offset(&self, dir: &Path, position: u64) -> io::Result<Option<Offset>> {
        self.loaded(dir)?.offsets.upper_bound_offset(position, &self.path(dir, INDEX_SUFFIX))
    }

    pub fn lookup_timestamp(&self, dir: &Path, timestamp: Timestamp) -> io::Result<TimestampOffset> {
        self.loaded(dir)?.times.lookup(timestamp, &self.path(dir, TIME_INDEX_SUFFIX))
    }

    /// Cuts the segment at `position`, where the batch with `offset` began.
    pub fn truncate(&self, dir: &Path, offset: Offset, position: u64, now: Timestamp) -> io::Result<()> {
        let file = self.open_active(dir)?;
        self.set_size(position);
        file.set_len(position)?;
        let mut indexes = self.loaded(dir)?;
        indexes.offsets.truncate_to(offset, &self.path(dir, INDEX_SUFFIX))?;
        indexes.times.truncate_to(offset, &self.path(dir, TIME_INDEX_SUFFIX))?;
        indexes.bytes_since_entry = 0;
        if position == 0 {
            indexes.created = now;
            indexes.first_timestamp = None;
        }
        indexes.max_timestamp = Some(self.largest_after_index(&indexes, dir, &file)?);
        Ok(())
    }

    fn largest_after_index(&self, indexes: &Indexes, dir: &Path, file: &File) -> io::Result<TimestampOffset> {
        let mut max = indexes.times.last();
        let from = indexes.offsets.lookup(max.offset, &self.path(dir, INDEX_SUFFIX))?;
        let mut batches = BatchScanner::new(file, from.position, self.size());
        while let Some(batch) = batches.next_batch()? {
            if batch.header.max_timestamp > max.timestamp {
                max = TimestampOffset { timestamp: batch.header.max_timestamp, offset: batch.header.last_offset() };
            }
        }
        Ok(max)
    }

    #[must_use]
    pub fn path(&self, dir: &Path, suffix: &str) -> PathBuf {
        self.stage().name(file_path(dir, self.base_offset, suffix))
    }
}

/// From `batch` on, the first one that ends at or beyond `offset`.
fn reach(batch: Option<BatchAt>, mut batches: BatchScanner<'_>, offset: Offset) -> io::Result<Option<BatchAt>> {
    let mut next = batch;
    while let Some(batch) = next {
        if batch.header.last_offset() >= offset {
            return Ok(Some(batch));
        }
        next = batches.next_batch()?;
    }
    Ok(None)
}

fn sync_if_exists(path: &Path) -> io::Result<()> {
    match File::open(path) {
        Ok(file) => file.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Renames all files of a segment to `….deleted`, so that the offset can be used again, and gives their new paths.
pub fn mark_deleted(dir: &Path, base_offset: Offset, snapshot: bool) -> io::Result<Vec<PathBuf>> {
    let mut renamed = Vec::with_capacity(4);
    let suffixes = [LOG_SUFFIX, INDEX_SUFFIX, TIME_INDEX_SUFFIX, TXN_INDEX_SUFFIX, SNAPSHOT_SUFFIX];
    for suffix in &suffixes[..if snapshot { 5 } else { 4 }] {
        let path = file_path(dir, base_offset, suffix);
        let deleted = crate::storage::checkpoint::with_suffix(&path, DELETED_SUFFIX);
        match std::fs::rename(&path, &deleted) {
            Ok(()) => renamed.push(deleted),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(renamed)
}

/// Syncs a directory whose entries changed.
pub fn flush_dir(dir: &Path) -> io::Result<()> {
    sync_dir(dir)
}
