//! Timers with constant-time insert and remove (class `TimingWheel`): six wheels of 64 slots, one millisecond a tick.
//!
//! A timer sits on the wheel where its deadline first differs from the present; when the present reaches its slot it
//! moves to a finer wheel, and off the finest it expires.

use std::hash::Hash;

use indexmap::{IndexMap, IndexSet};

const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
const LEVELS: usize = 6;
/// Two years of milliseconds, one slot less than a whole turn so that the last wheel never meets itself; later deadlines
/// are looked at again then.
const MAX_WAIT_MS: u64 = (1 << (SLOT_BITS * LEVELS as u32)) - (1 << (SLOT_BITS * (LEVELS as u32 - 1)));

#[derive(Debug, Clone, Copy)]
struct Place {
    level: usize,
    slot: usize,
    deadline_ms: u64,
}

#[derive(Debug)]
struct Wheel<T> {
    /// Bit per slot that is not empty.
    occupied: u64,
    slots: Vec<IndexSet<T, ahash::RandomState>>,
}

/// A set of timers named by `T`.
#[derive(Debug)]
pub struct TimingWheel<T> {
    now_ms: u64,
    places: IndexMap<T, Place, ahash::RandomState>,
    wheels: Vec<Wheel<T>>,
}

impl<T: Hash + Eq + Copy> TimingWheel<T> {
    #[must_use]
    pub fn new(now_ms: u64) -> Self {
        let wheel = || Wheel { occupied: 0, slots: (0..SLOTS).map(|_| IndexSet::default()).collect() };
        Self { now_ms, places: IndexMap::default(), wheels: (0..LEVELS).map(|_| wheel()).collect() }
    }

    /// Sets the timer `name`, replacing one of that name. A deadline in the past expires with the next [`Self::advance`].
    pub fn insert(&mut self, name: T, deadline_ms: u64) {
        self.remove(name);
        // A slot that is already passed would never be looked at: the earliest place is the present tick.
        let when = deadline_ms.clamp(self.now_ms, self.now_ms.saturating_add(MAX_WAIT_MS));
        let level = level_of(self.now_ms, when);
        let slot = slot_of(when, level);
        self.wheels[level].occupied |= 1 << slot;
        self.wheels[level].slots[slot].insert(name);
        self.places.insert(name, Place { level, slot, deadline_ms });
    }

    /// False if there is no such timer (any more).
    pub fn remove(&mut self, name: T) -> bool {
        let Some(place) = self.places.swap_remove(&name) else { return false };
        let wheel = &mut self.wheels[place.level];
        wheel.slots[place.slot].swap_remove(&name);
        if wheel.slots[place.slot].is_empty() {
            wheel.occupied &= !(1 << place.slot);
        }
        true
    }

    /// Moves the present to `now_ms` and returns the timers that are due, earliest first.
    pub fn advance(&mut self, now_ms: u64) -> Vec<T> {
        let mut expired: Vec<(u64, T)> = Vec::new();
        while let Some((level, slot, at_ms)) = self.next_slot() {
            if at_ms > now_ms {
                break;
            }
            self.now_ms = self.now_ms.max(at_ms);
            let wheel = &mut self.wheels[level];
            wheel.occupied &= !(1 << slot);
            for name in std::mem::take(&mut wheel.slots[slot]) {
                let Some(place) = self.places.swap_remove(&name) else { continue };
                if place.deadline_ms <= self.now_ms {
                    expired.push((place.deadline_ms, name));
                } else {
                    self.insert(name, place.deadline_ms);
                }
            }
        }
        self.now_ms = self.now_ms.max(now_ms);
        expired.sort_by_key(|(deadline_ms, _)| *deadline_ms);
        expired.into_iter().map(|(_, name)| name).collect()
    }

    /// No timer is due before this. A timer on a coarse wheel makes it early, never late.
    #[must_use]
    pub fn next_expiration(&self) -> Option<u64> {
        self.next_slot().map(|(_, _, at_ms)| at_ms)
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The slot that comes up next, over all wheels.
    fn next_slot(&self) -> Option<(usize, usize, u64)> {
        (0..LEVELS).filter_map(|level| self.next_slot_on(level)).min_by_key(|(_, _, at_ms)| *at_ms)
    }

    fn next_slot_on(&self, level: usize) -> Option<(usize, usize, u64)> {
        let occupied = self.wheels[level].occupied;
        if occupied == 0 {
            return None;
        }
        let slot_ms = 1u64 << (SLOT_BITS * level as u32);
        let turn_ms = slot_ms << SLOT_BITS;
        let now_slot = slot_of(self.now_ms, level);
        let ahead = occupied.rotate_right(now_slot as u32).trailing_zeros() as usize;
        let slot = (now_slot + ahead) % SLOTS;
        let mut at_ms = (self.now_ms & !(turn_ms - 1)) + slot as u64 * slot_ms;
        if slot < now_slot {
            at_ms += turn_ms;
        }
        Some((level, slot, at_ms))
    }
}

fn level_of(now_ms: u64, when_ms: u64) -> usize {
    let differing = (now_ms ^ when_ms) | (SLOTS as u64 - 1);
    let top_bit = 63 - differing.leading_zeros();
    ((top_bit / SLOT_BITS) as usize).min(LEVELS - 1)
}

fn slot_of(when_ms: u64, level: usize) -> usize {
    (when_ms >> (SLOT_BITS * level as u32)) as usize & (SLOTS - 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_removed_timer_stays_away() {
        let mut wheel = TimingWheel::new(0);
        wheel.insert(1, 70);
        wheel.insert(2, 70);
        assert!(wheel.remove(1));
        assert!(!wheel.remove(1));
        assert_eq!(wheel.advance(69), Vec::<i32>::new());
        assert_eq!(wheel.advance(70), [2]);
    }

    proptest! {
        #[test]
        fn expires_each_timer_on_the_dot(
            start in 0u64..1 << 40,
            waits in proptest::collection::vec(0u64..1 << 24, 1..60),
            stride in 1u64..1 << 20,
        ) {
            let mut wheel = TimingWheel::new(start);
            for (name, wait) in waits.iter().enumerate() {
                wheel.insert(name, start + wait);
            }
            let mut now = start;
            let mut last = None;
            while !wheel.is_empty() {
                prop_assert!(wheel.next_expiration().is_some());
                for name in wheel.advance(now) {
                    let deadline = start + waits[name];
                    prop_assert!(deadline <= now);
                    prop_assert!(last.is_none_or(|last| deadline > last || now == start));
                }
                last = Some(now);
                now += stride;
            }
        }
    }
}
