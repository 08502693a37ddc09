//! A thread, its single-threaded runtime, and the connections that live there (class `SocketServer.Processor`).

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::{
    runtime::{Builder, Handle},
    sync::Notify,
};

use super::idle::{Liveness, sweep_period};

pub(super) struct Reactor {
    pub(super) handle: Handle,
    connections: Mutex<HashMap<u64, Arc<Liveness>>>,
    next_id: AtomicU64,
    /// Milliseconds since the reactor started, as of the last sweep: what activity is measured with, so that a request
    /// does not cost a look at the clock.
    now_ms: AtomicU64,
    stop: Arc<Notify>,
}

/// A connection's entry in its reactor's list, until dropped.
pub(super) struct Registration {
    reactor: Arc<Reactor>,
    id: u64,
    pub(super) liveness: Arc<Liveness>,
}

impl Reactor {
    /// Starts the thread. It ends, and drops whatever still runs on it, after [`Reactor::stop`].
    pub(super) fn start(index: usize, max_idle: Option<Duration>) -> io::Result<(Arc<Self>, JoinHandle<()>)> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let stop = Arc::new(Notify::new());
        let reactor = Arc::new(Self {
            handle: runtime.handle().clone(),
            connections: Mutex::default(),
            next_id: AtomicU64::new(0),
            now_ms: AtomicU64::new(0),
            stop: Arc::clone(&stop),
        });
        runtime.spawn(Self::sweep(Arc::downgrade(&reactor), max_idle));
        let thread = std::thread::Builder::new()
            .name(format!("kafka-network-{index}"))
            .spawn(move || runtime.block_on(stop.notified()))?;
        Ok((reactor, thread))
    }

    pub(super) fn stop(&self) {
        self.stop.notify_one();
    }

    /// Connections that live here.
    pub(super) fn load(&self) -> usize {
        self.connections.lock().len()
    }

    pub(super) fn register(self: &Arc<Self>) -> Registration {
        let liveness = Arc::new(Liveness::default());
        liveness.touch(self.now_ms());
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        self.connections.lock().insert(id, Arc::clone(&liveness));
        Registration { reactor: Arc::clone(self), id, liveness }
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.now_ms.load(Ordering::Relaxed)
    }

    /// Asks every connection to end after the request in flight.
    pub(super) fn close_connections(&self) {
        let connections: Vec<_> = self.connections.lock().values().cloned().collect();
        for liveness in connections {
            liveness.close();
        }
    }

    async fn sweep(reactor: std::sync::Weak<Self>, max_idle: Option<Duration>) {
        let start = Instant::now();
        let mut ticks = tokio::time::interval(sweep_period(max_idle));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let Some(reactor) = reactor.upgrade() else { return };
            let now_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
            reactor.now_ms.store(now_ms, Ordering::Relaxed);
            let Some(max_idle) = max_idle else { continue };
            for liveness in reactor.connections.lock().values() {
                if liveness.is_idle(now_ms, max_idle) {
                    liveness.expire();
                }
            }
        }
    }
}

impl Registration {
    pub(super) fn touch(&self) {
        self.liveness.touch(self.reactor.now_ms());
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.reactor.connections.lock().remove(&self.id);
    }
}
