//! Where ids and dice come from: the system, or in a simulation one seed, so that a seed is one history.
//!
//! The simulation is one thread; what is seeded is that thread. No other thread of the process notices.

use std::{cell::RefCell, ops::Range};

use rand::{Rng, SeedableRng, rngs::SmallRng};
use uuid::Uuid;

thread_local! {
    static SEEDED: RefCell<Option<SmallRng>> = const { RefCell::new(None) };
}

/// From now on this thread's chance follows `seed`, and [`is_simulated`] is true on it.
pub fn simulate(seed: u64) {
    SEEDED.with_borrow_mut(|seeded| *seeded = Some(SmallRng::seed_from_u64(seed)));
}

/// Whether this thread is a simulated world, in which no other thread may do a part of the work: which of them is first
/// would be chance of another kind.
#[must_use]
pub fn is_simulated() -> bool {
    SEEDED.with_borrow(Option::is_some)
}

/// A number of `range`, which must not be empty.
#[must_use]
pub fn number(range: Range<i64>) -> i64 {
    SEEDED.with_borrow_mut(|seeded| match seeded {
        Some(seeded) => seeded.random_range(range),
        None => rand::random_range(range),
    })
}

/// A position below `count`; 0 if there is none.
#[must_use]
pub fn position(count: usize) -> usize {
    let count = i64::try_from(count.max(1)).unwrap_or(i64::MAX);
    usize::try_from(number(0..count)).unwrap_or(0)
}

/// A random UUID (version 4).
#[must_use]
pub fn uuid() -> Uuid {
    let bytes = SEEDED.with_borrow_mut(|seeded| seeded.as_mut().map(Rng::random::<[u8; 16]>));
    bytes.map_or_else(Uuid::new_v4, |bytes| uuid::Builder::from_random_bytes(bytes).into_uuid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_one_sequence_of_one_thread() {
        let tell = || {
            simulate(7);
            (uuid(), number(0..1000), position(1000), uuid())
        };
        let told = std::thread::spawn(tell).join().unwrap();
        assert_eq!(told, std::thread::spawn(tell).join().unwrap());
        assert_eq!(told.0.get_version_num(), 4);
        assert_ne!(told.0, told.3);
        assert!(!is_simulated(), "only the threads that asked for it");
        assert_ne!(uuid(), uuid());
    }
}
