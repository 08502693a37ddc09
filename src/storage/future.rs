//! Moves between log dirs (KIP-113): a copy grows in `…-future` beside the log and takes its place when it is whole.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use uuid::Uuid;

use super::{
    LogManager, StorageError, UnifiedLog,
    dir::{LogDir, delete_dir_name, future_dir_name},
    log::recover::LoadParams,
    manager::LogDirReplica,
};
use crate::{
    common::{ErrorCode, Offset, Timestamp, TopicPartition},
    config::topic::LogConfig,
};

impl LogManager {
    /// Whether a configured log dir works; `None` for a path that is none.
    #[must_use]
    pub fn is_dir_online(&self, path: &Path) -> Option<bool> {
        self.dirs.iter().find(|dir| dir.path == path).map(LogDir::is_online)
    }

    /// Where the log is made if it does not exist yet.
    pub fn prefer_dir(&self, tp: &TopicPartition, path: &Path) {
        if self.get(tp).is_none() {
            self.preferred_dirs.lock().insert(tp.clone(), path.to_owned());
        }
    }

    pub(super) fn preferred_dir(&self, tp: &TopicPartition) -> Option<&LogDir> {
        let path: PathBuf = self.preferred_dirs.lock().get(tp).cloned()?;
        self.dirs.iter().find(|dir| dir.path == path && dir.is_online())
    }

    /// The copy under way.
    #[must_use]
    pub fn future(&self, tp: &TopicPartition) -> Option<Arc<UnifiedLog>> {
        self.future_logs.read().get(tp).cloned()
    }

    /// Begins a copy in `dir`, whose first record will be `start_offset`.
    pub fn create_future(
        &self,
        tp: &TopicPartition,
        dir: &Path,
        topic_id: Option<Uuid>,
        config: Arc<LogConfig>,
        start_offset: Offset,
    ) -> Result<Arc<UnifiedLog>, StorageError> {
        let _creation = self.creation.lock();
        let Some(name) = future_dir_name(tp) else {
            return Err(StorageError::refused(ErrorCode::InvalidTopicException, "The topic name is too long."));
        };
        let context = Arc::clone(&self.context);
        let log = Arc::new(UnifiedLog::create_named(dir, &name, tp.clone(), topic_id, config, context)?);
        if start_offset > 0 {
            log.truncate_fully_and_start_at(start_offset)?;
        }
        self.future_logs.write().insert(tp.clone(), Arc::clone(&log));
        Ok(log)
    }

    /// Gives a copy up; its directory goes as a deleted log's does.
    pub fn remove_future(&self, tp: &TopicPartition, now: Timestamp) -> Result<(), StorageError> {
        let _creation = self.creation.lock();
        self.drop_future(tp, now)
    }

    /// As [`remove_future`](Self::remove_future), for callers that hold the lock of creations.
    pub(super) fn drop_future(&self, tp: &TopicPartition, now: Timestamp) -> Result<(), StorageError> {
        match self.future_logs.write().swap_remove(tp) {
            Some(log) => self.discard_dir(tp, &log, now),
            None => Ok(()),
        }
    }

    /// The copy becomes the log; the old one goes. The caller has made sure that they are equal, and that nobody appends.
    pub fn replace_with_future(&self, tp: &TopicPartition, now: Timestamp) -> Result<Arc<UnifiedLog>, StorageError> {
        let _creation = self.creation.lock();
        let missing = || StorageError::refused(ErrorCode::KafkaStorageError, format!("no copy of {tp} is under way"));
        let future = self.future_logs.write().swap_remove(tp).ok_or_else(missing)?;
        let old = self.get(tp).ok_or_else(missing)?;
        // A crash before the first rename leaves both, after it the copy alone: the next start must not lose that.
        future.flush()?;
        future.move_dir(&future.parent_dir().join(tp.to_string()))?;
        self.logs.write().insert(tp.clone(), Arc::clone(&future));
        self.discard_dir(tp, &old, now)?;
        for dir in self.dirs.iter().filter(|dir| [old.parent_dir(), future.parent_dir()].contains(&dir.path.as_path()))
        {
            self.checkpoint_dir(dir)?;
            self.checkpoint_high_watermarks_of(dir)?;
        }
        if let Some(cleaner) = self.cleaner.get() {
            cleaner.forget(tp, old.parent_dir());
        }
        tracing::info!(partition = %tp, dir = %future.parent_dir().display(), "the replica was moved to another log dir");
        Ok(future)
    }

    fn discard_dir(&self, tp: &TopicPartition, log: &UnifiedLog, now: Timestamp) -> Result<(), StorageError> {
        let to = log.parent_dir().join(delete_dir_name(tp));
        log.rename_dir(&to)?;
        self.context.deferred.sync(log.parent_dir().to_owned());
        self.context.deferred.delete(now.saturating_add(log.config().file_delete_delay_ms), vec![to]);
        Ok(())
    }

    /// A copy that the last run did not finish is scanned whole: nobody had synced it.
    pub(super) fn load_future(&self, path: PathBuf, tp: &TopicPartition) -> Result<(), StorageError> {
        let params = LoadParams { recovery_point: 0, log_start_offset: 0, high_watermark: 0, clean_shutdown: false };
        let config = Arc::new(self.config.default_log_config.clone());
        match UnifiedLog::load(path, tp.clone(), config, params, Arc::clone(&self.context)) {
            Ok(log) => {
                self.future_logs.write().insert(tp.clone(), Arc::new(log));
                Ok(())
            }
            Err(StorageError::Io { dir, source }) if source.kind() == io::ErrorKind::NotFound => {
                tracing::warn!(partition = %tp, dir = %dir.display(), %source, "cannot go on with a copy");
                Ok(())
            }
            Err(other) => Err(other),
        }
    }

    pub(super) fn future_replicas_in(&self, dir: &LogDir) -> Vec<LogDirReplica> {
        let futures = self.future_logs.read();
        let here = futures.iter().filter(|(_, log)| log.parent_dir() == dir.path);
        let replica = |(tp, log): (&TopicPartition, &Arc<UnifiedLog>)| LogDirReplica {
            topic_partition: tp.clone(),
            size_bytes: log.size_bytes(),
            log_end_offset: log.log_end_offset(),
            is_future: true,
        };
        here.map(replica).collect()
    }
}
