//! Sessions of the embedded store: who holds ephemerals and watches, and who hears of them.

use indexmap::IndexMap;
use tokio::sync::mpsc;

use super::watches::Watches;
use crate::coordination::{Event, EventKind, SessionEvent};

/// One client of the tree.
#[derive(Default)]
pub struct Session {
    pub watches: Watches,
    receivers: Vec<mpsc::UnboundedSender<Event>>,
    session_receivers: Vec<mpsc::UnboundedSender<SessionEvent>>,
}

/// An event on its way to the receivers that were there when it happened.
pub struct Delivery {
    event: Event,
    receivers: Vec<mpsc::UnboundedSender<Event>>,
}

impl Delivery {
    /// A receiver that is gone does not mind.
    pub fn send(self) {
        for receiver in self.receivers {
            let _ = receiver.send(self.event.clone());
        }
    }
}

/// All live sessions by id.
#[derive(Default)]
pub struct Sessions {
    live: IndexMap<i64, Session>,
    last_id: i64,
}

impl Sessions {
    pub fn open(&mut self) -> i64 {
        self.last_id += 1;
        self.live.insert(self.last_id, Session::default());
        self.last_id
    }

    /// Ends a session: watches are gone, receivers hear of it.
    pub fn expire(&mut self, id: i64) {
        if let Some(session) = self.live.swap_remove(&id) {
            for receiver in session.session_receivers {
                let _ = receiver.send(SessionEvent::Expired);
            }
        }
    }

    pub fn get_mut(&mut self, id: i64) -> Option<&mut Session> {
        self.live.get_mut(&id)
    }

    pub fn subscribe(&mut self, id: i64) -> mpsc::UnboundedReceiver<Event> {
        let (sender, receiver) = mpsc::unbounded_channel();
        if let Some(session) = self.live.get_mut(&id) {
            session.receivers.retain(|old| !old.is_closed());
            session.receivers.push(sender);
        }
        receiver
    }

    pub fn subscribe_session(&mut self, id: i64) -> mpsc::UnboundedReceiver<SessionEvent> {
        let (sender, receiver) = mpsc::unbounded_channel();
        match self.live.get_mut(&id) {
            Some(session) => {
                session.session_receivers.retain(|old| !old.is_closed());
                session.session_receivers.push(sender);
            }
            None => {
                let _ = sender.send(SessionEvent::Expired);
            }
        }
        receiver
    }

    /// Fires the watches that wait for these events, session by session, in the order of the events.
    pub fn trigger(&mut self, events: &[(EventKind, String)]) -> Vec<Delivery> {
        let mut deliveries = Vec::new();
        for session in self.live.values_mut() {
            for (kind, path) in events {
                if let Some(event) = session.watches.trigger(*kind, path) {
                    deliveries.push(Delivery { event, receivers: session.receivers.clone() });
                }
            }
        }
        deliveries
    }
}
