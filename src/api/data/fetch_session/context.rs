//! How one fetch is answered (classes `FullFetchContext`, `IncrementalFetchContext` and the others).

use std::sync::Arc;

use parking_lot::Mutex;
use uuid::Uuid;

use super::{FetchSession, FetchSessions, INVALID_SESSION_ID, Outcome, Requested};
use crate::common::{ErrorCode, Timestamp};

/// What a fetch is about, from its arrival to its answer.
pub enum FetchContext {
    /// The session it names is not there, or elsewhere in its sequence: nothing is fetched.
    Error(ErrorCode),
    /// Everything is listed and everything is answered.
    Sessionless(Vec<Requested>),
    /// As before, and a session begins if there is room.
    Full { partitions: Vec<Requested>, uses_topic_ids: bool, from_follower: bool },
    /// The session says what to fetch. `epoch` is what it must still be when the answer is made.
    Incremental { session: Arc<Mutex<FetchSession>>, id: i32, epoch: i32 },
}

/// What the answer says of the request as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    pub error: ErrorCode,
    pub session_id: i32,
}

impl FetchContext {
    /// Shows every partition that is to be fetched, in order. Positions count from 0.
    pub fn for_each(&self, resolve: impl Fn(Uuid) -> Option<Arc<str>>, mut show: impl FnMut(&Requested)) {
        match self {
            Self::Error(_) => {}
            Self::Sessionless(partitions) | Self::Full { partitions, .. } => partitions.iter().for_each(show),
            Self::Incremental { session, .. } => session.lock().for_each(resolve, |requested| show(requested)),
        }
    }

    /// Decides the answer from `outcomes`, (position, outcome) in the order of the answer: `send` is called with the
    /// place in `outcomes` of each partition that belongs into it. `random_id` proposes ids for a new session.
    pub fn answer(
        self,
        now: Timestamp,
        sessions: &FetchSessions,
        random_id: impl FnMut() -> i32,
        outcomes: impl ExactSizeIterator<Item = (usize, Outcome)> + Clone,
        mut send: impl FnMut(usize),
    ) -> Verdict {
        match self {
            Self::Error(error) => Verdict { error, session_id: INVALID_SESSION_ID },
            Self::Sessionless(_) => {
                (0..outcomes.len()).for_each(send);
                Verdict { error: ErrorCode::None, session_id: INVALID_SESSION_ID }
            }
            Self::Full { partitions, uses_topic_ids, from_follower } => {
                (0..outcomes.len()).for_each(send);
                let mut partitions: Vec<Option<Requested>> = partitions.into_iter().map(Some).collect();
                let answered = outcomes.filter_map(|(position, outcome)| {
                    partitions.get_mut(position).and_then(Option::take).map(|requested| (requested, outcome))
                });
                let answered: Vec<(Requested, Outcome)> = answered.collect();
                let session_id = sessions.create(now, from_follower, uses_topic_ids, random_id, answered);
                Verdict { error: ErrorCode::None, session_id }
            }
            Self::Incremental { session, id, epoch } => {
                let mut session = session.lock();
                if session.epoch != epoch {
                    // The client gave up and came again while this fetch waited.
                    return Verdict { error: ErrorCode::InvalidFetchSessionEpoch, session_id: id };
                }
                for (place, (position, outcome)) in outcomes.enumerate() {
                    if session.must_send(position, outcome) {
                        send(place);
                    }
                }
                session.rotate();
                Verdict { error: ErrorCode::None, session_id: id }
            }
        }
    }
}
