//! One broker's session with the shared tree, as a distant client has it: calls take time, wait while the link is cut,
//! and fail once the server has given the session up; the client hears of that only when the link is back.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::FutureExt;
use monedula::coordination::{
    CoordinationError, CreateMode, EmbeddedStore, Event, MultiOp, MultiResult, SessionEvent, Stat, ZnodeStore,
    znode_store::Outcome,
};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::{
    trace::{Trace, digest},
    weather::Weather,
};

/// `zookeeper.session.timeout.ms`
pub const SESSION_TIMEOUT: Duration = Duration::from_secs(6);
const ROUND_TRIP: Duration = Duration::from_millis(1);

pub struct SimStore {
    state: Mutex<State>,
    link: Mutex<Link>,
    weather: Weather,
    whose: String,
    trace: Trace,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    Up,
    Cut,
    /// The process is dead: it hears nothing more.
    Dead,
}

struct State {
    session: Arc<EmbeddedStore>,
    former: Vec<i64>,
    events: Vec<mpsc::UnboundedSender<Event>>,
    sessions: Vec<mpsc::UnboundedSender<SessionEvent>>,
    /// Counts sessions: a call belongs to the one it was made under.
    generation: u64,
}

impl SimStore {
    pub fn open(tree: &EmbeddedStore, whose: impl std::fmt::Display, trace: &Trace) -> Arc<Self> {
        let session = tree.new_session();
        let state = State {
            session: Arc::clone(&session),
            former: Vec::new(),
            events: Vec::new(),
            sessions: Vec::new(),
            generation: 0,
        };
        let store = Arc::new(Self {
            state: Mutex::new(state),
            link: Mutex::new(Link::Up),
            weather: Weather::default(),
            whose: whose.to_string(),
            trace: trace.clone(),
        });
        store.forward(&session, 0);
        store
    }

    /// The server hears nothing of this client for longer than the session lives, unless the link heals before.
    pub fn cut(self: &Arc<Self>) {
        if !self.becomes(Link::Up, Link::Cut) {
            return;
        }
        self.tell(SessionEvent::Disconnected);
        self.give_up_later();
    }

    pub fn heal(&self) {
        if self.becomes(Link::Cut, Link::Up) {
            self.tell(SessionEvent::Connected);
        }
    }

    /// `kill -9`: the session lives on at the server until it times out.
    pub fn die(self: &Arc<Self>) {
        *self.link.lock() = Link::Dead;
        self.weather.changes();
        self.give_up_later();
    }

    /// What a client does that stops: the session is gone at once, if the server can be told.
    pub async fn close(self: &Arc<Self>) {
        if *self.link.lock() != Link::Up {
            return self.die();
        }
        let session = Arc::clone(&self.state.lock().session);
        *self.link.lock() = Link::Dead;
        self.weather.changes();
        session.expire().await.unwrap();
    }

    /// The server ends the session now; the client learns it at once, or when the link is back.
    pub async fn expire(self: &Arc<Self>) {
        let (session, generation) = {
            let state = self.state.lock();
            (Arc::clone(&state.session), state.generation)
        };
        self.end(session, generation).await;
    }

    fn give_up_later(self: &Arc<Self>) {
        let this = Arc::clone(self);
        let (session, generation) = {
            let state = self.state.lock();
            (Arc::clone(&state.session), state.generation)
        };
        tokio::spawn(async move {
            if tokio::time::timeout(SESSION_TIMEOUT, this.is_up()).await.is_err() {
                this.end(session, generation).await;
            }
        });
    }

    /// Ephemerals vanish for everybody; this client goes on with a new session once it can hear of it.
    async fn end(self: &Arc<Self>, session: Arc<EmbeddedStore>, generation: u64) {
        if self.state.lock().generation != generation {
            return;
        }
        session.expire().await.unwrap();
        self.trace.tell(|| format!("{}: session {} has ended", self.whose, session.session_id()));
        self.is_up().await;
        let fresh = {
            let mut state = self.state.lock();
            if state.generation != generation {
                return;
            }
            state.generation += 1;
            let old = state.session.session_id();
            state.former.push(old);
            let fresh = session.new_session();
            state.session = Arc::clone(&fresh);
            fresh
        };
        self.forward(&fresh, generation + 1);
        self.tell(SessionEvent::Expired);
        self.tell(SessionEvent::Connected);
    }

    /// Events of a session reach the client in order, one trip later.
    fn forward(self: &Arc<Self>, session: &Arc<EmbeddedStore>, generation: u64) {
        let mut events = session.events();
        let this = Arc::downgrade(self);
        tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                tokio::time::sleep(ROUND_TRIP / 2).await;
                let Some(this) = this.upgrade() else { return };
                this.is_up().await;
                this.trace.tell(|| format!("{}: {event:?}", this.whose));
                let mut state = this.state.lock();
                if state.generation != generation {
                    return;
                }
                state.events.retain(|receiver| receiver.send(event.clone()).is_ok());
            }
        });
    }

    fn tell(&self, event: SessionEvent) {
        self.state.lock().sessions.retain(|receiver| receiver.send(event).is_ok());
    }

    async fn is_up(&self) {
        self.weather.until(|| *self.link.lock() == Link::Up).await;
    }

    fn becomes(&self, from: Link, to: Link) -> bool {
        let is_from = {
            let mut link = self.link.lock();
            let is_from = *link == from;
            if is_from {
                *link = to;
            }
            is_from
        };
        self.weather.changes();
        is_from
    }

    /// A round trip to the server and the call there, under the session the call was made in.
    async fn call<T: std::fmt::Debug>(
        &self,
        what: String,
        call: impl AsyncFnOnce(&EmbeddedStore) -> Result<T, CoordinationError>,
    ) -> Result<T, CoordinationError> {
        let (session, generation) = {
            let state = self.state.lock();
            (Arc::clone(&state.session), state.generation)
        };
        tokio::time::sleep(ROUND_TRIP).await;
        self.is_up().await;
        if self.state.lock().generation != generation {
            return Err(CoordinationError::SessionExpired);
        }
        let answer = call(&session).await;
        self.trace.tell(|| format!("{}: {what}: {answer:?}", self.whose));
        answer
    }
}

impl ZnodeStore for SimStore {
    fn create(&self, path: &str, data: Bytes, mode: CreateMode) -> Outcome<'_, (String, Stat)> {
        let path = path.to_owned();
        let what = format!("create {path} {:08x}", digest(&data));
        self.call(what, async move |session: &EmbeddedStore| session.create(&path, data, mode).await).boxed()
    }

    fn get(&self, path: &str, watch: bool) -> Outcome<'_, (Bytes, Stat)> {
        let path = path.to_owned();
        let what = format!("get {path} {watch}");
        self.call(what, async move |session: &EmbeddedStore| session.get(&path, watch).await).boxed()
    }

    fn exists(&self, path: &str, watch: bool) -> Outcome<'_, Option<Stat>> {
        let path = path.to_owned();
        let what = format!("exists {path} {watch}");
        self.call(what, async move |session: &EmbeddedStore| session.exists(&path, watch).await).boxed()
    }

    fn set(&self, path: &str, data: Bytes, version: Option<i32>) -> Outcome<'_, Stat> {
        let path = path.to_owned();
        let what = format!("set {path} {version:?} {:08x}", digest(&data));
        self.call(what, async move |session: &EmbeddedStore| session.set(&path, data, version).await).boxed()
    }

    fn delete(&self, path: &str, version: Option<i32>) -> Outcome<'_, ()> {
        let path = path.to_owned();
        let what = format!("delete {path} {version:?}");
        self.call(what, async move |session: &EmbeddedStore| session.delete(&path, version).await).boxed()
    }

    fn children(&self, path: &str, watch: bool) -> Outcome<'_, (Vec<String>, Stat)> {
        let path = path.to_owned();
        let what = format!("children {path} {watch}");
        self.call(what, async move |session: &EmbeddedStore| session.children(&path, watch).await).boxed()
    }

    fn multi(&self, ops: Vec<MultiOp>) -> Outcome<'_, Vec<MultiResult>> {
        let what = format!("multi {ops:?}");
        self.call(what, async move |session: &EmbeddedStore| session.multi(ops).await).boxed()
    }

    fn events(&self) -> mpsc::UnboundedReceiver<Event> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.state.lock().events.push(sender);
        receiver
    }

    fn session_events(&self) -> mpsc::UnboundedReceiver<SessionEvent> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.state.lock().sessions.push(sender);
        receiver
    }

    fn session_id(&self) -> i64 {
        self.state.lock().session.session_id()
    }

    fn is_former_session(&self, session: i64) -> bool {
        self.state.lock().former.contains(&session)
    }
}
