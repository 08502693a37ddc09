//! One session: what is fetched, and what was answered last (classes `FetchSession`, `CachedPartition`).

use std::sync::Arc;

use indexmap::IndexMap;
use uuid::Uuid;

use super::{Requested, SessionKey};
use crate::common::{Offset, Timestamp, ids::NO_OFFSET};

/// What an answer says of a partition, as far as it decides whether it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    pub bytes: usize,
    pub high_watermark: Offset,
    pub log_start_offset: Offset,
    pub is_error: bool,
    /// A diverging epoch or a preferred read replica: always sent.
    pub is_notice: bool,
}

impl Outcome {
    /// The high watermark that the reader has taken over once it has the answer. With an error or a notice it has
    /// something else to do first (Kafka's `CachedPartition` does not tell them apart, and a follower whose log parts from
    /// the leader's where that ends keeps its old mark until the next record comes).
    fn heard_high_watermark(&self) -> Offset {
        if self.is_error || self.is_notice { NO_OFFSET } else { self.high_watermark }
    }
}

#[derive(Debug)]
struct Cached {
    requested: Requested,
    /// As of the last answer; −1 makes sure that the next one is sent.
    high_watermark: Offset,
    log_start_offset: Offset,
    /// Was sent records in the answer that is being made.
    fed: bool,
}

/// A session. Its partitions are kept in the order they are read in: who got records goes to the end, so that a limit
/// on the answer starves nobody.
#[derive(Debug)]
pub struct FetchSession {
    pub(super) id: i32,
    pub(super) privileged: bool,
    pub(super) uses_topic_ids: bool,
    pub(super) created: Timestamp,
    pub(super) epoch: i32,
    partitions: IndexMap<SessionKey, Cached, ahash::RandomState>,
}

impl FetchSession {
    pub(super) fn new(
        id: i32,
        privileged: bool,
        uses_topic_ids: bool,
        created: Timestamp,
        epoch: i32,
        partitions: impl Iterator<Item = (Requested, Outcome)>,
    ) -> Self {
        let cached = partitions.map(|(requested, outcome)| {
            let high_watermark = outcome.heard_high_watermark();
            let log_start_offset = outcome.log_start_offset;
            (requested.key(), Cached { requested, high_watermark, log_start_offset, fed: false })
        });
        Self { id, privileged, uses_topic_ids, created, epoch, partitions: cached.collect() }
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.partitions.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.partitions.is_empty()
    }

    /// Takes what a fetch adds, changes and forgets.
    pub(super) fn update(&mut self, requested: Vec<Requested>, forgotten: &[SessionKey]) {
        for requested in requested {
            let key = requested.key();
            match self.partitions.get_mut(&key) {
                Some(cached) => {
                    // What was answered to another epoch may have come too late to count.
                    if cached.requested.current_leader_epoch != requested.current_leader_epoch {
                        cached.high_watermark = NO_OFFSET;
                    }
                    // A name once resolved stays.
                    let topic = cached.requested.topic.take().or(requested.topic);
                    cached.requested = Requested { topic, ..requested };
                }
                None => {
                    let unsent =
                        Cached { requested, high_watermark: NO_OFFSET, log_start_offset: NO_OFFSET, fed: false };
                    self.partitions.insert(key, unsent);
                }
            }
        }
        for key in forgotten {
            self.partitions.shift_remove(key);
        }
    }

    /// Shows every partition in reading order. Ids that had no name are looked up again.
    pub(super) fn for_each(&mut self, resolve: impl Fn(Uuid) -> Option<Arc<str>>, mut show: impl FnMut(&Requested)) {
        for cached in self.partitions.values_mut() {
            if cached.requested.topic.is_none() {
                cached.requested.topic = resolve(cached.requested.topic_id);
            }
            show(&cached.requested);
        }
    }

    /// Whether the partition at `position` of the reading order belongs into the answer; remembers what is sent.
    pub(super) fn must_send(&mut self, position: usize, outcome: Outcome) -> bool {
        let Some((_, cached)) = self.partitions.get_index_mut(position) else { return true };
        cached.fed = outcome.bytes > 0;
        let changed =
            cached.high_watermark != outcome.high_watermark || cached.log_start_offset != outcome.log_start_offset;
        cached.high_watermark = outcome.heard_high_watermark();
        cached.log_start_offset = outcome.log_start_offset;
        changed || cached.fed || outcome.is_error || outcome.is_notice
    }

    /// Moves those that got records behind the others.
    pub(super) fn rotate(&mut self) {
        let mut fed = self.partitions.values().enumerate().filter(|(_, cached)| cached.fed).map(|(at, _)| at);
        match (fed.next(), fed.next()) {
            (None, _) => return,
            (Some(only), None) => self.partitions.move_index(only, self.partitions.len() - 1),
            _ => self.partitions.sort_by(|_, one, _, other| one.fed.cmp(&other.fed)),
        }
        self.partitions.values_mut().for_each(|cached| cached.fed = false);
    }
}
