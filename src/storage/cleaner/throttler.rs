//! Holds the cleaner's I/O to a rate (class `Throttler`). Decides how long to pause; who asks does the pausing.

use parking_lot::Mutex;

/// Shorter bursts go unpunished.
const CHECK_INTERVAL_MS: i64 = 300;

#[derive(Debug)]
pub struct Throttler {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    bytes_per_second: f64,
    period_start_ms: i64,
    bytes: u64,
}

impl Throttler {
    #[must_use]
    pub fn new(bytes_per_second: f64, monotonic_ms: i64) -> Self {
        Self { state: Mutex::new(State { bytes_per_second, period_start_ms: monotonic_ms, bytes: 0 }) }
    }

    pub fn set_rate(&self, bytes_per_second: f64) {
        self.state.lock().bytes_per_second = bytes_per_second;
    }

    /// Notes `bytes` of I/O; how many milliseconds to pause, 0 for none.
    #[must_use]
    pub fn observe(&self, bytes: u64, monotonic_ms: i64) -> i64 {
        let mut state = self.state.lock();
        state.bytes += bytes;
        let elapsed_ms = monotonic_ms - state.period_start_ms;
        if elapsed_ms <= CHECK_INTERVAL_MS || state.bytes == 0 {
            return 0;
        }
        let due_ms = state.bytes as f64 / (state.bytes_per_second / 1000.0);
        let pause_ms = (due_ms - elapsed_ms as f64).round().max(0.0) as i64;
        // The pause belongs to the period that caused it.
        state.period_start_ms = monotonic_ms + pause_ms;
        state.bytes = 0;
        pause_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_reader_is_held_to_the_rate() {
        let throttler = Throttler::new(1_000_000.0, 0);
        let (mut now, mut bytes) = (0, 0u64);
        while now < 60_000 {
            now += 5 + throttler.observe(50_000, now + 5);
            bytes += 50_000;
        }
        let rate = bytes as f64 / (now as f64 / 1000.0);
        assert!((rate - 1_000_000.0).abs() < 50_000.0, "{rate}");
    }

    #[test]
    fn no_limit_means_no_pause() {
        let throttler = Throttler::new(f64::MAX, 0);
        assert!((1..100).all(|step| throttler.observe(1 << 30, step * 301) == 0));
    }
}
