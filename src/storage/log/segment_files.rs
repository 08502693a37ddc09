//! A segment's files under their other names: `.cleaned` while compaction writes them, `.swap` while it puts them in
//! place, `.deleted` afterwards (`LogSegment.changeFileSuffixes`).
//!
//! Readers may hold a segment that is being replaced. They open its files by name, under its locks, and so find them
//! under whatever name they have at that moment.

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
};

use super::{
    file_records::BatchScanner,
    index_rebuild::IndexRebuild,
    offset_index,
    segment::{DELETED_SUFFIX, INDEX_SUFFIX, LOG_SUFFIX, Segment, TIME_INDEX_SUFFIX, TXN_INDEX_SUFFIX},
    time_index,
    transaction_index::{self, AbortedEntry},
};
use crate::{
    common::{Offset, Timestamp, ids::NO_TIMESTAMP},
    config::topic::LogConfig,
    storage::checkpoint::with_suffix,
};

pub const CLEANED_SUFFIX: &str = ".cleaned";
pub const SWAP_SUFFIX: &str = ".swap";

/// The log first, as Kafka does: what its name ends with decides, at the next start, how far a swap got.
const SUFFIXES: [&str; 4] = [LOG_SUFFIX, INDEX_SUFFIX, TIME_INDEX_SUFFIX, TXN_INDEX_SUFFIX];

/// What a segment's files are at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// Part of the log.
    Live = 0,
    /// Compaction's output, in the making: thrown away at the next start.
    Cleaned = 1,
    /// Complete: the next start finishes the swap.
    Swap = 2,
    /// Replaced; goes when `file.delete.delay.ms` are over.
    Deleted = 3,
}

impl Stage {
    pub(super) fn name(self, path: PathBuf) -> PathBuf {
        match self {
            Self::Live => path,
            Self::Cleaned => with_suffix(&path, CLEANED_SUFFIX),
            Self::Swap => with_suffix(&path, SWAP_SUFFIX),
            Self::Deleted => with_suffix(&path, DELETED_SUFFIX),
        }
    }

    const fn of(byte: u8) -> Self {
        match byte {
            1 => Self::Cleaned,
            2 => Self::Swap,
            3 => Self::Deleted,
            _ => Self::Live,
        }
    }
}

impl Segment {
    /// A new, empty segment for the cleaner to fill; what an earlier attempt left is removed.
    pub fn create_cleaned(
        dir: &Path,
        base_offset: Offset,
        config: &LogConfig,
        now: Timestamp,
    ) -> io::Result<Arc<Self>> {
        let segment = Self::on_disk(base_offset, 0, false, config, now);
        segment.stage.store(Stage::Cleaned as u8, Ordering::Release);
        segment.remove_files(dir)?;
        let path = segment.path(dir, LOG_SUFFIX);
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        *segment.file.lock() = Some(Arc::new(file));
        Ok(Arc::new(segment))
    }

    #[must_use]
    pub fn stage(&self) -> Stage {
        Stage::of(self.stage.load(Ordering::Acquire))
    }

    /// Renames all files; calls `renamed` with each new name.
    pub(super) fn rename_to(&self, dir: &Path, stage: Stage, renamed: &mut dyn FnMut(&Path)) -> io::Result<()> {
        // Held while names and memory disagree.
        let _indexes = self.indexes.lock();
        let _file = self.file.lock();
        let from = SUFFIXES.map(|suffix| self.path(dir, suffix));
        self.stage.store(stage as u8, Ordering::Release);
        for (from, suffix) in from.iter().zip(SUFFIXES) {
            let to = self.path(dir, suffix);
            match fs::rename(from, &to) {
                Ok(()) => renamed(&to),
                Err(error) if error.kind() == io::ErrorKind::NotFound && suffix != LOG_SUFFIX => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Removes the files under their present names, whichever exist.
    pub fn remove_files(&self, dir: &Path) -> io::Result<()> {
        SUFFIXES.iter().try_for_each(|suffix| transaction_index::remove(&self.path(dir, suffix)))
    }

    /// Calls `run` to write the segment's batches and tell the indexes of each.
    pub fn fill<T, E: From<io::Error>>(
        &self,
        dir: &Path,
        run: impl FnOnce(&mut IndexRebuild<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut indexes = self.indexes.lock();
        let mut rebuild = IndexRebuild::begin(&mut indexes, self, dir)?;
        let result = run(&mut rebuild)?;
        rebuild.finish()?;
        Ok(result)
    }

    /// Makes all files durable.
    pub fn sync_all_files(&self, dir: &Path) -> io::Result<()> {
        for suffix in SUFFIXES {
            match File::open(self.path(dir, suffix)) {
                Ok(file) => file.sync_all()?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// When the log file was last written to, in milliseconds.
    pub fn last_modified(&self, dir: &Path) -> io::Result<Timestamp> {
        let _file = self.file.lock();
        let modified = fs::metadata(self.path(dir, LOG_SUFFIX))?.modified()?;
        let since = modified.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Ok(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    /// Bytes of the offset index and of the time index.
    pub fn index_bytes(&self, dir: &Path) -> io::Result<(u64, u64)> {
        let indexes = self.loaded(dir)?;
        let (offsets, times) = (indexes.offsets.entries(), indexes.times.entries());
        Ok(((offsets * offset_index::ENTRY_SIZE) as u64, (times * time_index::ENTRY_SIZE) as u64))
    }

    /// Largest timestamp of the first batch, −1 if there is none (`LogSegment.getFirstBatchTimestamp`).
    pub fn first_batch_timestamp(&self, dir: &Path) -> io::Result<Timestamp> {
        let mut indexes = self.loaded(dir)?;
        if let Some(timestamp) = indexes.first_timestamp {
            return Ok(timestamp);
        }
        let file = match &*self.file.lock() {
            Some(file) => Arc::clone(file),
            None => Arc::new(File::open(self.path(dir, LOG_SUFFIX))?),
        };
        let first = BatchScanner::new(&file, 0, self.size()).next_batch()?;
        let timestamp = first.map_or(NO_TIMESTAMP, |batch| batch.header.max_timestamp);
        indexes.first_timestamp = Some(timestamp);
        Ok(timestamp)
    }

    /// The aborted transactions that ended in this segment.
    pub fn aborted_entries(&self, dir: &Path) -> io::Result<Vec<AbortedEntry>> {
        if !self.has_txn_index() {
            return Ok(Vec::new());
        }
        let _indexes = self.indexes.lock();
        transaction_index::read(&self.path(dir, TXN_INDEX_SUFFIX), self.base_offset())
    }
}
