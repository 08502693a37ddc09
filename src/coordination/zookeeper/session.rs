//! The task that owns the connection: sends what waits, hands out answers and events.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use zookeeper_client::{Client, EventType, OneshotWatcher, SessionInfo, SessionState, StateWatcher};

use super::{
    lost,
    recovery::Dialer,
    request::{self, Answer, Failure, Job, Op},
    watches::{Ticket, Watches},
};
use crate::coordination::{CoordinationError, Event, EventKind, MultiResult, SessionEvent};

/// Lost answers after which a call is given up: something about it breaks connections.
const LOSSES_MAX: u32 = 10;

/// What an orderly end may take: the server removes the session's ephemerals.
const CLOSE_WAIT: Duration = Duration::from_secs(5);

/// Former sessions of which a stale ephemeral is still recognized as ours.
const FORMER_SESSIONS_MAX: usize = 16;

/// What the store's callers see of the session.
pub struct Shared {
    /// Counts sessions. A call belongs to the session it was made under and ends with it.
    pub generation: AtomicU64,
    info: Mutex<SessionInfo>,
    former: Mutex<VecDeque<i64>>,
    /// `None` once closed.
    receivers: Mutex<Option<Receivers>>,
}

#[derive(Default)]
struct Receivers {
    events: Vec<mpsc::UnboundedSender<Event>>,
    sessions: Vec<mpsc::UnboundedSender<SessionEvent>>,
}

impl Shared {
    pub fn new(client: &Client) -> Self {
        Self {
            generation: AtomicU64::new(0),
            info: Mutex::new(client.session().clone()),
            former: Mutex::default(),
            receivers: Mutex::new(Some(Receivers::default())),
        }
    }

    pub fn info(&self) -> SessionInfo {
        self.info.lock().clone()
    }

    pub fn session_id(&self) -> i64 {
        self.info.lock().id().0
    }

    pub fn is_former(&self, session: i64) -> bool {
        self.former.lock().contains(&session)
    }

    pub fn subscribe(&self) -> mpsc::UnboundedReceiver<Event> {
        let (sender, receiver) = mpsc::unbounded_channel();
        if let Some(receivers) = self.receivers.lock().as_mut() {
            receivers.events.retain(|old| !old.is_closed());
            receivers.events.push(sender);
        }
        receiver
    }

    pub fn subscribe_session(&self) -> mpsc::UnboundedReceiver<SessionEvent> {
        let (sender, receiver) = mpsc::unbounded_channel();
        if let Some(receivers) = self.receivers.lock().as_mut() {
            receivers.sessions.retain(|old| !old.is_closed());
            receivers.sessions.push(sender);
        }
        receiver
    }

    fn tell(&self, event: &Event) {
        if let Some(receivers) = self.receivers.lock().as_ref() {
            for receiver in &receivers.events {
                let _ = receiver.send(event.clone());
            }
        }
    }

    fn tell_session(&self, event: SessionEvent) {
        if let Some(receivers) = self.receivers.lock().as_ref() {
            for receiver in &receivers.sessions {
                let _ = receiver.send(event);
            }
        }
    }
}

/// What the task waits for.
enum Done {
    Answered(u64, Box<Job>, request::Result<(Answer, Option<OneshotWatcher>)>),
    /// `None`: the watch ended with its session.
    Fired(Ticket, Option<EventKind>),
}

/// Why serving ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    Closed,
    /// The library has given up the session.
    Terminated,
}

pub struct Session {
    pub(super) shared: Arc<Shared>,
    pub(super) dialer: Dialer,
    pub(super) client: Arc<Client>,
    state: StateWatcher,
    jobs: mpsc::Receiver<Job>,
    /// Changes, or ends, when the store is closed.
    pub(super) closing: watch::Receiver<bool>,
    max_in_flight: usize,
    /// To be sent (again) before anything new, by order of call.
    waiting: BTreeMap<u64, Box<Job>>,
    last_number: u64,
    in_flight: usize,
    /// Answers and watches in one set: they come out in the order in which the server sent them.
    pending: FuturesUnordered<BoxFuture<'static, Done>>,
    watches: Watches,
    connected: bool,
}

impl Session {
    pub fn new(
        shared: Arc<Shared>,
        dialer: Dialer,
        client: Client,
        jobs: mpsc::Receiver<Job>,
        closing: watch::Receiver<bool>,
        max_in_flight: usize,
    ) -> Self {
        Self {
            shared,
            dialer,
            state: client.state_watcher(),
            client: Arc::new(client),
            jobs,
            closing,
            max_in_flight: max_in_flight.max(1),
            waiting: BTreeMap::new(),
            last_number: 0,
            in_flight: 0,
            pending: FuturesUnordered::new(),
            watches: Watches::default(),
            connected: true,
        }
    }

    pub async fn run(mut self) {
        while self.serve().await == Ended::Terminated {
            if self.recover().await == Ended::Closed {
                break;
            }
        }
        self.close().await;
    }

    async fn serve(&mut self) -> Ended {
        if self.state.peek_state().is_terminated() {
            return Ended::Terminated;
        }
        loop {
            self.send_waiting();
            tokio::select! {
                biased;
                _ = self.closing.changed() => return Ended::Closed,
                state = self.state.changed() => {
                    if state.is_terminated() {
                        return Ended::Terminated;
                    }
                    self.on_state(state);
                }
                Some(done) = self.pending.next(), if !self.pending.is_empty() => {
                    if self.finish_ready(done) == Some(Ended::Terminated) {
                        return Ended::Terminated;
                    }
                }
                job = self.jobs.recv(), if self.in_flight < self.max_in_flight => match job {
                    Some(job) => self.accept(job),
                    None => return Ended::Closed,
                },
            }
        }
    }

    fn on_state(&mut self, state: SessionState) {
        match state {
            SessionState::SyncConnected | SessionState::ConnectedReadOnly if !self.connected => self.connected(),
            SessionState::Disconnected => self.disconnected(),
            _ => {}
        }
    }

    fn connected(&mut self) {
        self.connected = true;
        tracing::info!(session = %self.client.session_id(), "connected to ZooKeeper");
        self.shared.tell_session(SessionEvent::Connected);
    }

    pub(super) fn disconnected(&mut self) {
        if std::mem::take(&mut self.connected) {
            tracing::warn!(session = %self.client.session_id(), "disconnected from ZooKeeper");
            self.shared.tell_session(SessionEvent::Disconnected);
        }
    }

    fn accept(&mut self, job: Job) {
        self.last_number += 1;
        if job.generation == self.shared.generation.load(Ordering::Acquire) {
            self.waiting.insert(self.last_number, Box::new(job));
        } else {
            let _ = job.reply.send(Err(CoordinationError::SessionExpired));
        }
    }

    fn send_waiting(&mut self) {
        while self.in_flight < self.max_in_flight {
            let Some((number, job)) = self.waiting.pop_first() else { return };
            self.in_flight += 1;
            let client = Arc::clone(&self.client);
            let set_acl = self.dialer.security.set_acl;
            self.pending.push(
                async move {
                    let outcome = carry_out(&client, &job, set_acl).await;
                    Done::Answered(number, job, outcome)
                }
                .boxed(),
            );
        }
    }

    /// This one and all that are ready with it, before anything is sent: calls that failed together are sent again in
    /// their order.
    fn finish_ready(&mut self, first: Done) -> Option<Ended> {
        let mut ended = self.finish(first);
        while let Some(Some(done)) = self.pending.next().now_or_never() {
            ended = self.finish(done).or(ended);
        }
        ended
    }

    fn finish(&mut self, done: Done) -> Option<Ended> {
        match done {
            Done::Fired(ticket, kind) => {
                if let Some(event) = kind.and_then(|kind| self.watches.fired(ticket, kind)) {
                    self.shared.tell(&event);
                }
                None
            }
            Done::Answered(number, mut job, outcome) => {
                self.in_flight -= 1;
                match outcome {
                    Ok((answer, watcher)) => {
                        self.arm(&job.op, &answer, watcher);
                        // Who does not listen any more does not mind.
                        let _ = job.reply.send(Ok(answer));
                        None
                    }
                    Err(Failure::Fault(fault)) => {
                        let _ = job.reply.send(Err(fault));
                        None
                    }
                    Err(Failure::Lost) => {
                        job.losses += 1;
                        job.resent = true;
                        if job.losses < LOSSES_MAX {
                            self.waiting.insert(number, job);
                        } else {
                            let _ = job.reply.send(Err(CoordinationError::ConnectionLoss));
                        }
                        None
                    }
                    Err(Failure::Gone) => {
                        job.resent = true;
                        self.waiting.insert(number, job);
                        Some(Ended::Terminated)
                    }
                }
            }
        }
    }

    /// Before the answer goes out: the event must not come before there is someone to tell it to.
    fn arm(&mut self, op: &Op, answer: &Answer, watcher: Option<OneshotWatcher>) {
        let (Some((watched, path)), Some(watcher)) = (op.watch(), watcher) else { return };
        let missing = matches!(answer, Answer::Found(None));
        let Some(ticket) = self.watches.arm(watched, path, missing) else { return };
        self.pending.push(
            async move {
                let kind = match watcher.changed().await.event_type {
                    EventType::NodeCreated => Some(EventKind::Created),
                    EventType::NodeDeleted => Some(EventKind::Deleted),
                    EventType::NodeDataChanged => Some(EventKind::DataChanged),
                    EventType::NodeChildrenChanged => Some(EventKind::ChildrenChanged),
                    EventType::Session => None,
                };
                Done::Fired(ticket, kind)
            }
            .boxed(),
        );
    }

    /// Everything sent through a client that is finished comes back.
    pub(super) async fn drain(&mut self) {
        while self.in_flight > 0 {
            let Some(done) = self.pending.next().await else { break };
            self.finish(done);
        }
        self.pending.clear();
    }

    /// The server said so. What waits was meant for the old session.
    pub(super) fn expired(&mut self) {
        let former = self.shared.session_id();
        tracing::warn!(session = former, "the ZooKeeper session has expired");
        {
            let mut sessions = self.shared.former.lock();
            sessions.truncate(FORMER_SESSIONS_MAX - 1);
            sessions.push_front(former);
        }
        self.shared.generation.fetch_add(1, Ordering::AcqRel);
        self.shared.tell_session(SessionEvent::Expired);
        for (_, job) in std::mem::take(&mut self.waiting) {
            let _ = job.reply.send(Err(CoordinationError::SessionExpired));
        }
    }

    /// A client that was resumed or is new: it watches nothing, so everyone who waits for an event must look again.
    pub(super) fn adopt(&mut self, client: Client) {
        *self.shared.info.lock() = client.session().clone();
        self.state = client.state_watcher();
        self.client = Arc::new(client);
        for event in self.watches.fire_all() {
            self.shared.tell(&event);
        }
        self.connected();
    }

    async fn close(self) {
        let Self { shared, client, mut state, waiting, mut jobs, pending, .. } = self;
        drop(pending);
        shared.receivers.lock().take();
        jobs.close();
        for (_, job) in waiting {
            let _ = job.reply.send(Err(CoordinationError::ConnectionLoss));
        }
        while let Ok(job) = jobs.try_recv() {
            let _ = job.reply.send(Err(CoordinationError::ConnectionLoss));
        }
        let ended = state.peek_state().is_terminated();
        // With the last client the library closes the session.
        drop(client);
        let closed = async { while !state.changed().await.is_terminated() {} };
        if !ended && tokio::time::timeout(CLOSE_WAIT, closed).await.is_err() {
            tracing::warn!("ZooKeeper did not confirm the end of the session");
        }
    }
}

async fn carry_out(client: &Client, job: &Job, set_acl: bool) -> request::Result<(Answer, Option<OneshotWatcher>)> {
    let outcome = request::perform(client, &job.op, set_acl).await;
    let Err(Failure::Fault(fault)) = &outcome else { return outcome };
    let Some(steps) = job.op.steps().filter(|_| job.resent) else { return outcome };
    let mut results = lost::settle(client, &steps, fault.clone()).await?;
    if matches!(job.op, Op::Multi(_)) {
        return Ok((Answer::Multi(results), None));
    }
    match results.pop() {
        Some(MultiResult::Created { path, stat }) => Ok((Answer::Created(path, stat), None)),
        Some(MultiResult::Set { stat }) => Ok((Answer::Set(stat), None)),
        Some(MultiResult::Deleted) => Ok((Answer::Deleted, None)),
        Some(MultiResult::Checked) | None => outcome,
    }
}
