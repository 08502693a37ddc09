//! Timers as data: what is due when. The driver asks [`TimerTable::next_deadline`], sleeps, and says what time it is.

use std::{collections::BTreeSet, sync::Arc};

use indexmap::IndexMap;

/// What a group waits for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Timer {
    /// A member has not been heard of for its session timeout (or, new and still joining, for five minutes).
    Session { group: Arc<str>, member: Arc<str> },
    /// A member that was given an id (KIP-394) has not come back with it.
    PendingMember { group: Arc<str>, member: Arc<str> },
    /// The rebalance timeout, or a step of the initial rebalance delay, is over: go on with who joined.
    Join { group: Arc<str> },
    /// Members that joined this generation have not sent SyncGroup.
    Sync { group: Arc<str> },
}

/// When it is due, and where it stands in the queue. The two differ after a postponement: a heartbeat only moves
/// `deadline`, and the queue is put right when the old position comes up. So a heartbeat costs one lookup.
#[derive(Debug, Clone, Copy)]
struct Slot {
    deadline: i64,
    queued_at: i64,
}

/// At most one deadline per [`Timer`]. Times are monotonic milliseconds.
#[derive(Debug, Default)]
pub struct TimerTable {
    slots: IndexMap<Timer, Slot, ahash::RandomState>,
    queue: BTreeSet<(i64, Timer)>,
}

impl TimerTable {
    /// Sets or moves a timer.
    pub fn schedule(&mut self, timer: Timer, deadline: i64) {
        if let Some(slot) = self.slots.get_mut(&timer) {
            if slot.queued_at <= deadline {
                slot.deadline = deadline;
                return;
            }
            let queued_at = slot.queued_at;
            *slot = Slot { deadline, queued_at: deadline };
            self.queue.remove(&(queued_at, timer.clone()));
        } else {
            self.slots.insert(timer.clone(), Slot { deadline, queued_at: deadline });
        }
        self.queue.insert((deadline, timer));
    }

    pub fn cancel(&mut self, timer: &Timer) {
        if let Some((timer, slot)) = self.slots.swap_remove_entry(timer) {
            self.queue.remove(&(slot.queued_at, timer));
        }
    }

    /// When to look again. May be too early (postponed timers), never too late.
    #[must_use]
    pub fn next_deadline(&self) -> Option<i64> {
        self.queue.first().map(|(at, _)| *at)
    }

    /// Takes one timer that is due at `now`, earliest first.
    pub fn pop_due(&mut self, now: i64) -> Option<Timer> {
        while self.queue.first().is_some_and(|(at, _)| *at <= now) {
            let (_, timer) = self.queue.pop_first()?;
            let Some(slot) = self.slots.get_mut(&timer) else { continue };
            if slot.deadline <= now {
                self.slots.swap_remove(&timer);
                return Some(timer);
            }
            slot.queued_at = slot.deadline;
            self.queue.insert((slot.deadline, timer));
        }
        None
    }

    #[must_use]
    pub fn deadline_of(&self, timer: &Timer) -> Option<i64> {
        self.slots.get(timer).map(|slot| slot.deadline)
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(group: &str) -> Timer {
        Timer::Join { group: group.into() }
    }

    /// A heartbeat postpones without touching the queue; the timer then fires at the new time only.
    #[test]
    fn postponed_timers_fire_once_and_late() {
        let mut table = TimerTable::default();
        table.schedule(join("a"), 10);
        table.schedule(join("a"), 30);
        assert_eq!(table.next_deadline(), Some(10));
        assert_eq!(table.pop_due(10), None);
        assert_eq!(table.next_deadline(), Some(30));
        assert_eq!(table.pop_due(30), Some(join("a")));
        assert!(table.is_empty());
        assert_eq!(table.next_deadline(), None);
    }

    #[test]
    fn earlier_deadlines_and_cancels_take_effect() {
        let mut table = TimerTable::default();
        table.schedule(join("a"), 30);
        table.schedule(join("a"), 10);
        table.schedule(join("b"), 20);
        table.cancel(&join("b"));
        assert_eq!(table.pop_due(100), Some(join("a")));
        assert_eq!(table.pop_due(100), None);
    }
}
