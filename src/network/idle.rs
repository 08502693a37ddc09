//! When a connection was last of use, and how it is told to end (class `Selector.IdleExpiryManager`).

use std::{
    sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    task::Context,
    time::Duration,
};

use futures::task::AtomicWaker;

/// What a connection and those who may end it share.
pub(super) struct Liveness {
    /// Milliseconds of the reactor's coarse clock.
    last_active_ms: AtomicU64,
    /// A request is being answered, however long that takes.
    busy: AtomicBool,
    /// To end at the next chance: the server stops.
    closing: AtomicBool,
    /// To end even in the middle of a response: its client has taken none of it for too long.
    expired: AtomicBool,
    /// The reactor to move to between two requests, or [`NOWHERE`].
    destination: AtomicUsize,
    waker: AtomicWaker,
}

const NOWHERE: usize = usize::MAX;

impl Default for Liveness {
    fn default() -> Self {
        Self {
            last_active_ms: AtomicU64::new(0),
            busy: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            expired: AtomicBool::new(false),
            destination: AtomicUsize::new(NOWHERE),
            waker: AtomicWaker::new(),
        }
    }
}

impl Liveness {
    pub(super) fn touch(&self, now_ms: u64) {
        self.last_active_ms.store(now_ms, Ordering::Relaxed);
    }

    pub(super) fn set_busy(&self, busy: bool) {
        self.busy.store(busy, Ordering::Relaxed);
    }

    /// Asks the connection to end: at once if it waits for a request, else after the one in flight.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Asks the connection to end wherever it waits for its client.
    pub(super) fn expire(&self) {
        self.expired.store(true, Ordering::Release);
        self.close();
    }

    /// Asks the connection to go on at another reactor: at once if it waits for a request, else after the one in flight.
    pub(super) fn move_to(&self, reactor: usize) {
        self.destination.store(reactor, Ordering::Release);
        self.waker.wake();
    }

    /// Where it has been asked to go on.
    pub(super) fn destination(&self) -> Option<usize> {
        Some(self.destination.load(Ordering::Acquire)).filter(|reactor| *reactor != NOWHERE)
    }

    /// Wakes `context` when it comes true.
    pub(super) fn poll_expired(&self, context: &Context<'_>) -> bool {
        self.waker.register(context.waker());
        self.expired.load(Ordering::Acquire)
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// As [`Liveness::is_closing`]; wakes `context` when it comes true.
    pub(super) fn poll_closing(&self, context: &Context<'_>) -> bool {
        self.waker.register(context.waker());
        self.is_closing()
    }

    /// Whether it was of use in the last `period_ms`.
    pub(super) fn is_active(&self, now_ms: u64, period_ms: u64) -> bool {
        now_ms.saturating_sub(self.last_active_ms.load(Ordering::Relaxed)) <= period_ms
    }

    pub(super) fn is_idle(&self, now_ms: u64, max_idle: Duration) -> bool {
        let idle_ms = now_ms.saturating_sub(self.last_active_ms.load(Ordering::Relaxed));
        !self.busy.load(Ordering::Relaxed) && u128::from(idle_ms) >= max_idle.as_millis()
    }
}

/// How often idle connections are looked for: often enough to be a tenth late at most, and never more than a syscall
/// here and there.
pub(super) fn sweep_period(max_idle: Option<Duration>) -> Duration {
    let tenth = max_idle.map_or(Duration::MAX, |idle| idle / 10);
    tenth.clamp(Duration::from_millis(10), Duration::from_secs(1))
}
