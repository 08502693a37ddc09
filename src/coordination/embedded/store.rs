//! [`ZnodeStore`] over the tree: calls take effect in memory when made, and are answered once durable.

use std::{path::Path, sync::Arc, time::SystemTime};

use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use super::{
    persist::{self, Job, Writer},
    session::{Delivery, Sessions},
    tree::{Committed, Tree},
};
use crate::{
    common::Clock,
    coordination::{
        CoordinationError, CreateMode, Event, MultiOp, MultiResult, SessionEvent, Stat, ZnodeStore,
        znode_store::Outcome,
    },
};

/// One session with the embedded tree.
///
/// A read sees every call issued before it, even one whose commit is under way: order of issue is what ZooKeeper
/// promises a session. Answers and watch events leave after the commit.
pub struct EmbeddedStore {
    shared: Arc<Shared>,
    session: i64,
}

struct Shared {
    state: Mutex<State>,
    /// None in tests without a disk.
    writer: Option<Writer>,
    /// None: the system's.
    clock: Option<Arc<dyn Clock>>,
}

struct State {
    tree: Tree,
    sessions: Sessions,
}

impl EmbeddedStore {
    /// Opens or creates the file at `path` and a session. Fails if another process has it open.
    pub fn open(path: impl AsRef<Path>) -> Result<Arc<Self>, CoordinationError> {
        let (tree, writer) = persist::open(path.as_ref())?;
        Ok(Self::over(tree, Some(writer), None))
    }

    /// A tree that is forgotten with its last session.
    #[must_use]
    pub fn in_memory() -> Arc<Self> {
        Self::over(Tree::default(), None, None)
    }

    /// The same, in a time of its own.
    #[must_use]
    pub fn in_memory_at(clock: Arc<dyn Clock>) -> Arc<Self> {
        Self::over(Tree::default(), None, Some(clock))
    }

    fn over(tree: Tree, writer: Option<Writer>, clock: Option<Arc<dyn Clock>>) -> Arc<Self> {
        let mut sessions = Sessions::default();
        let session = sessions.open();
        let state = Mutex::new(State { tree, sessions });
        Arc::new(Self { shared: Arc::new(Shared { state, writer, clock }), session })
    }

    /// Another client of the same tree.
    #[must_use]
    pub fn new_session(&self) -> Arc<Self> {
        let session = self.shared.state.lock().sessions.open();
        Arc::new(Self { shared: Arc::clone(&self.shared), session })
    }

    /// Ends this session as the server would: ephemerals vanish, watches too, and further calls fail.
    pub fn expire(&self) -> BoxFuture<'static, Result<(), CoordinationError>> {
        let committed = {
            let mut state = self.shared.state.lock();
            state.sessions.expire(self.session);
            let gone = state.tree.ephemerals_of(self.session);
            if gone.is_empty() {
                return futures::future::ready(Ok(())).boxed();
            }
            let ops: Vec<MultiOp> = gone.into_iter().map(|path| MultiOp::Delete { path, version: None }).collect();
            self.shared.run(&mut state, self.session, &ops)
        };
        async move { committed?.1.await.map(drop) }.boxed()
    }

    fn transact(&self, ops: Vec<MultiOp>) -> BoxFuture<'static, Result<Vec<MultiResult>, CoordinationError>> {
        let outcome = {
            let mut state = self.shared.state.lock();
            match state.sessions.get_mut(self.session) {
                Some(_) => self.shared.run(&mut state, self.session, &ops),
                None => Err(CoordinationError::SessionExpired),
            }
        };
        match outcome {
            Ok((results, durable)) => async move { durable.await.map(|()| results) }.boxed(),
            Err(fault) => futures::future::ready(Err(fault)).boxed(),
        }
    }

    fn read<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&mut State, i64) -> Result<T, CoordinationError>,
    ) -> BoxFuture<'static, Result<T, CoordinationError>> {
        let mut state = self.shared.state.lock();
        let alive = state.sessions.get_mut(self.session).is_some();
        let answer = if alive { ask(&mut state, self.session) } else { Err(CoordinationError::SessionExpired) };
        futures::future::ready(answer).boxed()
    }
}

type Durable = BoxFuture<'static, Result<(), CoordinationError>>;

impl Shared {
    /// Applies and hands over to the writer, under one lock: the order on disk is the order in memory.
    fn run(
        &self,
        state: &mut State,
        session: i64,
        ops: &[MultiOp],
    ) -> Result<(Vec<MultiResult>, Durable), CoordinationError> {
        let now_ms = self.clock.as_ref().map_or_else(now_ms, |clock| clock.now_ms());
        let Committed { results, touched, events } = state.tree.apply(now_ms, session, ops)?;
        let deliveries = state.sessions.trigger(&events);
        let Some(writer) = &self.writer else {
            deliveries.into_iter().for_each(Delivery::send);
            return Ok((results, futures::future::ready(Ok(())).boxed()));
        };
        let writes = collect_writes(&state.tree, touched);
        let (committed, durable) = oneshot::channel();
        writer.submit(Job { zxid: state.tree.zxid(), writes, deliveries, committed })?;
        let durable = async move {
            durable.await.unwrap_or_else(|_| Err(CoordinationError::Store("the writer has stopped".into())))
        };
        Ok((results, durable.boxed()))
    }
}

/// A node touched often (the parent of ten thousand new ones) is written once. Ephemerals die with the process.
fn collect_writes(tree: &Tree, mut touched: Vec<String>) -> Vec<(String, Option<Vec<u8>>)> {
    touched.sort_unstable();
    touched.dedup();
    touched
        .into_iter()
        .filter_map(|path| match tree.node(&path) {
            Some(node) if node.ephemeral_owner != 0 => None,
            Some(node) => Some((path, Some(persist::encode(node)))),
            None => Some((path, None)),
        })
        .collect()
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn unexpected<T>() -> Result<T, CoordinationError> {
    Err(CoordinationError::Store("an answer of another kind".into()))
}

impl ZnodeStore for EmbeddedStore {
    fn create(&self, path: &str, data: Bytes, mode: CreateMode) -> Outcome<'_, (String, Stat)> {
        let done = self.transact(vec![MultiOp::Create { path: path.to_owned(), data, mode }]);
        async move {
            match done.await?.pop() {
                Some(MultiResult::Created { path, stat }) => Ok((path, stat)),
                _ => unexpected(),
            }
        }
        .boxed()
    }

    fn get(&self, path: &str, watch: bool) -> Outcome<'_, (Bytes, Stat)> {
        self.read(|state, session| {
            let answer = state.tree.get(path)?;
            if let Some(session) = state.sessions.get_mut(session).filter(|_| watch) {
                session.watches.arm_data(path);
            }
            Ok(answer)
        })
    }

    fn exists(&self, path: &str, watch: bool) -> Outcome<'_, Option<Stat>> {
        self.read(|state, session| {
            if let Some(session) = state.sessions.get_mut(session).filter(|_| watch) {
                session.watches.arm_data(path);
            }
            Ok(state.tree.exists(path))
        })
    }

    fn set(&self, path: &str, data: Bytes, version: Option<i32>) -> Outcome<'_, Stat> {
        let done = self.transact(vec![MultiOp::Set { path: path.to_owned(), data, version }]);
        async move {
            match done.await?.pop() {
                Some(MultiResult::Set { stat }) => Ok(stat),
                _ => unexpected(),
            }
        }
        .boxed()
    }

    fn delete(&self, path: &str, version: Option<i32>) -> Outcome<'_, ()> {
        let done = self.transact(vec![MultiOp::Delete { path: path.to_owned(), version }]);
        async move { done.await.map(drop) }.boxed()
    }

    fn children(&self, path: &str, watch: bool) -> Outcome<'_, (Vec<String>, Stat)> {
        self.read(|state, session| {
            let answer = state.tree.children(path)?;
            if let Some(session) = state.sessions.get_mut(session).filter(|_| watch) {
                session.watches.arm_children(path);
            }
            Ok(answer)
        })
    }

    fn multi(&self, ops: Vec<MultiOp>) -> Outcome<'_, Vec<MultiResult>> {
        self.transact(ops)
    }

    fn events(&self) -> mpsc::UnboundedReceiver<Event> {
        self.shared.state.lock().sessions.subscribe(self.session)
    }

    fn session_events(&self) -> mpsc::UnboundedReceiver<SessionEvent> {
        self.shared.state.lock().sessions.subscribe_session(self.session)
    }

    fn session_id(&self) -> i64 {
        self.session
    }
}
