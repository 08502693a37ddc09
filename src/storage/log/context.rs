//! What all logs of a broker share: the clock, the descriptors that may be closed, and work that is done later.

use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;

use super::segment::Segment;
use crate::common::{Clock, Offset, Timestamp, TopicPartition};

/// Descriptors of sealed segments that are kept open at most.
const OPEN_SEALED_MAX: usize = 2_000;

pub struct LogContext {
    pub clock: Arc<dyn Clock>,
    /// `producer.id.expiration.ms`
    pub producer_id_expiration_ms: i64,
    pub open_files: OpenFiles,
    pub deferred: Deferred,
}

impl LogContext {
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, producer_id_expiration_ms: i64) -> Arc<Self> {
        Arc::new(Self {
            clock,
            producer_id_expiration_ms,
            open_files: OpenFiles::default(),
            deferred: Deferred::default(),
        })
    }
}

/// Sealed segments whose file is open, oldest first; one that was read since it was looked at gets a second chance.
#[derive(Default)]
pub struct OpenFiles {
    queue: Mutex<VecDeque<Weak<Segment>>>,
}

impl OpenFiles {
    /// Notes an opened file and closes others beyond the bound.
    pub fn opened(&self, segment: &Arc<Segment>) {
        let mut queue = self.queue.lock();
        queue.push_back(Arc::downgrade(segment));
        let mut spared = 0;
        while queue.len() > OPEN_SEALED_MAX {
            let Some(oldest) = queue.pop_front() else { break };
            let Some(segment) = oldest.upgrade() else { continue };
            if spared < OPEN_SEALED_MAX && segment.take_touched() {
                spared += 1;
                queue.push_back(oldest);
            } else {
                segment.close_file();
            }
        }
    }
}

/// Work that must not hold up an append: syncing what a roll sealed, deleting what retention dropped.
#[derive(Default)]
pub struct Deferred {
    tasks: Mutex<Vec<Task>>,
}

#[derive(Debug)]
enum Task {
    Flush { tp: TopicPartition, up_to: Offset },
    Sync { path: PathBuf },
    Delete { due: Timestamp, paths: Vec<PathBuf> },
}

/// What [`Deferred::take`] hands out.
#[derive(Debug, Default)]
pub struct DueWork {
    pub flushes: Vec<(TopicPartition, Offset)>,
    pub syncs: Vec<PathBuf>,
    pub deletions: Vec<PathBuf>,
}

impl Deferred {
    /// A segment was sealed: make everything below `up_to` durable soon.
    pub fn flush(&self, tp: TopicPartition, up_to: Offset) {
        self.tasks.lock().push(Task::Flush { tp, up_to });
    }

    pub fn sync(&self, path: PathBuf) {
        self.tasks.lock().push(Task::Sync { path });
    }

    pub fn delete(&self, due: Timestamp, paths: Vec<PathBuf>) {
        if !paths.is_empty() {
            self.tasks.lock().push(Task::Delete { due, paths });
        }
    }

    /// Takes what is due at `now`.
    pub fn take(&self, now: Timestamp) -> DueWork {
        let mut work = DueWork::default();
        let mut tasks = self.tasks.lock();
        if tasks.is_empty() {
            return work;
        }
        for task in std::mem::take(&mut *tasks) {
            match task {
                Task::Flush { tp, up_to } => work.flushes.push((tp, up_to)),
                Task::Sync { path } => work.syncs.push(path),
                Task::Delete { due, paths } if due <= now => work.deletions.extend(paths),
                later @ Task::Delete { .. } => tasks.push(later),
            }
        }
        work
    }
}
