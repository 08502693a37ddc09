//! A thread, its single-threaded runtime, and the connections that live there (class `SocketServer.Processor`).

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    task::Waker,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::{
    runtime::{Builder, Handle},
    sync::Notify,
};

use super::{
    balance::{self, Load},
    idle::{Liveness, sweep_period},
    relay::Relay,
};

pub(super) struct Reactor {
    pub(super) handle: Handle,
    connections: Mutex<HashMap<u64, Arc<Liveness>>>,
    next_id: AtomicU64,
    /// Milliseconds since the reactor started, as of the last sweep: what activity is measured with, so that a request
    /// does not cost a look at the clock.
    now_ms: AtomicU64,
    /// Thousandths of the thread's time, smoothed.
    busy: AtomicU32,
    pub(super) relay: Arc<Relay>,
    stop: Arc<Notify>,
}

/// How often the load is looked at.
const WINDOW: Duration = Duration::from_millis(250);

/// Where the last measurement ended.
#[derive(Clone, Copy)]
struct Meter {
    busy: Duration,
    at: Instant,
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
            busy: AtomicU32::new(0),
            relay: Relay::new(),
            stop: Arc::clone(&stop),
        });
        let relay = Arc::clone(&reactor.relay);
        runtime.spawn(Arc::clone(&relay).run());
        runtime.spawn(Self::sweep(Arc::downgrade(&reactor), max_idle));
        let thread = std::thread::Builder::new().name(format!("kafka-network-{index}")).spawn(move || {
            relay.settle_here();
            runtime.block_on(stop.notified());
        })?;
        Ok((reactor, thread))
    }

    pub(super) fn stop(&self) {
        self.stop.notify_one();
    }

    /// What lives here, and how busy that has kept the thread lately.
    pub(super) fn load(&self) -> Load {
        let busy = self.busy.load(Ordering::Relaxed);
        let connections = self.connections.lock();
        let active =
            if busy < balance::BUSY { 0 } else { connections.values().filter(|at| self.is_active(at)).count() };
        Load { busy, connections: connections.len(), active }
    }

    fn is_active(&self, liveness: &Liveness) -> bool {
        /// The coarse clock is this late at most.
        const LATELY_MS: u64 = 1000;
        liveness.is_active(self.now_ms(), LATELY_MS)
    }

    /// Takes up how busy the thread was: the last [`WINDOW`] counts a fourth, so that a burst moves nothing.
    fn measure(&self, meter: &mut Meter) {
        let busy = self.handle.metrics().worker_total_busy_duration(0);
        let now = Instant::now();
        let share = busy.saturating_sub(meter.busy).as_secs_f64() / (now - meter.at).as_secs_f64().max(1e-3);
        *meter = Meter { busy, at: now };
        let smoothed = f64::from(self.busy.load(Ordering::Relaxed)) * 0.75 + share.clamp(0.0, 1.0) * 250.0;
        self.busy.store(smoothed as u32, Ordering::Relaxed);
    }

    /// Has `count` connections go on at reactor `to`, those that carry the load first.
    pub(super) fn send_away(&self, count: usize, to: usize) {
        let connections = self.connections.lock();
        let (active, rest): (Vec<_>, Vec<_>) =
            connections.values().filter(|at| at.destination().is_none()).cloned().partition(|at| self.is_active(at));
        drop(connections);
        for liveness in active.iter().chain(&rest).take(count) {
            liveness.move_to(to);
        }
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

/// Keeps connections together or apart as their load demands, for as long as it is polled.
pub(super) async fn balance(reactors: Vec<Arc<Reactor>>) {
    let mut meters = vec![Meter { busy: Duration::ZERO, at: Instant::now() }; reactors.len()];
    let mut ticks = tokio::time::interval(WINDOW);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        for (reactor, meter) in reactors.iter().zip(&mut meters) {
            reactor.measure(meter);
        }
        let loads: Vec<Load> = reactors.iter().map(|reactor| reactor.load()).collect();
        let Some(shift) = balance::shift(&loads) else { continue };
        reactors[shift.from].send_away(shift.count, shift.to);
        // What was measured so far was measured before the move.
        reactors[shift.from].busy.fetch_sub(shift.busy, Ordering::Relaxed);
        reactors[shift.to].busy.fetch_add(shift.busy, Ordering::Relaxed);
    }
}

impl Registration {
    /// For what other threads may wake `task`, this connection's, by.
    pub(super) fn relayed(&self, task: &Waker) -> Waker {
        self.reactor.relay.waker_of(task)
    }

    pub(super) fn touch(&self) {
        self.liveness.touch(self.reactor.now_ms());
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.reactor.connections.lock().remove(&self.id);
    }
}
