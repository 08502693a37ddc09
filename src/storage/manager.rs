//! All logs of a broker, over all its log dirs (class `LogManager`).

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock, atomic::AtomicBool, atomic::AtomicI64, atomic::Ordering},
};

use futures::channel::mpsc::{self, UnboundedReceiver, UnboundedSender};
use indexmap::IndexMap;
use parking_lot::{Mutex, RwLock};
use uuid::Uuid;

use super::{
    StorageError, UnifiedLog,
    checkpoint::offset::{HIGH_WATERMARK_FILE, LOG_START_OFFSET_FILE, RECOVERY_POINT_FILE},
    cleaner::manager::CleanerManager,
    dir::{LogDir, delete_dir_name},
    log::context::LogContext,
};
use crate::{
    common::{BrokerId, Clock, Offset, Timestamp, TopicPartition},
    config::topic::LogConfig,
};

/// What the manager needs to know of the broker's configuration.
#[derive(Debug, Clone)]
pub struct LogManagerConfig {
    pub log_dirs: Vec<PathBuf>,
    /// `num.recovery.threads.per.data.dir`
    pub recovery_threads_per_dir: usize,
    /// `producer.id.expiration.ms`
    pub producer_id_expiration_ms: i64,
    /// `log.flush.offset.checkpoint.interval.ms` and friends are the task table's business.
    pub default_log_config: LogConfig,
}

/// What `meta.properties` says (version 0, the only one ZooKeeper mode accepts).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DirIdentity {
    pub broker_id: Option<BrokerId>,
    pub cluster_id: Option<String>,
}

/// One partition in one log dir, for DescribeLogDirs.
#[derive(Debug, Clone)]
pub struct LogDirReplica {
    pub topic_partition: TopicPartition,
    pub size_bytes: u64,
    pub log_end_offset: i64,
    pub is_future: bool,
}

#[derive(Debug, Clone)]
pub struct LogDirDescription {
    pub path: PathBuf,
    /// False once an I/O error took it offline.
    pub online: bool,
    pub total_bytes: i64,
    pub usable_bytes: i64,
    pub replicas: Vec<LogDirReplica>,
}

/// Logs by partition. What goes over all of them does so in an order that a replay repeats.
pub(super) type LogMap = IndexMap<TopicPartition, Arc<UnifiedLog>, ahash::RandomState>;

/// A log dir that went offline, and the partitions that went with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirFailure {
    pub dir: PathBuf,
    pub partitions: Vec<TopicPartition>,
}

pub struct LogManager {
    pub(super) config: LogManagerConfig,
    pub(super) context: Arc<LogContext>,
    pub(super) dirs: Vec<LogDir>,
    pub(super) logs: RwLock<LogMap>,
    /// Copies that moves between log dirs are making.
    pub(super) future_logs: RwLock<LogMap>,
    /// Where logs that do not exist yet are to be made.
    pub(super) preferred_dirs: Mutex<HashMap<TopicPartition, PathBuf>>,
    /// Set if there is a log cleaner, which must hear of deletions.
    pub(super) cleaner: OnceLock<Arc<CleanerManager>>,
    /// Orders creation and deletion, which do I/O that `logs` must not be held across.
    pub(super) creation: Mutex<()>,
    pub(super) checkpointed_high_watermarks: Mutex<HashMap<TopicPartition, Offset>>,
    pub(super) loaded: AtomicBool,
    /// Broker epoch of the last clean stop, −1 if there was none in some dir.
    pub(super) previous_broker_epoch: AtomicI64,
    /// At most one event per log dir.
    failures: UnboundedSender<DirFailure>,
    failures_heard: Mutex<Option<UnboundedReceiver<DirFailure>>>,
}

impl LogManager {
    /// Creates and locks the log dirs and reads their `meta.properties`; loads nothing yet. Dirs that cannot be read are
    /// offline from the start, as long as one can.
    pub fn open(config: LogManagerConfig, clock: Arc<dyn Clock>) -> Result<Self, StorageError> {
        if config.log_dirs.is_empty() {
            return Err(StorageError::Startup("no log dir is configured".to_owned()));
        }
        let dirs = open_dirs(&config.log_dirs)?;
        let context = LogContext::new(clock, config.producer_id_expiration_ms);
        let (failures, heard) = mpsc::unbounded();
        Ok(Self {
            config,
            context,
            dirs,
            logs: RwLock::new(LogMap::default()),
            future_logs: RwLock::default(),
            preferred_dirs: Mutex::default(),
            cleaner: OnceLock::new(),
            creation: Mutex::new(()),
            checkpointed_high_watermarks: Mutex::new(HashMap::new()),
            loaded: AtomicBool::new(false),
            previous_broker_epoch: AtomicI64::new(-1),
            failures,
            failures_heard: Mutex::new(Some(heard)),
        })
    }

    /// Identity agreed on by all dirs (`Err` if they disagree).
    pub fn identity(&self) -> Result<DirIdentity, StorageError> {
        let mut agreed = DirIdentity::default();
        for dir in self.dirs.iter().filter(|dir| dir.is_online()) {
            let Some(found) = dir.identity()? else { continue };
            let differs =
                |one: &Option<String>, other: &Option<String>| one.is_some() && other.is_some() && one != other;
            let broker = (agreed.broker_id.map(|id| id.to_string()), found.broker_id.map(|id| id.to_string()));
            if differs(&broker.0, &broker.1) || differs(&agreed.cluster_id, &found.cluster_id) {
                return Err(StorageError::Startup(format!(
                    "meta.properties of {} says {found:?}, that of another log dir {agreed:?}",
                    dir.path.display()
                )));
            }
            agreed.broker_id = agreed.broker_id.or(found.broker_id);
            agreed.cluster_id = agreed.cluster_id.or(found.cluster_id);
        }
        Ok(agreed)
    }

    /// Writes `meta.properties` where it is missing. `Err` if a dir belongs to another broker or cluster.
    pub fn write_identity(&self, broker_id: BrokerId, cluster_id: &str) -> Result<(), StorageError> {
        let known = self.identity()?;
        if known.broker_id.is_some_and(|id| id != broker_id)
            || known.cluster_id.as_deref().is_some_and(|id| id != cluster_id)
        {
            return Err(StorageError::Startup(format!(
                "Configured broker.id {broker_id} and cluster id {cluster_id} do not match meta.properties, which says {known:?}. \
                 If you moved your data, make sure your configured broker.id matches. If you intend to create a new broker, \
                 remove all data in your log dirs."
            )));
        }
        let now = self.context.clock.now_ms();
        let mut online = self.dirs.iter().filter(|dir| dir.is_online());
        online.try_for_each(|dir| dir.write_identity(broker_id, cluster_id, now))
    }

    /// Epoch in which the broker last stopped cleanly, if all dirs say the same (KIP-966). Known after [`load`](Self::load).
    #[must_use]
    pub fn previous_broker_epoch(&self) -> Option<i64> {
        Some(self.previous_broker_epoch.load(Ordering::Acquire)).filter(|epoch| *epoch >= 0)
    }

    #[must_use]
    pub fn get(&self, tp: &TopicPartition) -> Option<Arc<UnifiedLog>> {
        self.logs.read().get(tp).cloned()
    }

    pub fn get_or_create(
        &self,
        tp: &TopicPartition,
        topic_id: Option<Uuid>,
        config: LogConfig,
    ) -> Result<Arc<UnifiedLog>, StorageError> {
        if let Some(log) = self.existing(tp, topic_id)? {
            return Ok(log);
        }
        let _creation = self.creation.lock();
        if let Some(log) = self.existing(tp, topic_id)? {
            return Ok(log);
        }
        let dir = self.preferred_dir(tp).or_else(|| self.emptiest_dir()).ok_or_else(|| StorageError::Io {
            dir: self.dirs[0].path.clone(),
            source: io::Error::other("all log dirs are offline"),
        })?;
        if dir.may_be_checkpointed(tp) {
            // The offsets of a deleted log of the same name must not be taken for the new one's at the next start.
            dir.forget_checkpointed();
            self.checkpoint_dir(dir)?;
            self.checkpoint_high_watermarks_of(dir)?;
            self.checkpointed_high_watermarks.lock().remove(tp);
        }
        let log = UnifiedLog::create(&dir.path, tp.clone(), topic_id, Arc::new(config), Arc::clone(&self.context))?;
        let log = Arc::new(log);
        self.logs.write().insert(tp.clone(), Arc::clone(&log));
        self.preferred_dirs.lock().remove(tp);
        Ok(log)
    }

    fn existing(&self, tp: &TopicPartition, topic_id: Option<Uuid>) -> Result<Option<Arc<UnifiedLog>>, StorageError> {
        let found = self.get(tp);
        if let (Some(log), Some(id)) = (&found, topic_id) {
            log.assign_topic_id(id)?;
        }
        Ok(found)
    }

    /// The online dir with the fewest logs.
    fn emptiest_dir(&self) -> Option<&LogDir> {
        let mut online = self.dirs.iter().filter(|dir| dir.is_online());
        if self.dirs.len() == 1 {
            return online.next();
        }
        let logs = self.logs.read();
        online.min_by_key(|dir| logs.values().filter(|log| log.parent_dir() == dir.path).count())
    }

    #[must_use]
    pub fn all(&self) -> Vec<(TopicPartition, Arc<UnifiedLog>)> {
        self.logs.read().iter().map(|(tp, log)| (tp.clone(), Arc::clone(log))).collect()
    }

    /// Renames the directory to `…-delete` now and removes it after `file.delete.delay.ms`.
    pub fn delete(&self, tp: &TopicPartition, now: Timestamp) -> Result<(), StorageError> {
        let _creation = self.creation.lock();
        self.drop_future(tp, now)?;
        let Some(log) = self.logs.write().swap_remove(tp) else { return Ok(()) };
        self.checkpointed_high_watermarks.lock().remove(tp);
        let to = log.parent_dir().join(delete_dir_name(tp));
        log.rename_dir(&to)?;
        if let Some(cleaner) = self.cleaner.get() {
            cleaner.forget(tp, log.parent_dir());
        }
        self.context.deferred.sync(log.parent_dir().to_owned());
        self.context.deferred.delete(now.saturating_add(log.config().file_delete_delay_ms), vec![to]);
        tracing::info!(partition = %tp, "log is scheduled for deletion");
        Ok(())
    }

    /// High watermark as of the last checkpoint (`replication-offset-checkpoint`), read at load.
    #[must_use]
    pub fn checkpointed_high_watermark(&self, tp: &TopicPartition) -> Option<i64> {
        self.checkpointed_high_watermarks.lock().get(tp).copied()
    }

    #[must_use]
    pub fn describe(&self) -> Vec<LogDirDescription> {
        let logs = self.all();
        let describe = |dir: &LogDir| {
            let (total_bytes, usable_bytes) = if dir.is_online() { dir.space() } else { (-1, -1) };
            let replicas = logs.iter().filter(|(_, log)| log.parent_dir() == dir.path).map(|(tp, log)| LogDirReplica {
                topic_partition: tp.clone(),
                size_bytes: log.size_bytes(),
                log_end_offset: log.log_end_offset(),
                is_future: false,
            });
            let replicas = replicas.chain(self.future_replicas_in(dir)).collect();
            LogDirDescription { path: dir.path.clone(), online: dir.is_online(), total_bytes, usable_bytes, replicas }
        };
        self.dirs.iter().map(describe).collect()
    }

    /// A log's dir failed: take it offline, return the partitions that went with it, and tell who listens to
    /// [`failures`](Self::failures).
    pub fn mark_offline(&self, path: &Path) -> Vec<TopicPartition> {
        let Some(dir) = self.dirs.iter().find(|dir| dir.path == path && dir.set_offline()) else { return Vec::new() };
        let mut gone = Vec::new();
        self.logs.write().retain(|tp, log| {
            if log.parent_dir() != path {
                return true;
            }
            log.mark_failed();
            gone.push(tp.clone());
            false
        });
        self.future_logs.write().retain(|_, log| {
            let stays = log.parent_dir() != path;
            if !stays {
                log.mark_failed();
            }
            stays
        });
        dir.unlock();
        tracing::error!(dir = %path.display(), partitions = gone.len(), "log dir is offline");
        // Nobody may listen.
        let _ = self.failures.unbounded_send(DirFailure { dir: path.to_owned(), partitions: gone.clone() });
        gone
    }

    /// Every log dir that goes offline, also those before the call; `None` from the second call on.
    #[must_use]
    pub fn failures(&self) -> Option<UnboundedReceiver<DirFailure>> {
        self.failures_heard.lock().take()
    }

    /// Whether any log dir still works; a broker without one must stop.
    #[must_use]
    pub fn has_online_dir(&self) -> bool {
        self.dirs.iter().any(LogDir::is_online)
    }

    /// Whether some log dir has failed: a log that is not found may be there.
    #[must_use]
    pub fn has_offline_dir(&self) -> bool {
        !self.dirs.iter().all(LogDir::is_online)
    }

    pub(super) fn logs_in(&self, dir: &LogDir) -> Vec<(TopicPartition, Arc<UnifiedLog>)> {
        let logs = self.logs.read();
        let mut here: Vec<_> = logs
            .iter()
            .filter(|(_, log)| log.parent_dir() == dir.path)
            .map(|(tp, log)| (tp.clone(), Arc::clone(log)))
            .collect();
        drop(logs);
        here.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        here
    }

    pub(super) fn checkpoint_dir(&self, dir: &LogDir) -> Result<(), StorageError> {
        let point = |(tp, log): (TopicPartition, Arc<UnifiedLog>)| (tp, log.recovery_point());
        dir.write_checkpoint(RECOVERY_POINT_FILE, || self.logs_in(dir).into_iter().map(point).collect())?;
        self.checkpoint_log_starts_of(dir)
    }

    /// Only starts that the first segment's name does not say.
    pub(super) fn checkpoint_log_starts_of(&self, dir: &LogDir) -> Result<(), StorageError> {
        let start = |(tp, log): (TopicPartition, Arc<UnifiedLog>)| {
            let start = log.log_start_offset();
            (start > log.first_segment_offset()).then_some((tp, start))
        };
        dir.write_checkpoint(LOG_START_OFFSET_FILE, || self.logs_in(dir).into_iter().filter_map(start).collect())
    }

    pub(super) fn checkpoint_high_watermarks_of(&self, dir: &LogDir) -> Result<(), StorageError> {
        let mark = |(tp, log): (TopicPartition, Arc<UnifiedLog>)| (tp, log.high_watermark());
        dir.write_checkpoint(HIGH_WATERMARK_FILE, || self.logs_in(dir).into_iter().map(mark).collect())
    }
}

fn open_dirs(paths: &[PathBuf]) -> Result<Vec<LogDir>, StorageError> {
    let mut dirs: Vec<LogDir> = Vec::with_capacity(paths.len());
    let mut failed = None;
    for path in paths {
        match LogDir::open(path).and_then(|dir| dir.identity().map(|_| dir)) {
            Ok(dir) => dirs.push(dir),
            Err(StorageError::Io { dir, source }) => {
                tracing::error!(dir = %dir.display(), error = %source, "log dir is offline: it cannot be opened");
                failed = Some(StorageError::Io { dir, source });
                dirs.push(LogDir::offline(path));
            }
            Err(refusal) => return Err(refusal),
        }
    }
    match failed {
        Some(failure) if !dirs.iter().any(LogDir::is_online) => Err(failure),
        _ => Ok(dirs),
    }
}
