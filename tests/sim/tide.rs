//! How much goes on: much around faults, where every record in flight counts; little between them, where time is to pass.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

/// Shared by the world and its clients. It begins high.
#[derive(Clone, Default)]
pub struct Tide(Arc<AtomicBool>);

impl Tide {
    pub fn rises(&self) {
        self.0.store(false, Relaxed);
    }

    pub fn falls(&self) {
        self.0.store(true, Relaxed);
    }

    /// `ms`, or `factor` times as long at low tide.
    pub fn pause(&self, ms: u64, factor: u64) -> Duration {
        Duration::from_millis(if self.0.load(Relaxed) { ms * factor } else { ms })
    }
}
