//! Which one-shot watches wait, and what is told of them. Pure.
//!
//! The library hands out a watcher for every read that asks for one; the trait promises one event for a path however
//! often it was read. So a path has one watcher of each kind, numbered: a watcher that is not the one on record has
//! nothing to say.

use ahash::RandomState;
use indexmap::IndexMap;

use crate::coordination::{Event, EventKind};

/// `get` and `exists` watch the data, `children` the children.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Watched {
    Data,
    Children,
}

/// Names a watcher that was put on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    watched: Watched,
    path: Box<str>,
    number: u64,
}

#[derive(Debug, Clone, Copy)]
struct Armed {
    number: u64,
    /// `exists` found nothing: it waits for a creation.
    missing: bool,
}

#[derive(Debug, Default)]
pub struct Watches {
    armed: IndexMap<(Watched, Box<str>), Armed, RandomState>,
    last_number: u64,
}

impl Watches {
    /// `None` if a watcher of this kind waits at the path already: the new one is not needed.
    pub fn arm(&mut self, watched: Watched, path: &str, missing: bool) -> Option<Ticket> {
        let key = (watched, Box::from(path));
        if let Some(armed) = self.armed.get_mut(&key) {
            armed.missing = missing;
            return None;
        }
        self.last_number += 1;
        let number = self.last_number;
        self.armed.insert(key, Armed { number, missing });
        Some(Ticket { watched, path: path.into(), number })
    }

    /// What to tell when a watcher has fired; `None` if it was told before. A deletion is told once and ends both
    /// watches of the path.
    pub fn fired(&mut self, ticket: Ticket, kind: EventKind) -> Option<Event> {
        let Ticket { watched, path, number } = ticket;
        let key = (watched, path);
        if self.armed.get(&key).is_none_or(|armed| armed.number != number) {
            return None;
        }
        self.armed.swap_remove(&key);
        let path = key.1;
        let event = Event { kind, path: path.to_string() };
        if kind == EventKind::Deleted {
            let sibling = match watched {
                Watched::Data => Watched::Children,
                Watched::Children => Watched::Data,
            };
            self.armed.swap_remove(&(sibling, path));
        }
        Some(event)
    }

    /// All watchers are gone and nobody knows what has happened: every one is told as if it had fired.
    pub fn fire_all(&mut self) -> Vec<Event> {
        let told = |((watched, path), armed): ((Watched, Box<str>), Armed)| Event {
            kind: match watched {
                Watched::Children => EventKind::ChildrenChanged,
                Watched::Data if armed.missing => EventKind::Created,
                Watched::Data => EventKind::DataChanged,
            },
            path: path.into(),
        };
        self.armed.drain(..).map(told).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: EventKind, path: &str) -> Event {
        Event { kind, path: path.into() }
    }

    #[test]
    fn a_path_read_twice_is_told_once() {
        let mut watches = Watches::default();
        let first = watches.arm(Watched::Data, "/a", false).unwrap();
        assert_eq!(watches.arm(Watched::Data, "/a", false), None);
        let told = watches.fired(first.clone(), EventKind::DataChanged);
        assert_eq!(told, Some(event(EventKind::DataChanged, "/a")));

        // Armed anew: only the new watcher counts.
        let second = watches.arm(Watched::Data, "/a", false).unwrap();
        assert_eq!(watches.fired(first, EventKind::DataChanged), None);
        assert!(watches.fired(second, EventKind::DataChanged).is_some());
    }

    #[test]
    fn a_deletion_ends_both_watches() {
        let mut watches = Watches::default();
        let data = watches.arm(Watched::Data, "/a", false).unwrap();
        let children = watches.arm(Watched::Children, "/a", false).unwrap();
        assert_eq!(watches.fired(children, EventKind::Deleted), Some(event(EventKind::Deleted, "/a")));
        assert_eq!(watches.fired(data, EventKind::Deleted), None);
        assert_eq!(watches.fire_all(), []);
    }

    #[test]
    fn a_lost_session_tells_of_every_watch() {
        let mut watches = Watches::default();
        watches.arm(Watched::Children, "/ids", false);
        watches.arm(Watched::Data, "/controller", true);
        watches.arm(Watched::Data, "/topic", false);
        assert_eq!(
            watches.fire_all(),
            [
                event(EventKind::ChildrenChanged, "/ids"),
                event(EventKind::Created, "/controller"),
                event(EventKind::DataChanged, "/topic"),
            ]
        );
        assert_eq!(watches.fire_all(), []);
        assert!(watches.arm(Watched::Data, "/topic", false).is_some());
    }
}
