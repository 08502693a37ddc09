//! One-shot watches of one session (class `WatchManager`): which event fires which watch. Pure.
//!
//! `get` and `exists` arm a data watch, `children` a child watch. A creation fires the data watch (armed by `exists` on
//! a missing node) and the parent's child watch; a deletion fires both watches of the node as one event, and the
//! parent's child watch; a change of data fires the data watch.

use indexmap::IndexSet;

use crate::coordination::{Event, EventKind};

type Paths = IndexSet<Box<str>, ahash::RandomState>;

#[derive(Debug, Default)]
pub struct Watches {
    data: Paths,
    children: Paths,
}

impl Watches {
    pub fn arm_data(&mut self, path: &str) {
        if !self.data.contains(path) {
            self.data.insert(path.into());
        }
    }

    pub fn arm_children(&mut self, path: &str) {
        if !self.children.contains(path) {
            self.children.insert(path.into());
        }
    }

    /// The event to deliver, if a watch waited for it; the watch is gone then.
    pub fn trigger(&mut self, kind: EventKind, path: &str) -> Option<Event> {
        let fired = match kind {
            EventKind::Created | EventKind::DataChanged => self.data.swap_remove(path),
            EventKind::ChildrenChanged => self.children.swap_remove(path),
            EventKind::Deleted => {
                let data = self.data.swap_remove(path);
                self.children.swap_remove(path) || data
            }
        };
        fired.then(|| Event { kind, path: path.to_owned() })
    }

    pub fn clear(&mut self) {
        self.data.clear();
        self.children.clear();
    }
}
