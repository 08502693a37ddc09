//! Start and stop of all logs, in parallel (classes `LogManager.loadLogs`, `LogManager.shutdown`).

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;

use super::{
    LogManager, StorageError, UnifiedLog,
    checkpoint::{
        clean_shutdown,
        offset::{HIGH_WATERMARK_FILE, LOG_START_OFFSET_FILE, RECOVERY_POINT_FILE},
    },
    dir::{Entry, LogDir, parse_entry},
    log::recover::LoadParams,
};
use crate::{
    common::{Offset, TopicPartition, chance},
    config::topic::LogConfig,
};

/// Loading waits for the disk more than for the processor.
const THREADS_MIN: usize = 2;

/// More dirty logs than this are synced by one call for the whole file system.
pub(super) const SINGLE_SYNCS_MAX: usize = 32;

/// One directory to load.
struct Job {
    path: PathBuf,
    tp: TopicPartition,
    config: Arc<LogConfig>,
    params: LoadParams,
}

impl LogManager {
    /// Loads every log in parallel; `topic_config` gives each topic's configuration. Recovers from the recovery point
    /// unless the last stop was clean. Returns whether all dirs were stopped cleanly.
    pub fn load(&self, topic_config: &(dyn Fn(&str) -> LogConfig + Sync)) -> Result<bool, StorageError> {
        let mut topics: HashMap<Arc<str>, Arc<LogConfig>> = HashMap::new();
        let mut jobs = Vec::new();
        let mut all_clean = true;
        let mut epochs = Vec::new();
        for dir in self.dirs.iter().filter(|dir| dir.is_online()) {
            let io = |source| StorageError::Io { dir: dir.path.clone(), source };
            let clean = clean_shutdown::take(&dir.path).map_err(io)?;
            all_clean &= clean.is_some();
            epochs.push(clean.map_or(-1, |mark| mark.broker_epoch));
            self.jobs_of(dir, clean.is_some(), &mut topics, topic_config, &mut jobs)?;
        }
        if let Some(&first) = epochs.first()
            && epochs.len() == self.dirs.len()
            && epochs.iter().all(|epoch| *epoch == first)
        {
            self.previous_broker_epoch.store(first, Ordering::Release);
        }
        tracing::info!(logs = jobs.len(), clean = all_clean, "loading logs");
        let threads = (self.config.recovery_threads_per_dir * self.dirs.len()).max(THREADS_MIN);
        self.run_jobs(&jobs, threads)?;
        self.loaded.store(true, Ordering::Release);
        Ok(all_clean)
    }

    fn jobs_of(
        &self,
        dir: &LogDir,
        clean_shutdown: bool,
        topics: &mut HashMap<Arc<str>, Arc<LogConfig>>,
        topic_config: &(dyn Fn(&str) -> LogConfig + Sync),
        jobs: &mut Vec<Job>,
    ) -> Result<(), StorageError> {
        let recovery_points = dir.read_checkpoint(RECOVERY_POINT_FILE, "all segments will be recovered if need be");
        let log_starts = dir.read_checkpoint(LOG_START_OFFSET_FILE, "logs begin with their first segment");
        let high_watermarks = dir.read_checkpoint(HIGH_WATERMARK_FILE, "high watermarks begin at the log start");
        for (name, tp) in self.log_dirs(dir)? {
            let (topic, config) = match topics.get_key_value(&tp.topic) {
                Some((topic, config)) => (Arc::clone(topic), Arc::clone(config)),
                None => {
                    let config = Arc::new(topic_config(&tp.topic));
                    topics.insert(Arc::clone(&tp.topic), Arc::clone(&config));
                    (Arc::clone(&tp.topic), config)
                }
            };
            let at = |map: &HashMap<TopicPartition, Offset>| map.get(&tp).copied().unwrap_or(0).max(0);
            let params = LoadParams {
                recovery_point: at(&recovery_points),
                log_start_offset: at(&log_starts),
                high_watermark: at(&high_watermarks),
                clean_shutdown,
            };
            jobs.push(Job { path: dir.path.join(name), tp: TopicPartition::new(topic, tp.partition), config, params });
        }
        self.checkpointed_high_watermarks.lock().extend(high_watermarks);
        Ok(())
    }

    /// Directories to load; those that wait for deletion are handed to the deleter.
    fn log_dirs(&self, dir: &LogDir) -> Result<Vec<(String, TopicPartition)>, StorageError> {
        let io = |source| StorageError::Io { dir: dir.path.clone(), source };
        let mut found = Vec::new();
        for entry in fs::read_dir(&dir.path).map_err(io)? {
            let entry = entry.map_err(io)?;
            if !entry.file_type().map_err(io)?.is_dir() {
                continue;
            }
            let name = entry.file_name().to_string_lossy().into_owned();
            match parse_entry(&name) {
                Ok(Entry::Log(tp)) => found.push((name, tp)),
                Ok(Entry::Delete) => {
                    let delay_ms = self.config.default_log_config.file_delete_delay_ms;
                    self.context
                        .deferred
                        .delete(self.context.clock.now_ms().saturating_add(delay_ms), vec![entry.path()]);
                }
                Ok(Entry::Future(tp)) => {
                    tracing::info!(partition = %tp, name, "found the copy of an unfinished move between log dirs");
                    self.load_future(entry.path(), &tp)?;
                }
                Ok(Entry::Stray) => tracing::warn!(name, "ignoring a stray log"),
                Ok(Entry::Other) => {}
                Err(name) => {
                    return Err(StorageError::Startup(format!(
                        "Found directory {}, '{name}' is not in the form of topic-partition or topic-partition.uniqueId-delete \
                         (if marked for deletion).\nKafka's log directories (and children) should only contain Kafka topic data.",
                        entry.path().display()
                    )));
                }
            }
        }
        // The file system's order is no order: a replay would load, and list, its logs in another one.
        found.sort_unstable();
        Ok(found)
    }

    fn run_jobs(&self, jobs: &[Job], threads: usize) -> Result<(), StorageError> {
        let failed = Mutex::new(None);
        parallel(jobs, threads, |job| match self.run_job(job) {
            Ok(()) => {}
            Err(StorageError::Io { dir, source }) => {
                tracing::error!(dir = %dir.display(), partition = %job.tp, error = %source, "cannot load a log");
                self.mark_offline(&dir);
            }
            Err(other) => *failed.lock() = Some(other),
        });
        match failed.into_inner() {
            Some(error) => Err(error),
            None if self.has_online_dir() => Ok(()),
            None => Err(StorageError::Startup("all log dirs have failed".to_owned())),
        }
    }

    fn run_job(&self, job: &Job) -> Result<(), StorageError> {
        let (tp, config, context) = (job.tp.clone(), Arc::clone(&job.config), Arc::clone(&self.context));
        let log = UnifiedLog::load(job.path.clone(), tp, config, job.params, context)?;
        match self.logs.write().insert(job.tp.clone(), Arc::new(log)) {
            None => Ok(()),
            Some(previous) => Err(StorageError::Startup(format!(
                "Duplicate log directories for {} are found in both {} and {}. It is recommended to delete the partition in \
                 the log directory that is known to have failed recently.",
                job.tp,
                job.path.display(),
                previous.dir().display()
            ))),
        }
    }

    /// Flushes and closes all logs, writes checkpoints and `.kafka_cleanshutdown`.
    pub fn shutdown(&self, broker_epoch: i64) {
        for dir in self.dirs.iter().filter(|dir| dir.is_online()) {
            let logs = self.logs_in(dir);
            let closed = self.close_logs(dir, &logs);
            self.close_dir(dir, closed, broker_epoch);
            dir.unlock();
        }
    }

    /// True if every log is closed and durable.
    fn close_logs(&self, dir: &LogDir, logs: &[(TopicPartition, Arc<UnifiedLog>)]) -> bool {
        let threads = self.config.recovery_threads_per_dir.max(THREADS_MIN);
        let dirty = logs.iter().filter(|(_, log)| log.recovery_point() < log.log_end_offset()).count();
        let at_once = dirty > SINGLE_SYNCS_MAX;
        let failures = AtomicUsize::new(0);
        parallel(logs, threads, |(tp, log)| {
            let closed = if at_once { log.close_unsynced() } else { log.flush().and_then(|()| log.close()) };
            if let Err(error) = closed {
                tracing::warn!(partition = %tp, %error, "log was not closed cleanly");
                failures.fetch_add(1, Ordering::Relaxed);
            }
        });
        if at_once {
            if let Err(error) = dir.sync_file_system() {
                tracing::warn!(dir = %dir.path.display(), %error, "cannot sync the log dir");
                return false;
            }
            logs.iter().for_each(|(_, log)| log.mark_flushed());
        }
        failures.into_inner() == 0
    }

    fn close_dir(&self, dir: &LogDir, closed: bool, broker_epoch: i64) {
        if !closed {
            return;
        }
        let written = self.checkpoint_dir(dir).and_then(|()| self.checkpoint_high_watermarks_of(dir));
        if let Err(error) = written {
            tracing::warn!(dir = %dir.path.display(), %error, "checkpoints were not written");
        } else if self.loaded.load(Ordering::Acquire) {
            write_mark(&dir.path, broker_epoch);
        }
    }
}

fn write_mark(dir: &Path, broker_epoch: i64) {
    if let Err(error) = clean_shutdown::write(dir, broker_epoch) {
        tracing::warn!(dir = %dir.display(), %error, "clean shutdown was not noted");
    }
}

/// Runs `work` over all items on that many threads.
fn parallel<T: Sync>(items: &[T], threads: usize, work: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    let run = || {
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            work(item);
        }
    };
    if items.len() < 2 || chance::is_simulated() {
        return run();
    }
    std::thread::scope(|scope| {
        for _ in 0..threads.min(items.len()) {
            scope.spawn(run);
        }
    });
}
