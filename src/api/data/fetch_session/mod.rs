//! Incremental fetch sessions (KIP-227; classes `FetchSession`, `FetchManager`): the broker remembers what a consumer
//! fetches, and answers only what changed. Pure: time and randomness are arguments.

pub mod cache;
pub mod context;
pub mod session;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use uuid::Uuid;

pub use self::{
    cache::FetchSessions,
    context::FetchContext,
    session::{FetchSession, Outcome},
};
use crate::common::{LeaderEpoch, Offset};

/// "No session".
pub const INVALID_SESSION_ID: i32 = 0;
/// A fetch that lists everything and asks for a session.
pub const INITIAL_EPOCH: i32 = 0;
/// A fetch that lists everything and wants no session; closes the one it names.
pub const FINAL_EPOCH: i32 = -1;

/// The epoch the next fetch of a session must carry. Wraps to 1: 0 would ask for a new session.
#[must_use]
pub fn next_epoch(epoch: i32) -> i32 {
    match epoch {
        ..0 => FINAL_EPOCH,
        i32::MAX => 1,
        _ => epoch + 1,
    }
}

/// A partition within a session: by id from version 13 on, by name before (then the id is nil).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SessionKey {
    Id(Uuid, i32),
    Name(Arc<str>, i32),
}

/// What a consumer asks of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requested {
    /// `None`: the id is unknown here (yet).
    pub topic: Option<Arc<str>>,
    /// Nil for clients that use names.
    pub topic_id: Uuid,
    pub partition: i32,
    pub fetch_offset: Offset,
    pub log_start_offset: Offset,
    pub max_bytes: i32,
    pub current_leader_epoch: LeaderEpoch,
    pub last_fetched_epoch: LeaderEpoch,
}

impl Requested {
    #[must_use]
    pub fn key(&self) -> SessionKey {
        match &self.topic {
            Some(topic) if self.topic_id.is_nil() => SessionKey::Name(Arc::clone(topic), self.partition),
            _ => SessionKey::Id(self.topic_id, self.partition),
        }
    }
}

/// What a Fetch says of sessions.
#[derive(Debug, Clone)]
pub struct SessionRequest {
    pub session_id: i32,
    pub epoch: i32,
    /// Version 13 and later.
    pub uses_topic_ids: bool,
    /// Followers may push consumers out of the cache.
    pub from_follower: bool,
    pub partitions: Vec<Requested>,
    pub forgotten: Vec<SessionKey>,
}

impl SessionRequest {
    /// It lists everything it wants.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.epoch == INITIAL_EPOCH || self.epoch == FINAL_EPOCH
    }
}
