//! A follower as its leader sees it (class `Replica`).

use super::FollowerFetch;
use crate::common::{BrokerId, Offset, Timestamp, ids::NO_OFFSET};

/// How far a follower is, by its own fetches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replica {
    id: BrokerId,
    log_start_offset: Offset,
    log_end_offset: Offset,
    /// Our log end when it fetched last: reaching that with the next fetch means it was caught up then.
    last_fetch_leader_log_end_offset: Offset,
    last_fetch_time: Timestamp,
    last_caught_up_time: Timestamp,
    broker_epoch: i64,
}

impl Replica {
    pub(super) fn new(id: BrokerId) -> Self {
        Self {
            id,
            log_start_offset: NO_OFFSET,
            log_end_offset: NO_OFFSET,
            last_fetch_leader_log_end_offset: 0,
            last_fetch_time: 0,
            last_caught_up_time: 0,
            broker_epoch: -1,
        }
    }

    /// It asked for records from `fetch.fetch_offset` while our log ended at `leader_log_end_offset`.
    pub(super) fn fetched(&mut self, now: Timestamp, fetch: FollowerFetch, leader_log_end_offset: Offset) {
        if fetch.fetch_offset >= leader_log_end_offset {
            self.last_caught_up_time = self.last_caught_up_time.max(now);
        } else if fetch.fetch_offset >= self.last_fetch_leader_log_end_offset {
            self.last_caught_up_time = self.last_caught_up_time.max(self.last_fetch_time);
        }
        self.log_start_offset = fetch.log_start_offset;
        self.log_end_offset = fetch.fetch_offset;
        self.last_fetch_leader_log_end_offset = self.last_fetch_leader_log_end_offset.max(leader_log_end_offset);
        self.last_fetch_time = now;
        self.broker_epoch = fetch.broker_epoch;
    }

    /// A new epoch begins: what is known of it is forgotten; a member of the ISR counts as caught up just now.
    pub(super) fn reset(&mut self, now: Timestamp, leader_log_end_offset: Offset, new_leader: bool, in_sync: bool) {
        let caught_up = if in_sync { now } else { 0 };
        if new_leader {
            self.log_start_offset = NO_OFFSET;
            self.log_end_offset = NO_OFFSET;
            self.last_fetch_leader_log_end_offset = NO_OFFSET;
            self.last_fetch_time = 0;
            self.last_caught_up_time = caught_up;
            self.broker_epoch = -1;
        } else {
            self.last_fetch_leader_log_end_offset = leader_log_end_offset;
            self.last_fetch_time = caught_up;
            self.last_caught_up_time = caught_up;
        }
    }

    /// Whether a fetch comes from an earlier life of that broker than one we have seen (KIP-903).
    #[must_use]
    pub fn is_outdated(&self, broker_epoch: i64) -> bool {
        broker_epoch != -1 && broker_epoch < self.broker_epoch
    }

    /// Of its last fetch; −1 if it does not say.
    #[must_use]
    pub fn broker_epoch(&self) -> i64 {
        self.broker_epoch
    }

    /// At the end of our log, or there within the allowed lag.
    #[must_use]
    pub fn is_caught_up(&self, leader_log_end_offset: Offset, now: Timestamp, lag_time_max_ms: i64) -> bool {
        self.log_end_offset == leader_log_end_offset || now - self.last_caught_up_time <= lag_time_max_ms
    }

    #[must_use]
    pub fn time_since_caught_up(&self, now: Timestamp) -> i64 {
        now - self.last_caught_up_time
    }

    #[must_use]
    pub fn id(&self) -> BrokerId {
        self.id
    }

    #[must_use]
    pub fn log_end_offset(&self) -> Offset {
        self.log_end_offset
    }

    #[must_use]
    pub fn log_start_offset(&self) -> Offset {
        self.log_start_offset
    }
}
