//! One log dir: its lock, its `meta.properties`, its checkpoints (classes `FileLock`, `MetaProperties`).

use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use parking_lot::Mutex;
use rustix::fs::FlockOperation;

use super::{
    StorageError,
    checkpoint::{self, Durability, offset},
    manager::DirIdentity,
};
use crate::common::{BrokerId, Offset, Timestamp, TopicPartition, chance};

pub const META_PROPERTIES: &str = "meta.properties";
const LOCK_FILE: &str = ".lock";
const DELETE_SUFFIX: &str = "-delete";
const FUTURE_SUFFIX: &str = "-future";
const STRAY_SUFFIX: &str = "-stray";
/// Longest file name on the file systems that matter.
const NAME_BYTES_MAX: usize = 255;

pub struct LogDir {
    pub path: PathBuf,
    online: AtomicBool,
    /// Held while the broker runs; dropping it frees the dir.
    lock: Mutex<Option<File>>,
    /// Partitions in the checkpoint files with an offset above 0, as last read or written: a partition that is created
    /// anew must not find its predecessor's.
    checkpointed: Mutex<HashMap<TopicPartition, Offset>>,
    /// Held while a checkpoint is gathered and written: a background task and a topic that is created anew write the same
    /// file, and so the same file beside it.
    checkpointing: Mutex<()>,
}

/// What a directory below a log dir is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    Log(TopicPartition),
    /// Waiting to be removed.
    Delete,
    /// A copy being made by AlterReplicaLogDirs.
    Future(TopicPartition),
    /// Found to belong to nobody.
    Stray,
    /// Not ours to look at.
    Other,
}

impl LogDir {
    /// Makes the directory if it is missing and locks it.
    pub fn open(path: &Path) -> Result<Self, StorageError> {
        let io = |source| StorageError::Io { dir: path.to_owned(), source };
        fs::create_dir_all(path).map_err(io)?;
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path.join(LOCK_FILE));
        let file = file.map_err(io)?;
        // Java locks with fcntl, which does not see a second lock of the same process; flock does.
        let locked = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)
            .and_then(|()| rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive));
        if locked.is_err() {
            return Err(StorageError::Startup(format!(
                "Failed to acquire lock on file .lock in {}. A Kafka instance in another process or thread is using this directory.",
                path.display()
            )));
        }
        Ok(Self {
            path: path.to_owned(),
            online: AtomicBool::new(true),
            lock: Mutex::new(Some(file)),
            checkpointed: Mutex::new(HashMap::new()),
            checkpointing: Mutex::new(()),
        })
    }

    /// A dir that could not even be opened.
    #[must_use]
    pub fn offline(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            online: AtomicBool::new(false),
            lock: Mutex::new(None),
            checkpointed: Mutex::new(HashMap::new()),
            checkpointing: Mutex::new(()),
        }
    }

    #[must_use]
    pub fn is_online(&self) -> bool {
        self.online.load(Ordering::Acquire)
    }

    /// True for the one caller that took it offline.
    pub fn set_offline(&self) -> bool {
        self.online.swap(false, Ordering::AcqRel)
    }

    pub fn unlock(&self) {
        self.lock.lock().take();
    }

    /// Makes everything on the dir's file system durable: cheaper than thousands of single syncs. The descriptor is as
    /// old as the broker, so that the kernel reports every write-back that failed since.
    pub fn sync_file_system(&self) -> Result<(), StorageError> {
        let lock = self.lock.lock();
        let Some(file) = &*lock else { return Ok(()) };
        rustix::fs::syncfs(file).map_err(|error| StorageError::Io { dir: self.path.clone(), source: error.into() })
    }

    /// A checkpoint's entries; an unreadable one has none, and a warning says what that costs.
    pub fn read_checkpoint(&self, name: &str, cost: &str) -> HashMap<TopicPartition, Offset> {
        match offset::read(&self.path.join(name)) {
            Ok(entries) => {
                self.note_checkpointed(entries.iter().map(|(tp, offset)| (tp.clone(), *offset)));
                entries
            }
            Err(error) => {
                tracing::warn!(dir = %self.path.display(), name, %error, "unreadable checkpoint: {cost}");
                HashMap::new()
            }
        }
    }

    /// Replaces a checkpoint with what `gather` finds once nobody else writes one here: what was found later is written
    /// later.
    pub fn write_checkpoint(
        &self,
        name: &str,
        gather: impl FnOnce() -> Vec<(TopicPartition, Offset)>,
    ) -> Result<(), StorageError> {
        let _checkpointing = self.checkpointing.lock();
        let entries = gather();
        let written = offset::write(&self.path.join(name), &entries);
        written.map_err(|source| StorageError::Io { dir: self.path.clone(), source })?;
        self.note_checkpointed(entries.into_iter());
        Ok(())
    }

    fn note_checkpointed(&self, entries: impl Iterator<Item = (TopicPartition, Offset)>) {
        self.checkpointed.lock().extend(entries.filter(|(_, offset)| *offset > 0));
    }

    /// Whether a checkpoint may still have an entry of a former log of that name.
    #[must_use]
    pub fn may_be_checkpointed(&self, tp: &TopicPartition) -> bool {
        self.checkpointed.lock().contains_key(tp)
    }

    /// All checkpoints are about to be written anew.
    pub fn forget_checkpointed(&self) {
        self.checkpointed.lock().clear();
    }

    /// `None` if there is no `meta.properties`.
    pub fn identity(&self) -> Result<Option<DirIdentity>, StorageError> {
        let Some(properties) = self.read_meta()? else { return Ok(None) };
        let invalid = |what: String| {
            StorageError::Startup(format!("Invalid {META_PROPERTIES} in {}: {what}", self.path.display()))
        };
        match properties.get("version").map(|version| version.trim()) {
            Some("0") => {}
            Some(version) => {
                return Err(invalid(format!("expected version 0 (ZooKeeper mode), but found version {version}")));
            }
            None => return Err(invalid("no version".to_owned())),
        }
        let broker_id = match properties.get("broker.id").map(|id| id.trim()) {
            None => None,
            Some(id) => Some(id.parse().map_err(|_| invalid(format!("broker.id {id:?} is not a number")))?),
        };
        Ok(Some(DirIdentity { broker_id, cluster_id: properties.get("cluster.id").map(|id| id.trim().to_owned()) }))
    }

    fn read_meta(&self) -> Result<Option<BTreeMap<String, String>>, StorageError> {
        let bytes = match fs::read(self.path.join(META_PROPERTIES)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StorageError::Io { dir: self.path.clone(), source }),
        };
        let parsed = java_properties::read(&bytes[..]);
        parsed.map(|map| Some(map.into_iter().collect())).map_err(|error| {
            StorageError::Startup(format!("Cannot read {META_PROPERTIES} in {}: {error}", self.path.display()))
        })
    }

    /// Completes `meta.properties`; keys that are not ours are kept.
    pub fn write_identity(&self, broker_id: BrokerId, cluster_id: &str, now: Timestamp) -> Result<(), StorageError> {
        let mut properties = self.read_meta()?.unwrap_or_default();
        let wanted =
            [("broker.id", broker_id.to_string()), ("cluster.id", cluster_id.to_owned()), ("version", "0".into())];
        if wanted.iter().all(|(key, value)| properties.get(*key) == Some(value)) {
            return Ok(());
        }
        for (key, value) in wanted {
            properties.insert(key.to_owned(), value);
        }
        // Java writes an empty comment, the date, and the keys in its hash table's order.
        let mut text = format!("#\n#{}\n", java_date(now));
        for key in ["cluster.id", "version", "broker.id"] {
            if let Some(value) = properties.remove(key) {
                text.push_str(&format!("{key}={value}\n"));
            }
        }
        for (key, value) in &properties {
            text.push_str(&format!("{}={}\n", escape(key, true), escape(value, false)));
        }
        let written =
            checkpoint::write_atomically(&self.path.join(META_PROPERTIES), text.as_bytes(), Durability::Synced);
        written.map_err(|source| StorageError::Io { dir: self.path.clone(), source })
    }

    /// Total and usable bytes of the volume; −1 if unknown.
    #[must_use]
    pub fn space(&self) -> (i64, i64) {
        rustix::fs::statvfs(&self.path).map_or((-1, -1), |volume| {
            let bytes = |blocks: u64| i64::try_from(blocks.saturating_mul(volume.f_frsize)).unwrap_or(i64::MAX);
            (bytes(volume.f_blocks), bytes(volume.f_bavail))
        })
    }
}

/// As `Properties.store` escapes.
fn escape(text: &str, key: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, unit) in text.encode_utf16().enumerate() {
        match u8::try_from(unit).map(char::from) {
            Ok(' ') if key || at == 0 => out.push_str("\\ "),
            Ok('\t') => out.push_str("\\t"),
            Ok('\n') => out.push_str("\\n"),
            Ok('\r') => out.push_str("\\r"),
            Ok(special @ ('\\' | '=' | ':' | '#' | '!')) => out.extend(['\\', special]),
            Ok(plain @ ' '..='~') => out.push(plain),
            _ => out.push_str(&format!("\\u{unit:04X}")),
        }
    }
    out
}

/// `Mon Nov 23 21:39:35 UTC 2026`, as `Date.toString` prints it.
fn java_date(now: Timestamp) -> String {
    let (days, second) = (now.div_euclid(86_400_000), now.rem_euclid(86_400_000) / 1000);
    let weekday = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][days.rem_euclid(7) as usize];
    // Howard Hinnant's civil_from_days: years begin in March, so that the leap day is the last.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month =
        ["Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec", "Jan", "Feb"][march_month as usize];
    let year = year_of_era + era * 400 + i64::from(march_month >= 10);
    format!("{weekday} {month} {day:02} {:02}:{:02}:{:02} UTC {year}", second / 3600, second / 60 % 60, second % 60)
}

/// `topic-3.<32 hex>-delete`, cut to a legal length as Kafka cuts it.
#[must_use]
pub fn delete_dir_name(tp: &TopicPartition) -> String {
    let suffix = format!("-{}.{}{DELETE_SUFFIX}", tp.partition, chance::uuid().simple());
    let topic = &tp.topic[..tp.topic.len().min(NAME_BYTES_MAX - suffix.len())];
    format!("{topic}{suffix}")
}

/// `topic-3.<32 hex>-future`, the copy that a move between log dirs makes; `None` if that is no legal name.
#[must_use]
pub fn future_dir_name(tp: &TopicPartition) -> Option<String> {
    let name = format!("{tp}.{}{FUTURE_SUFFIX}", chance::uuid().simple());
    (name.len() <= NAME_BYTES_MAX).then_some(name)
}

/// What a directory's name says (`LocalLog.parseTopicPartitionName`); `Err` names what should not be there.
pub fn parse_entry(name: &str) -> Result<Entry, String> {
    if name.starts_with('.') || name == "lost+found" || name == "remote-log-index-cache" {
        return Ok(Entry::Other);
    }
    for suffix in [DELETE_SUFFIX, FUTURE_SUFFIX, STRAY_SUFFIX] {
        let Some(rest) = name.strip_suffix(suffix) else { continue };
        let Some((original, _)) = rest.rsplit_once('.') else { continue };
        return match (suffix, topic_partition(original)) {
            (_, None) => Err(name.to_owned()),
            (DELETE_SUFFIX, _) => Ok(Entry::Delete),
            (FUTURE_SUFFIX, Some(tp)) => Ok(Entry::Future(tp)),
            _ => Ok(Entry::Stray),
        };
    }
    match topic_partition(name) {
        Some(tp) if &*tp.topic == "__cluster_metadata" => Ok(Entry::Other),
        Some(tp) => Ok(Entry::Log(tp)),
        None => Err(name.to_owned()),
    }
}

fn topic_partition(name: &str) -> Option<TopicPartition> {
    let (topic, partition) = name.rsplit_once('-')?;
    let digits = !partition.is_empty() && partition.bytes().all(|byte| byte.is_ascii_digit());
    (!topic.is_empty() && digits).then(|| Some(TopicPartition::new(topic, partition.parse().ok()?)))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_directories() {
        let log = |topic: &str, partition| Ok(Entry::Log(TopicPartition::new(topic, partition)));
        assert_eq!(parse_entry("a-b-12"), log("a-b", 12));
        assert_eq!(parse_entry("a.b-0"), log("a.b", 0));
        assert_eq!(parse_entry("lost+found"), Ok(Entry::Other));
        assert_eq!(parse_entry("a-0.0123-delete"), Ok(Entry::Delete));
        assert_eq!(parse_entry("a-0.0123-stray"), Ok(Entry::Stray));
        for bad in ["photos", "a-", "-1", "a-b", "a-99999999999"] {
            assert!(parse_entry(bad).is_err(), "{bad}");
        }
        let long = TopicPartition::new("x".repeat(249), 3);
        assert_eq!(delete_dir_name(&long).len(), 255);
        assert_eq!(parse_entry(&delete_dir_name(&long)), Ok(Entry::Delete));
    }

    #[test]
    fn dates_as_java_prints_them() {
        assert_eq!(java_date(0), "Thu Jan 01 00:00:00 UTC 1970");
        assert_eq!(java_date(1_795_469_975_000), "Mon Nov 23 21:39:35 UTC 2026");
        assert_eq!(java_date(1_709_164_800_000), "Thu Feb 29 00:00:00 UTC 2024");
    }

    #[test]
    fn identity_round_trips_and_keeps_foreign_keys() {
        let dir = tempfile::tempdir().unwrap();
        let log_dir = LogDir::open(dir.path()).unwrap();
        assert_eq!(log_dir.identity().unwrap(), None);
        fs::write(dir.path().join(META_PROPERTIES), "version=0\ndirectory.id=a\\=b\n").unwrap();
        log_dir.write_identity(3, "abc", 0).unwrap();
        let text = fs::read_to_string(dir.path().join(META_PROPERTIES)).unwrap();
        assert_eq!(
            text,
            "#\n#Thu Jan 01 00:00:00 UTC 1970\ncluster.id=abc\nversion=0\nbroker.id=3\ndirectory.id=a\\=b\n"
        );
        let identity = DirIdentity { broker_id: Some(3), cluster_id: Some("abc".into()) };
        assert_eq!(log_dir.identity().unwrap(), Some(identity));
        fs::write(dir.path().join(META_PROPERTIES), "version=1\nnode.id=1\n").unwrap();
        assert!(matches!(log_dir.identity(), Err(StorageError::Startup(_))));
    }

    #[test]
    fn a_second_holder_of_the_lock_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let first = LogDir::open(dir.path()).unwrap();
        assert!(matches!(LogDir::open(dir.path()), Err(StorageError::Startup(_))));
        first.unlock();
        assert!(LogDir::open(dir.path()).is_ok());
    }

    /// A topic is deleted and created again while a background task writes: neither may take the dir for broken.
    #[test]
    fn checkpoints_written_at_the_same_time_do_not_take_each_others_files() {
        let folder = tempfile::tempdir().unwrap();
        let dir = LogDir::open(folder.path()).unwrap();
        let write = || {
            for offset in 0..100 {
                dir.write_checkpoint("c", || vec![(TopicPartition::new("t", 0), offset)]).unwrap();
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(write);
            scope.spawn(write);
        });
        assert_eq!(dir.read_checkpoint("c", "").len(), 1);
    }
}
