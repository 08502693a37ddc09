//! [`ZnodeStore`] over a real ZooKeeper.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use futures::FutureExt;
use parking_lot::Mutex;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};

use super::{
    address::Address,
    recovery::Dialer,
    request::{Answer, Job, Op},
    security::ZookeeperSecurity,
    session::{Session, Shared},
    tls,
};
use crate::coordination::{
    CoordinationError, CreateMode, Event, MultiOp, MultiResult, SessionEvent, Stat, ZnodeStore, znode_store::Outcome,
};

/// Calls that may wait for the connection. One more fails with CONNECTIONLOSS.
const CALLS_WAITING_MAX: usize = 1_000_000;

/// How long [`ZookeeperStore::expire`] tries.
const EXPIRE_WAIT: Duration = Duration::from_secs(30);

#[derive(Debug, Clone)]
pub struct ZookeeperConfig {
    /// `zookeeper.connect`: `host:port,host:port/chroot`.
    pub connect: String,
    /// `zookeeper.session.timeout.ms`; the server may settle on another.
    pub session_timeout_ms: u32,
    /// `zookeeper.connection.timeout.ms`: the wait for the first connection.
    pub connection_timeout_ms: u32,
    /// `zookeeper.max.in.flight.requests`.
    pub max_in_flight: usize,
    pub security: ZookeeperSecurity,
}

/// A session that lasts until [`close`](ZookeeperStore::close): if the server ends it, a new one takes its place.
pub struct ZookeeperStore {
    shared: Arc<Shared>,
    dialer: Dialer,
    jobs: mpsc::Sender<Job>,
    closing: watch::Sender<bool>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl ZookeeperStore {
    /// Opens a session, and creates the chroot if it is not there. To be called within a tokio runtime.
    ///
    /// BADARGUMENTS for an address that cannot be read; [`CoordinationError::Store`] with a line for the operator if no
    /// server answers in time.
    pub async fn connect(config: ZookeeperConfig) -> Result<Arc<Self>, CoordinationError> {
        let address = Address::parse(&config.connect)?;
        if config.security.tls.is_some() {
            tls::check_names(&address).map_err(CoordinationError::BadArguments)?;
        }
        let dialer = Dialer {
            address,
            session_timeout: Duration::from_millis(config.session_timeout_ms.into()),
            security: config.security,
        };
        let client = dialer.open(Duration::from_millis(config.connection_timeout_ms.into())).await?;
        tracing::info!(session = %client.session_id(), servers = dialer.address.hosts, "connected to ZooKeeper");
        let shared = Arc::new(Shared::new(&client));
        let (jobs, waiting) = mpsc::channel(CALLS_WAITING_MAX);
        let (closing, closed) = watch::channel(false);
        let session = Session::new(Arc::clone(&shared), dialer.clone(), client, waiting, closed, config.max_in_flight);
        let task = Mutex::new(Some(tokio::spawn(session.run())));
        Ok(Arc::new(Self { shared, dialer, jobs, closing, task }))
    }

    /// Ends the session: its ephemerals vanish now and not with its timeout. Calls fail from here on, and receivers of
    /// events end. Returns when the server has confirmed it, or after five seconds.
    pub async fn close(&self) {
        let _ = self.closing.send(true);
        let task = self.task.lock().take();
        if let Some(task) = task {
            let _ = task.await;
        }
    }

    /// Has the server end this session, as it does after a long silence; returns when the store has heard of it. For
    /// drills: a second client takes the session over and closes it.
    pub async fn expire(&self) -> Result<(), CoordinationError> {
        let mut heard = self.session_events();
        let session = self.shared.info();
        let expiring = async {
            loop {
                if let Ok(intruder) = self.dialer.dial(Some(session.clone())).await {
                    let mut state = intruder.state_watcher();
                    drop(intruder);
                    while !state.changed().await.is_terminated() {}
                }
                let expired = async { while heard.recv().await.is_some_and(|event| event != SessionEvent::Expired) {} };
                if tokio::time::timeout(Duration::from_millis(500), expired).await.is_ok() {
                    return;
                }
            }
        };
        tokio::time::timeout(EXPIRE_WAIT, expiring).await.map_err(|_| CoordinationError::ConnectionLoss)
    }

    /// Queues a call at once; its order is that of the calls, not that of their awaiting.
    fn ask<T: 'static>(&self, op: Op, read: fn(Answer) -> Option<T>) -> Outcome<'_, T> {
        let submitted = self.submit(op);
        async move {
            // Without an answer the session's task has ended.
            let answer = submitted?.await.unwrap_or(Err(CoordinationError::ConnectionLoss))?;
            read(answer).ok_or_else(|| CoordinationError::Store("an answer of another kind".into()))
        }
        .boxed()
    }

    fn submit(&self, op: Op) -> Result<oneshot::Receiver<Result<Answer, CoordinationError>>, CoordinationError> {
        op.check_size(&self.dialer.address.chroot)?;
        let (reply, answer) = oneshot::channel();
        let generation = self.shared.generation.load(Ordering::Acquire);
        let job = Job { op, generation, losses: 0, resent: false, reply };
        self.jobs.try_send(job).map_err(|_| CoordinationError::ConnectionLoss)?;
        Ok(answer)
    }
}

impl ZnodeStore for ZookeeperStore {
    fn create(&self, path: &str, data: Bytes, mode: CreateMode) -> Outcome<'_, (String, Stat)> {
        self.ask(Op::Create { path: path.to_owned(), data, mode }, |answer| match answer {
            Answer::Created(path, stat) => Some((path, stat)),
            _ => None,
        })
    }

    fn get(&self, path: &str, watch: bool) -> Outcome<'_, (Bytes, Stat)> {
        self.ask(Op::Get { path: path.to_owned(), watch }, |answer| match answer {
            Answer::Data(data, stat) => Some((data, stat)),
            _ => None,
        })
    }

    fn exists(&self, path: &str, watch: bool) -> Outcome<'_, Option<Stat>> {
        self.ask(Op::Exists { path: path.to_owned(), watch }, |answer| match answer {
            Answer::Found(stat) => Some(stat),
            _ => None,
        })
    }

    fn set(&self, path: &str, data: Bytes, version: Option<i32>) -> Outcome<'_, Stat> {
        self.ask(Op::Set { path: path.to_owned(), data, version }, |answer| match answer {
            Answer::Set(stat) => Some(stat),
            _ => None,
        })
    }

    fn delete(&self, path: &str, version: Option<i32>) -> Outcome<'_, ()> {
        self.ask(Op::Delete { path: path.to_owned(), version }, |answer| match answer {
            Answer::Deleted => Some(()),
            _ => None,
        })
    }

    fn children(&self, path: &str, watch: bool) -> Outcome<'_, (Vec<String>, Stat)> {
        self.ask(Op::Children { path: path.to_owned(), watch }, |answer| match answer {
            Answer::Children(names, stat) => Some((names, stat)),
            _ => None,
        })
    }

    fn multi(&self, ops: Vec<MultiOp>) -> Outcome<'_, Vec<MultiResult>> {
        self.ask(Op::Multi(ops), |answer| match answer {
            Answer::Multi(results) => Some(results),
            _ => None,
        })
    }

    fn events(&self) -> mpsc::UnboundedReceiver<Event> {
        self.shared.subscribe()
    }

    fn session_events(&self) -> mpsc::UnboundedReceiver<SessionEvent> {
        self.shared.subscribe_session()
    }

    fn session_id(&self) -> i64 {
        self.shared.session_id()
    }

    fn is_former_session(&self, session: i64) -> bool {
        self.shared.is_former(session)
    }
}
