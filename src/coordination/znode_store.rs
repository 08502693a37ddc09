//! The port to ZooKeeper, or to the same tree in process: paths, versions, ephemerals, watches, multi.

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::sync::mpsc;

/// What ZooKeeper keeps of a node beside its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stat {
    /// Transaction that created the node; a broker's epoch is this of its registration.
    pub czxid: i64,
    pub mzxid: i64,
    pub ctime_ms: i64,
    pub mtime_ms: i64,
    /// Number of changes of the data: the compare-and-set token.
    pub version: i32,
    /// Number of changes of the children list.
    pub cversion: i32,
    /// Session that owns an ephemeral node, else 0.
    pub ephemeral_owner: i64,
    pub num_children: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreateMode {
    Persistent,
    Ephemeral,
    /// Ten digits are appended to the path.
    PersistentSequential,
}

/// ZooKeeper's answers, as far as Kafka reacts to them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CoordinationError {
    #[error("no node {0}")]
    NoNode(String),
    #[error("node {0} exists")]
    NodeExists(String),
    #[error("version of {0} is another")]
    BadVersion(String),
    #[error("node {0} has children")]
    NotEmpty(String),
    #[error("ephemeral node {0} cannot have children")]
    NoChildrenForEphemerals(String),
    #[error("connection lost")]
    ConnectionLoss,
    #[error("session expired")]
    SessionExpired,
    #[error("not authorized for {0}")]
    NoAuth(String),
    #[error("bad arguments: {0}")]
    BadArguments(String),
    /// The store itself failed (disk of the embedded one).
    #[error("coordination store failed: {0}")]
    Store(String),
}

/// One step of a multi; all happen or none.
#[derive(Debug, Clone)]
pub enum MultiOp {
    Create { path: String, data: Bytes, mode: CreateMode },
    Set { path: String, data: Bytes, version: Option<i32> },
    Delete { path: String, version: Option<i32> },
    Check { path: String, version: Option<i32> },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MultiResult {
    Created { path: String, stat: Stat },
    Set { stat: Stat },
    Deleted,
    Checked,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    Created,
    Deleted,
    DataChanged,
    ChildrenChanged,
}

/// A one-shot watch that fired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub kind: EventKind,
    pub path: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionEvent {
    Connected,
    Disconnected,
    /// The server itself said so: ephemerals are gone, watches too.
    Expired,
}

/// Result of any call.
pub type Outcome<'a, T> = BoxFuture<'a, Result<T, CoordinationError>>;

/// A session with the tree. Calls are ordered as issued. Paths are absolute and without trailing slash.
///
/// Watches are one-shot, as Kafka uses them: `watch = true` on a read arms one; when it fires, an [`Event`] comes out
/// of every receiver made by [`ZnodeStore::events`], after which it is gone. Re-read and re-arm.
pub trait ZnodeStore: Send + Sync + 'static {
    /// Returns the path really created (sequential nodes) and its stat.
    fn create(&self, path: &str, data: Bytes, mode: CreateMode) -> Outcome<'_, (String, Stat)>;
    fn get(&self, path: &str, watch: bool) -> Outcome<'_, (Bytes, Stat)>;
    /// `watch` also fires when a missing node is created.
    fn exists(&self, path: &str, watch: bool) -> Outcome<'_, Option<Stat>>;
    fn set(&self, path: &str, data: Bytes, version: Option<i32>) -> Outcome<'_, Stat>;
    fn delete(&self, path: &str, version: Option<i32>) -> Outcome<'_, ()>;
    /// Names (not paths) of the children.
    fn children(&self, path: &str, watch: bool) -> Outcome<'_, (Vec<String>, Stat)>;
    /// All or nothing; the error is that of the first failing step.
    fn multi(&self, ops: Vec<MultiOp>) -> Outcome<'_, Vec<MultiResult>>;
    fn events(&self) -> mpsc::UnboundedReceiver<Event>;
    fn session_events(&self) -> mpsc::UnboundedReceiver<SessionEvent>;
    fn session_id(&self) -> i64;
    /// Was this a session of this store that has expired? An ephemeral of it is a leftover of ours (ZOOKEEPER-2985).
    fn is_former_session(&self, session: i64) -> bool {
        let _ = session;
        false
    }
}
