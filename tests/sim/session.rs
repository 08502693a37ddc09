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
use tokio::sync::{mpsc, watch};

/// `zookeeper.session.timeout.ms`
pub const SESSION_TIMEOUT: Duration = Duration::from_secs(6);
const ROUND_TRIP: Duration = Duration::from_millis(1);

pub struct SimStore {
    state: Mutex<State>,
    link: watch::Sender<Link>,
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
    pub fn open(tree: &EmbeddedStore) -> Arc<Self> {
        let session = tree.new_session();
        let state = State {
            session: Arc::clone(&session),
            former: Vec::new(),
            events: Vec::new(),
            sessions: Vec::new(),
            generation: 0,
        };
        let store = Arc::new(Self { state: Mutex::new(state), link: watch::Sender::new(Link::Up) });
        store.forward(&session, 0);
        store
    }

    /// The server hears nothing of this client for longer than the session lives, unless the link heals before.
    pub fn cut(self: &Arc<Self>) {
        if *self.link.borrow() != Link::Up {
            return;
        }
        self.link.send_replace(Link::Cut);
        self.tell(SessionEvent::Disconnected);
        self.give_up_later();
    }

    pub fn heal(&self) {
        if *self.link.borrow() == Link::Cut {
            self.link.send_replace(Link::Up);
            self.tell(SessionEvent::Connected);
        }
    }

    /// `kill -9`: the session lives on at the server until it times out.
    pub fn die(self: &Arc<Self>) {
        self.link.send_replace(Link::Dead);
        self.give_up_later();
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
            let mut link = this.link.subscribe();
            let healed = link.wait_for(|link| *link == Link::Up);
            if tokio::time::timeout(SESSION_TIMEOUT, healed).await.is_err() {
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
        let mut link = self.link.subscribe();
        if link.wait_for(|link| *link == Link::Up).await.is_err() {
            return;
        }
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
        let mut link = self.link.subscribe();
        tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                tokio::time::sleep(ROUND_TRIP / 2).await;
                if link.wait_for(|link| *link == Link::Up).await.is_err() {
                    return;
                }
                let Some(this) = this.upgrade() else { return };
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

    /// A round trip to the server and the call there, under the session the call was made in.
    async fn call<T>(
        &self,
        call: impl AsyncFnOnce(&EmbeddedStore) -> Result<T, CoordinationError>,
    ) -> Result<T, CoordinationError> {
        let (session, generation) = {
            let state = self.state.lock();
            (Arc::clone(&state.session), state.generation)
        };
        let mut link = self.link.subscribe();
        tokio::time::sleep(ROUND_TRIP).await;
        if link.wait_for(|link| *link == Link::Up).await.is_err() {
            return Err(CoordinationError::ConnectionLoss);
        }
        if self.state.lock().generation != generation {
            return Err(CoordinationError::SessionExpired);
        }
        call(&session).await
    }
}

impl ZnodeStore for SimStore {
    fn create(&self, path: &str, data: Bytes, mode: CreateMode) -> Outcome<'_, (String, Stat)> {
        let path = path.to_owned();
        self.call(async move |session: &EmbeddedStore| session.create(&path, data, mode).await).boxed()
    }

    fn get(&self, path: &str, watch: bool) -> Outcome<'_, (Bytes, Stat)> {
        let path = path.to_owned();
        self.call(async move |session: &EmbeddedStore| session.get(&path, watch).await).boxed()
    }

    fn exists(&self, path: &str, watch: bool) -> Outcome<'_, Option<Stat>> {
        let path = path.to_owned();
        self.call(async move |session: &EmbeddedStore| session.exists(&path, watch).await).boxed()
    }

    fn set(&self, path: &str, data: Bytes, version: Option<i32>) -> Outcome<'_, Stat> {
        let path = path.to_owned();
        self.call(async move |session: &EmbeddedStore| session.set(&path, data, version).await).boxed()
    }

    fn delete(&self, path: &str, version: Option<i32>) -> Outcome<'_, ()> {
        let path = path.to_owned();
        self.call(async move |session: &EmbeddedStore| session.delete(&path, version).await).boxed()
    }

    fn children(&self, path: &str, watch: bool) -> Outcome<'_, (Vec<String>, Stat)> {
        let path = path.to_owned();
        self.call(async move |session: &EmbeddedStore| session.children(&path, watch).await).boxed()
    }

    fn multi(&self, ops: Vec<MultiOp>) -> Outcome<'_, Vec<MultiResult>> {
        self.call(async move |session: &EmbeddedStore| session.multi(ops).await).boxed()
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
