//! Time as a port: decision code takes `now` as an argument, drivers ask a `Clock`.

use super::ids::Timestamp;

/// Where drivers get the time from. The real one lives in `server`; tests use [`ManualClock`].
pub trait Clock: Send + Sync + 'static {
    /// Wall-clock milliseconds since 1970: what is written into records and compared with record timestamps.
    fn now_ms(&self) -> Timestamp;
    /// Milliseconds on a clock that never goes back: what timers and sessions are measured with.
    fn monotonic_ms(&self) -> i64;
}

/// A clock that moves only when told to.
#[derive(Debug, Default)]
pub struct ManualClock {
    now_ms: std::sync::atomic::AtomicI64,
}

impl ManualClock {
    #[must_use]
    pub fn at(now_ms: Timestamp) -> Self {
        Self { now_ms: now_ms.into() }
    }

    pub fn advance(&self, by_ms: i64) {
        self.now_ms.fetch_add(by_ms, std::sync::atomic::Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now_ms(&self) -> Timestamp {
        self.now_ms.load(std::sync::atomic::Ordering::SeqCst)
    }

    fn monotonic_ms(&self) -> i64 {
        self.now_ms()
    }
}
