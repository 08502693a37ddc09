//! The cleaner threads (class `LogCleaner`): each looks for the dirtiest log, cleans it, lets retention run over the
//! compacted ones, and sleeps `log.cleaner.backoff.ms` when there was nothing to clean.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use parking_lot::{Condvar, Mutex};

use super::{
    CleanError, CleanerConfig,
    cleaner::{Cleaner, LogToClean},
    manager::{CleanerManager, compacted},
    stats::CleanerStats,
    throttler::Throttler,
};
use crate::{
    common::{Clock, Offset},
    storage::{LogManager, StorageError, UnifiedLog},
};

/// Smallest chunk that is worth a read.
const CHUNK_BYTES_MIN: usize = 4 << 10;

pub struct LogCleaner {
    logs: Arc<LogManager>,
    manager: Arc<CleanerManager>,
    clock: Arc<dyn Clock>,
    config: Mutex<CleanerConfig>,
    throttler: Throttler,
    /// Threads of another generation than this one stop.
    generation: AtomicU64,
    /// No thread starts any more.
    closed: AtomicBool,
    sleepers: Mutex<()>,
    wake: Condvar,
    threads: Mutex<Vec<JoinHandle<()>>>,
    last_stats: Mutex<CleanerStats>,
}

impl LogCleaner {
    /// For logs that are loaded; reads their checkpoints. Nothing runs until [`start`](Self::start).
    #[must_use]
    pub fn new(logs: Arc<LogManager>, config: CleanerConfig, clock: Arc<dyn Clock>) -> Arc<Self> {
        let manager = Arc::new(CleanerManager::load(&logs));
        let manager = Arc::clone(logs.cleaner.get_or_init(|| manager));
        let throttler = Throttler::new(config.max_io_bytes_per_second, clock.monotonic_ms());
        Arc::new(Self {
            logs,
            manager,
            clock,
            config: Mutex::new(config),
            throttler,
            generation: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            sleepers: Mutex::new(()),
            wake: Condvar::new(),
            threads: Mutex::new(Vec::new()),
            last_stats: Mutex::new(CleanerStats::default()),
        })
    }

    /// Starts the threads.
    pub fn start(self: &Arc<Self>) {
        let config = self.config.lock().clone();
        let generation = self.generation.load(Ordering::Acquire);
        let mut threads = self.threads.lock();
        if self.closed.load(Ordering::Acquire) {
            return;
        }
        for number in 0..config.threads.max(1) {
            let (cleaner, config) = (Arc::clone(self), config.clone());
            let run = move || cleaner.run(generation, &config);
            match std::thread::Builder::new().name(format!("log-cleaner-{number}")).spawn(run) {
                Ok(thread) => threads.push(thread),
                Err(error) => tracing::error!(%error, "cannot start a log cleaner thread"),
            }
        }
    }

    /// Stops the threads for good and waits for them; a cleaning that is under way is given up.
    pub fn shutdown(&self) {
        self.closed.store(true, Ordering::Release);
        self.stop();
    }

    fn stop(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        {
            let _sleepers = self.sleepers.lock();
            self.wake.notify_all();
        }
        for thread in std::mem::take(&mut *self.threads.lock()) {
            if thread.join().is_err() {
                tracing::error!("a log cleaner thread had panicked");
            }
        }
    }

    /// Goes on with other settings, if they differ. Blocks while a thread stops.
    pub fn reconfigure(self: &Arc<Self>, config: CleanerConfig) {
        if *self.config.lock() == config {
            return;
        }
        self.stop();
        self.throttler.set_rate(config.max_io_bytes_per_second);
        *self.config.lock() = config;
        self.start();
    }

    /// Checkpoints and states, for metrics and for whoever must stop a cleaning.
    #[must_use]
    pub fn manager(&self) -> &Arc<CleanerManager> {
        &self.manager
    }

    /// What the last cleaning of any thread did.
    #[must_use]
    pub fn last_stats(&self) -> CleanerStats {
        *self.last_stats.lock()
    }

    fn run(&self, generation: u64, config: &CleanerConfig) {
        while self.is_current(generation) {
            // A thread of its own for each turn: the allocator keeps what a sleeping thread has freed, and a turn may
            // have used as much as the key map may take. A turn that panics takes no cleaner with it.
            let turn = std::thread::scope(|scope| {
                let turn = std::thread::Builder::new().name("log-cleaner".to_owned());
                turn.spawn_scoped(scope, || self.turn(generation, config)).map(std::thread::ScopedJoinHandle::join)
            });
            let cleaned = match turn {
                Ok(Ok(cleaned)) => cleaned,
                Ok(Err(_)) => {
                    tracing::error!("the log cleaner panicked; it leaves alone what it was at");
                    false
                }
                Err(error) => {
                    tracing::error!(%error, "cannot start a log cleaner thread");
                    false
                }
            };
            if !cleaned {
                self.sleep(generation, config.backoff_ms);
            }
        }
    }

    /// One look at all logs; true if one was cleaned.
    fn turn(&self, generation: u64, config: &CleanerConfig) -> bool {
        let cleaned = self.clean_filthiest(generation, config);
        self.delete_old_segments();
        self.manager.forget_missing(&self.logs);
        cleaned
    }

    fn is_current(&self, generation: u64) -> bool {
        self.generation.load(Ordering::Acquire) == generation
    }

    fn sleep(&self, generation: u64, ms: i64) {
        let mut sleepers = self.sleepers.lock();
        if self.is_current(generation) {
            let timeout = Duration::from_millis(u64::try_from(ms).unwrap_or(0).max(1));
            self.wake.wait_for(&mut sleepers, timeout);
        }
    }

    /// Cleans the log that needs it most; false if none does, or if it did not work: then a pause will do no harm.
    pub(super) fn clean_filthiest(&self, generation: u64, config: &CleanerConfig) -> bool {
        let Some(task) = self.manager.grab_filthiest(&self.logs, self.clock.now_ms()) else { return false };
        let tp = task.log.topic_partition().clone();
        let end = match self.clean(generation, config, &task) {
            Ok(end) => Some(end),
            Err(CleanError::Aborted) => None,
            Err(CleanError::Io { dir, source }) => {
                tracing::error!(partition = %tp, dir = %dir.display(), error = %source, "disk error while cleaning");
                self.logs.mark_offline(&dir);
                None
            }
            Err(CleanError::Uncleanable(what)) => {
                tracing::warn!(partition = %tp, what, "cannot clean the log; marking its partition as uncleanable");
                self.manager.mark_uncleanable(&tp);
                None
            }
        };
        self.manager.done_cleaning(&self.logs, &task, end);
        end.is_some()
    }

    fn clean(&self, generation: u64, config: &CleanerConfig, task: &LogToClean) -> Result<Offset, CleanError> {
        let threads = config.threads.max(1);
        let tp = task.log.topic_partition();
        let io = |bytes: u64| {
            let pause_ms = self.throttler.observe(bytes, self.clock.monotonic_ms());
            if pause_ms > 0 {
                self.sleep(generation, pause_ms);
            }
            self.is_current(generation) && !self.manager.is_aborted(tp)
        };
        let cleaner = Cleaner {
            clock: &*self.clock,
            map_bytes: config.dedupe_buffer_bytes / threads,
            map_load_factor: config.dedupe_buffer_load_factor,
            chunk_bytes: (config.io_buffer_bytes / threads / 2).max(CHUNK_BYTES_MIN),
            io: &io,
        };
        let (end, stats) = cleaner.clean(task)?;
        stats.report(&task.log.name(), task.first_dirty, end);
        *self.last_stats.lock() = stats;
        Ok(end)
    }

    /// Retention of compacted logs: below the log start, and by time and size where the policy has `delete` too.
    pub(super) fn delete_old_segments(&self) {
        let now = self.clock.now_ms();
        for log in compacted(&self.logs).into_iter().filter(|log| self.manager.is_idle(log.topic_partition())) {
            if let Err(error) = log.delete_old_segments(now) {
                self.retention_failed(&log, error);
            }
        }
    }

    fn retention_failed(&self, log: &UnifiedLog, error: StorageError) {
        match error {
            _ if !log.is_usable() => {}
            StorageError::Io { dir, source } => {
                tracing::error!(dir = %dir.display(), error = %source, "disk error in retention");
                self.logs.mark_offline(&dir);
            }
            error => tracing::warn!(partition = %log.topic_partition(), %error, "retention failed"),
        }
    }
}
