//! Everything that crossed a boundary in one run, with its simulated time: what a replay must repeat to the byte.

use std::{fmt::Display, hash::Hasher, sync::Arc};

use parking_lot::Mutex;
use tokio::time::Instant;

/// Lines in the order in which they happened.
#[derive(Clone)]
pub struct Trace {
    began: Instant,
    lines: Arc<Mutex<Vec<String>>>,
    /// Only a replay keeps what was told.
    is_kept: bool,
}

impl Trace {
    pub fn new(is_kept: bool) -> Self {
        Self { began: Instant::now(), lines: Arc::default(), is_kept }
    }

    pub fn tell(&self, what: impl FnOnce() -> String) {
        if self.is_kept {
            let at = self.began.elapsed().as_micros();
            self.lines.lock().push(format!("{at:>12} {}", what()));
        }
    }

    pub fn lines(&self) -> Vec<String> {
        std::mem::take(&mut self.lines.lock())
    }
}

/// A digest of bytes, the same in every process.
pub fn digest(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
}

/// Of a whole trace: what two runs of a seed, also on two machines, must agree on.
pub fn digest_of(lines: &[impl Display]) -> u64 {
    // With fixed keys.
    let mut hasher = std::hash::DefaultHasher::new();
    lines.iter().for_each(|line| hasher.write(line.to_string().as_bytes()));
    hasher.finish()
}

/// Where two traces part, with what came before; `None` if they are one.
pub fn first_difference(one: &[String], other: &[String]) -> Option<String> {
    let at = one.iter().zip(other).position(|(one, other)| one != other);
    let at = at.or_else(|| (one.len() != other.len()).then(|| one.len().min(other.len())))?;
    let from = at.saturating_sub(12);
    let context = one[from..at].iter().map(|line| format!("  {line}\n")).collect::<String>();
    let tail = |trace: &[String], mark: &str| {
        trace[at..].iter().take(6).map(|line| format!("{mark} {line}\n")).collect::<String>()
    };
    Some(format!("line {at} of {} and {}:\n{context}{}{}", one.len(), other.len(), tail(one, "-"), tail(other, "+")))
}
