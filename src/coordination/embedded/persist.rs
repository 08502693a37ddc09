//! The durable half: one redb table of nodes, one of counters, and the thread that commits to them.
//!
//! Layout (see `docs/znodes.md`): table `nodes` maps a path to a 48-byte header (czxid, mzxid, pzxid, ctime, mtime as
//! big-endian i64; version, creations as i32) and the data; table `meta` holds `zxid`. Ephemeral nodes are not written.

use std::{path::Path, sync::mpsc, thread::JoinHandle};

use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition, TableError};
use tokio::sync::oneshot;

use super::{
    session::Delivery,
    tree::{Node, Tree},
};
use crate::coordination::CoordinationError;

const NODES: TableDefinition<&str, &[u8]> = TableDefinition::new("nodes");
const META: TableDefinition<&str, i64> = TableDefinition::new("meta");
const ZXID: &str = "zxid";
const HEADER: usize = 48;
/// The tree lives in memory; redb's own cache only helps commits.
const CACHE_BYTES: usize = 2 << 20;

/// A transaction applied to the tree and waiting to be durable.
pub struct Job {
    pub zxid: i64,
    /// Newest content of each touched persistent node, `None` when it is gone.
    pub writes: Vec<(String, Option<Vec<u8>>)>,
    pub deliveries: Vec<Delivery>,
    pub committed: oneshot::Sender<Result<(), CoordinationError>>,
}

/// Hands transactions to the committing thread; joined on drop, so that the file is free afterwards.
pub struct Writer {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub fn submit(&self, job: Job) -> Result<(), CoordinationError> {
        let stopped = || CoordinationError::Store("the writer has stopped".into());
        self.jobs.as_ref().ok_or_else(stopped)?.send(job).map_err(|_| stopped())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Opens the file, fills a tree from it and starts the writer.
pub fn open(path: &Path) -> Result<(Tree, Writer), CoordinationError> {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    let database = builder.create(path).map_err(|fault| match fault {
        DatabaseError::DatabaseAlreadyOpen => {
            CoordinationError::Store(format!("{} is in use by another broker", path.display()))
        }
        fault => CoordinationError::Store(format!("{}: {fault}", path.display())),
    })?;
    let tree = load(&database).map_err(|fault| match fault {
        CoordinationError::Store(why) => CoordinationError::Store(format!("{}: {why}", path.display())),
        fault => fault,
    })?;
    let (jobs, queue) = mpsc::channel();
    let thread = std::thread::Builder::new()
        .name("coordination-writer".into())
        .spawn(move || write_all(&database, &queue))
        .map_err(failed)?;
    Ok((tree, Writer { jobs: Some(jobs), thread: Some(thread) }))
}

fn load(database: &Database) -> Result<Tree, CoordinationError> {
    let read = database.begin_read().map_err(failed)?;
    let last = match read.open_table(META) {
        Ok(meta) => meta.get(ZXID).map_err(failed)?.map_or(0, |zxid| zxid.value()),
        Err(TableError::TableDoesNotExist(_)) => 0,
        Err(fault) => return Err(failed(fault)),
    };
    // As ZooKeeper does with a new leader: the upper half counts openings, so that nothing numbered before a crash,
    // written down or not, is numbered again. A broker's epoch is such a number.
    let mut tree = Tree::starting_at(((last >> 32) + 1) << 32);
    match read.open_table(NODES) {
        Ok(nodes) => {
            for row in nodes.iter().map_err(failed)? {
                let (path, value) = row.map_err(failed)?;
                let (path, value) = (path.value(), value.value());
                let node = decode(value).ok_or_else(|| failed(format!("node {path} is cut short")))?;
                if !tree.restore(path, node) {
                    return Err(failed(format!("node {path} has no parent")));
                }
            }
        }
        Err(TableError::TableDoesNotExist(_)) => {}
        Err(fault) => return Err(failed(fault)),
    }
    Ok(tree)
}

/// Takes all that waits, commits it in one go, then answers: a group commit.
fn write_all(database: &Database, queue: &mpsc::Receiver<Job>) {
    let mut broken: Option<CoordinationError> = None;
    while let Ok(first) = queue.recv() {
        let mut batch = vec![first];
        batch.extend(queue.try_iter());
        if broken.is_none() {
            broken = commit(database, &batch).err();
            if let Some(fault) = &broken {
                tracing::error!(%fault, "coordination store cannot write any more");
            }
        }
        // After a failure memory is ahead of the disk: nothing may be acknowledged any more.
        for job in batch {
            if broken.is_none() {
                job.deliveries.into_iter().for_each(Delivery::send);
            }
            let _ = job.committed.send(broken.clone().map_or(Ok(()), Err));
        }
    }
}

fn commit(database: &Database, batch: &[Job]) -> Result<(), CoordinationError> {
    let write = database.begin_write().map_err(failed)?;
    {
        let mut nodes = write.open_table(NODES).map_err(failed)?;
        for (path, content) in batch.iter().flat_map(|job| &job.writes) {
            match content {
                Some(content) => nodes.insert(path.as_str(), content.as_slice()).map(drop),
                None => nodes.remove(path.as_str()).map(drop),
            }
            .map_err(failed)?;
        }
        let mut meta = write.open_table(META).map_err(failed)?;
        if let Some(last) = batch.last() {
            meta.insert(ZXID, last.zxid).map_err(failed)?;
        }
    }
    write.commit().map_err(failed)
}

/// What `nodes` holds of a node.
pub fn encode(node: &Node) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER + node.data.len());
    for field in [node.czxid, node.mzxid, node.pzxid, node.ctime_ms, node.mtime_ms] {
        out.extend(field.to_be_bytes());
    }
    for field in [node.version, node.creations] {
        out.extend(field.to_be_bytes());
    }
    out.extend(&*node.data);
    out
}

fn decode(mut bytes: &[u8]) -> Option<Node> {
    fn long(bytes: &mut &[u8]) -> Option<i64> {
        let (head, rest) = bytes.split_first_chunk::<8>()?;
        *bytes = rest;
        Some(i64::from_be_bytes(*head))
    }
    fn int(bytes: &mut &[u8]) -> Option<i32> {
        let (head, rest) = bytes.split_first_chunk::<4>()?;
        *bytes = rest;
        Some(i32::from_be_bytes(*head))
    }
    Some(Node {
        czxid: long(&mut bytes)?,
        mzxid: long(&mut bytes)?,
        pzxid: long(&mut bytes)?,
        ctime_ms: long(&mut bytes)?,
        mtime_ms: long(&mut bytes)?,
        version: int(&mut bytes)?,
        creations: int(&mut bytes)?,
        data: bytes.into(),
        ..Node::default()
    })
}

fn failed(fault: impl std::fmt::Display) -> CoordinationError {
    CoordinationError::Store(fault.to_string())
}
