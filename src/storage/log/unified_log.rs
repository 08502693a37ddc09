//! What a partition's log consists of (class `UnifiedLog`); its verbs are in the files beside this one.
//!
//! One lock orders writers. Offsets are atomics; positions that readers need live in [`Tail`], whose lock is never
//! held across I/O. Lock order: `state`, `tail`, `segments`, then a segment's own.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
};

use arc_swap::ArcSwap;
use parking_lot::{Mutex, RwLock};
use uuid::Uuid;

use super::{
    context::LogContext,
    leader_epochs::LeaderEpochs,
    offsets::Tail,
    producer_state::ProducerState,
    replace_segments::Rewrites,
    segment::{Segment, flush_dir},
    segments::Segments,
};
use crate::{
    common::{ErrorCode, Offset, TopicPartition},
    config::topic::LogConfig,
    storage::{
        StorageError,
        checkpoint::{Durability, leader_epoch, partition_metadata},
    },
};

/// A partition's log. All methods take `&self`; one lock inside orders appends, reads of sealed data do not hold it
/// across I/O.
pub struct UnifiedLog {
    pub(super) topic_partition: TopicPartition,
    /// The log dir, whose failure takes this log offline.
    pub(super) parent_dir: Arc<Path>,
    /// The partition's own directory; renamed when the log is deleted.
    pub(super) dir: ArcSwap<PathBuf>,
    pub(super) context: Arc<LogContext>,
    pub(super) config: ArcSwap<LogConfig>,
    pub(super) topic_id: Mutex<Option<Uuid>>,
    pub(super) log_start_offset: AtomicI64,
    pub(super) log_end_offset: AtomicI64,
    pub(super) high_watermark: AtomicI64,
    /// First offset that read-committed readers may not see; `i64::MAX` if there is none.
    pub(super) first_unstable_offset: AtomicI64,
    /// Everything below is durable.
    pub(super) recovery_point: AtomicI64,
    /// The log dir was synced since this log's directory got its name. False after a start: who made it may not have come
    /// that far.
    pub(super) name_is_durable: AtomicBool,
    pub(super) last_flush_ms: AtomicI64,
    /// True while ended transactions wait for the high watermark, so that moving it needs the writers' lock.
    pub(super) awaits_high_watermark: AtomicBool,
    /// Set when the disk failed in a way that makes going on unsafe; never cleared.
    pub(super) failed: AtomicBool,
    pub(super) closed: AtomicBool,
    pub(super) segments: RwLock<Segments>,
    pub(super) epochs: Mutex<LeaderEpochs>,
    pub(super) tail: Mutex<Tail>,
    pub(super) state: Mutex<ProducerState>,
    /// Orders flushes, so that a recovery point is published only after its data was synced; and flushes, retention,
    /// truncation and the cleaner's swaps among each other, which all touch sealed files by name. Taken before `state`.
    pub(super) flush_lock: Mutex<()>,
    /// What the cleaner must know of changes behind its back.
    pub(super) rewrites: Rewrites,
}

/// What a log is made from: the result of loading a directory, or nothing yet.
pub(super) struct Parts {
    pub topic_partition: TopicPartition,
    pub dir: PathBuf,
    pub context: Arc<LogContext>,
    pub config: Arc<LogConfig>,
    pub topic_id: Option<Uuid>,
    pub segments: Segments,
    pub epochs: LeaderEpochs,
    pub producers: ProducerState,
    pub log_start_offset: Offset,
    pub log_end_offset: Offset,
    pub high_watermark: Offset,
    pub recovery_point: Offset,
}

/// One segment as tools and tests see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentInfo {
    pub base_offset: Offset,
    pub size_bytes: u64,
}

impl UnifiedLog {
    /// Makes the directory and files of a log that does not exist yet.
    pub fn create(
        parent_dir: &Path,
        topic_partition: TopicPartition,
        topic_id: Option<Uuid>,
        config: Arc<LogConfig>,
        context: Arc<LogContext>,
    ) -> Result<Self, StorageError> {
        let name = topic_partition.to_string();
        Self::create_named(parent_dir, &name, topic_partition, topic_id, config, context)
    }

    /// As [`create`](Self::create), in a directory that is not called after the partition yet.
    pub(crate) fn create_named(
        parent_dir: &Path,
        name: &str,
        topic_partition: TopicPartition,
        topic_id: Option<Uuid>,
        config: Arc<LogConfig>,
        context: Arc<LogContext>,
    ) -> Result<Self, StorageError> {
        let dir = parent_dir.join(name);
        let made = Self::create_files(&dir, topic_id, &config, &context);
        let segment = made.map_err(|source| StorageError::Io { dir: parent_dir.to_owned(), source })?;
        Ok(Self::from_parts(Parts {
            topic_partition,
            dir,
            context,
            config,
            topic_id,
            segments: Segments::new(vec![segment]),
            epochs: LeaderEpochs::default(),
            producers: ProducerState::default(),
            log_start_offset: 0,
            log_end_offset: 0,
            high_watermark: 0,
            recovery_point: 0,
        }))
    }

    fn create_files(
        dir: &Path,
        id: Option<Uuid>,
        config: &LogConfig,
        context: &LogContext,
    ) -> io::Result<Arc<Segment>> {
        std::fs::create_dir_all(dir)?;
        let segment = Segment::create(dir, 0, config, context.clock.now_ms())?;
        std::fs::File::create(dir.join(leader_epoch::FILE_NAME))?;
        if let Some(id) = id {
            let path = dir.join(partition_metadata::FILE_NAME);
            partition_metadata::write(&path, id, Durability::Later)?;
            context.deferred.sync(path);
        }
        Ok(segment)
    }

    pub(super) fn from_parts(mut parts: Parts) -> Self {
        parts.producers.release_transactions_below(parts.high_watermark);
        let active = parts.segments.active();
        let mut tail = Tail::new(parts.log_end_offset, active.base_offset(), active.size(), parts.high_watermark);
        let first_unstable = parts.producers.first_unstable_offset().map(|first| first.max(parts.log_start_offset));
        tail.first_unstable = first_unstable.map(|offset| tail.place(offset));
        let parent_dir: Arc<Path> = parts.dir.parent().unwrap_or(&parts.dir).into();
        let now = parts.context.clock.now_ms();
        Self {
            topic_partition: parts.topic_partition,
            parent_dir,
            dir: ArcSwap::from_pointee(parts.dir),
            context: parts.context,
            config: ArcSwap::new(parts.config),
            topic_id: Mutex::new(parts.topic_id),
            log_start_offset: AtomicI64::new(parts.log_start_offset),
            log_end_offset: AtomicI64::new(parts.log_end_offset),
            high_watermark: AtomicI64::new(parts.high_watermark),
            first_unstable_offset: AtomicI64::new(first_unstable.unwrap_or(i64::MAX)),
            recovery_point: AtomicI64::new(parts.recovery_point.max(parts.log_start_offset)),
            name_is_durable: AtomicBool::new(false),
            last_flush_ms: AtomicI64::new(now),
            awaits_high_watermark: AtomicBool::new(parts.producers.has_unreplicated()),
            failed: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            segments: RwLock::new(parts.segments),
            epochs: Mutex::new(parts.epochs),
            tail: Mutex::new(tail),
            state: Mutex::new(parts.producers),
            flush_lock: Mutex::new(()),
            rewrites: Rewrites::default(),
        }
    }

    #[must_use]
    pub fn topic_partition(&self) -> &TopicPartition {
        &self.topic_partition
    }

    /// The partition's directory.
    #[must_use]
    pub fn dir(&self) -> Arc<PathBuf> {
        self.dir.load_full()
    }

    /// The log dir it lies in.
    #[must_use]
    pub fn parent_dir(&self) -> &Path {
        &self.parent_dir
    }

    /// The directory's name, `topic-partition`.
    #[must_use]
    pub fn name(&self) -> String {
        self.topic_partition.to_string()
    }

    #[must_use]
    pub fn segments(&self) -> Vec<SegmentInfo> {
        let segments = self.segments.read();
        segments.iter().map(|one| SegmentInfo { base_offset: one.base_offset(), size_bytes: one.size() }).collect()
    }

    #[must_use]
    pub fn first_segment_offset(&self) -> Offset {
        self.segments.read().first().base_offset()
    }

    #[must_use]
    pub fn topic_id(&self) -> Option<Uuid> {
        *self.topic_id.lock()
    }

    /// Writes `partition.metadata` if the log has no id yet; INCONSISTENT_TOPIC_ID if it has another.
    pub fn assign_topic_id(&self, id: Uuid) -> Result<(), StorageError> {
        let mut current = self.topic_id.lock();
        match *current {
            Some(known) if known == id => Ok(()),
            Some(known) => Err(StorageError::refused(
                ErrorCode::InconsistentTopicId,
                format!("{} belongs to topic id {known}, not {id}", self.topic_partition),
            )),
            None => {
                let path = self.dir.load().join(partition_metadata::FILE_NAME);
                partition_metadata::write(&path, id, Durability::Synced).map_err(|error| self.io(error))?;
                *current = Some(id);
                Ok(())
            }
        }
    }

    #[must_use]
    pub fn config(&self) -> Arc<LogConfig> {
        self.config.load_full()
    }

    pub fn update_config(&self, config: Arc<LogConfig>) {
        self.config.store(config);
    }

    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.segments.read().iter().map(|segment| segment.size()).sum()
    }

    /// The disk failed: the error that takes the log dir offline. A log that was closed or deleted meanwhile fails for
    /// that reason alone, which says nothing of the disk.
    pub(super) fn io(&self, source: io::Error) -> StorageError {
        if self.closed.load(Ordering::Acquire) {
            return StorageError::refused(
                ErrorCode::KafkaStorageError,
                format!("the log of {} is closed", self.topic_partition),
            );
        }
        StorageError::Io { dir: self.parent_dir.to_path_buf(), source }
    }

    /// As [`io`](Self::io), for failures after which memory and disk may disagree.
    pub(super) fn fatal(&self, source: io::Error) -> StorageError {
        self.failed.store(true, Ordering::Release);
        self.io(source)
    }

    pub(super) fn check_usable(&self) -> Result<(), StorageError> {
        if self.failed.load(Ordering::Acquire) || self.closed.load(Ordering::Acquire) {
            let message = format!("the log of {} is closed or its disk has failed", self.topic_partition);
            return Err(StorageError::refused(ErrorCode::KafkaStorageError, message));
        }
        Ok(())
    }

    /// Takes the log out of service after its log dir failed.
    pub fn mark_failed(&self) {
        self.failed.store(true, Ordering::Release);
        for segment in self.segments.read().iter() {
            segment.close_file();
        }
    }

    /// Renames the partition's directory (deletion).
    pub(crate) fn rename_dir(&self, to: &Path) -> Result<(), StorageError> {
        let _writers = self.state.lock();
        // Closed first: a reader that misses a file must not take that for a failing disk.
        self.closed.store(true, Ordering::Release);
        if let Err(source) = std::fs::rename(&**self.dir.load(), to) {
            self.closed.store(false, Ordering::Release);
            return Err(self.io(source));
        }
        self.dir.store(Arc::new(to.to_owned()));
        for segment in self.segments.read().iter() {
            segment.close_file();
        }
        Ok(())
    }

    /// Renames the directory of a log that nobody else has yet, and goes on. The new name is durable: the log that this one
    /// stands for may go.
    pub(crate) fn move_dir(&self, to: &Path) -> Result<(), StorageError> {
        let _files = self.flush_lock.lock();
        let _writers = self.state.lock();
        std::fs::rename(&**self.dir.load(), to).map_err(|source| self.io(source))?;
        self.dir.store(Arc::new(to.to_owned()));
        flush_dir(&self.parent_dir).map_err(|source| self.fatal(source))?;
        self.name_is_durable.store(true, Ordering::Release);
        Ok(())
    }

    /// Writes indexes and the producer snapshot and closes the files. The caller has flushed.
    pub fn close(&self) -> Result<(), StorageError> {
        self.close_files(true)
    }

    /// The same without a sync: the caller syncs the whole file system and then calls [`mark_flushed`](Self::mark_flushed).
    pub fn close_unsynced(&self) -> Result<(), StorageError> {
        self.close_files(false)
    }

    /// Everything was made durable by other means.
    pub fn mark_flushed(&self) {
        self.recovery_point.fetch_max(self.log_end_offset(), Ordering::AcqRel);
    }

    fn close_files(&self, sync: bool) -> Result<(), StorageError> {
        let mut producers = self.state.lock();
        self.check_usable()?;
        self.take_snapshot(&mut producers, sync)?;
        let dir = self.dir.load();
        let segments = self.segments.read();
        segments.active().seal(&dir).map_err(|error| self.fatal(error))?;
        for segment in segments.iter() {
            segment.close_file();
        }
        self.closed.store(true, Ordering::Release);
        Ok(())
    }
}
