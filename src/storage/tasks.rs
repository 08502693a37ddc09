//! What runs in the background, one method per entry of the task table. Errors end here: an I/O error takes the log
//! dir offline, as Kafka's `LogDirFailureChannel` does.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{LogManager, StorageError, UnifiedLog, load::SINGLE_SYNCS_MAX};
use crate::common::{Timestamp, TopicPartition};

impl LogManager {
    /// `kafka-log-retention`. Compacted logs are left to the cleaner, as in Kafka: without one nothing of them goes.
    pub fn delete_old_segments(&self, now: Timestamp) {
        self.for_each("retention", |log| match log.config().cleanup_compact {
            false => log.delete_old_segments(now).map(drop),
            true => Ok(()),
        });
    }

    /// `kafka-log-flusher`: `flush.ms`.
    pub fn flush_dirty_logs(&self, now: Timestamp) {
        self.for_each("flush", |log| log.flush_if_older(now));
    }

    /// `kafka-recovery-point-checkpoint`
    pub fn checkpoint_recovery_points(&self) {
        for dir in self.dirs.iter().filter(|dir| dir.is_online()) {
            let written = self.checkpoint_dir(dir);
            self.end("recovery point checkpoint", written);
        }
    }

    /// `kafka-log-start-offset-checkpoint`
    pub fn checkpoint_log_start_offsets(&self) {
        for dir in self.dirs.iter().filter(|dir| dir.is_online()) {
            let written = self.checkpoint_log_starts_of(dir);
            self.end("log start offset checkpoint", written);
        }
    }

    /// `highwatermark-checkpoint`
    pub fn checkpoint_high_watermarks(&self) {
        for dir in self.dirs.iter().filter(|dir| dir.is_online()) {
            let written = self.checkpoint_high_watermarks_of(dir);
            self.end("high watermark checkpoint", written);
        }
    }

    /// `kafka-delete-logs`, and the rest of what was put off.
    pub fn delete_pending(&self, now: Timestamp) {
        self.run_deferred(now);
    }

    /// Syncs what rolls sealed, deletes files and directories whose delay is over. To be called about once a second,
    /// where blocking is allowed.
    pub fn run_deferred(&self, now: Timestamp) {
        let work = self.context.deferred.take(now);
        for (tp, up_to) in work.flushes {
            if let Some(log) = self.get(&tp) {
                let flushed = log.flush_up_to(up_to);
                self.end_for("flush after roll", &tp, flushed);
            }
        }
        if work.syncs.len() > SINGLE_SYNCS_MAX {
            for dir in self.dirs.iter().filter(|dir| dir.is_online()) {
                self.end("sync", dir.sync_file_system());
            }
            return self.remove_all(&work.deletions);
        }
        for path in work.syncs {
            if let Err(error) = sync(&path) {
                tracing::warn!(path = %path.display(), %error, "cannot sync");
            }
        }
        self.remove_all(&work.deletions);
    }

    fn remove_all(&self, paths: &[PathBuf]) {
        for path in paths {
            if let Err(error) = remove(path) {
                tracing::warn!(path = %path.display(), %error, "cannot delete");
            }
        }
    }

    /// `PeriodicProducerExpirationCheck`
    pub fn expire_producers(&self, now: Timestamp) {
        for (_, log) in self.all() {
            log.expire_producers(now);
        }
    }

    fn for_each(&self, task: &str, run: impl Fn(&UnifiedLog) -> Result<(), StorageError>) {
        for (tp, log) in self.all() {
            let result = run(&log);
            self.end_for(task, &tp, result);
        }
    }

    fn end_for(&self, task: &str, tp: &TopicPartition, result: Result<(), StorageError>) {
        // A log that was deleted meanwhile is closed; its dir is fine.
        if result.is_err() && self.get(tp).is_none() {
            return;
        }
        self.end(task, result);
    }

    fn end(&self, task: &str, result: Result<(), StorageError>) {
        match result {
            Ok(()) => {}
            Err(StorageError::Io { dir, source }) => {
                tracing::error!(task, dir = %dir.display(), error = %source, "disk error in the background");
                self.mark_offline(&dir);
            }
            Err(error) => tracing::warn!(task, %error, "background task failed"),
        }
    }
}

fn sync(path: &Path) -> io::Result<()> {
    match fs::File::open(path) {
        Ok(file) => file.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
