//! The follower's half of an incremental fetch session (class `FetchSessionHandler`, KIP-227): only what changed since
//! the last fetch is sent. Pure.

use std::sync::Arc;

use indexmap::IndexMap;
use uuid::Uuid;

use crate::common::{ErrorCode, LeaderEpoch, Offset, TopicPartition};

const INVALID_SESSION_ID: i32 = 0;
const INITIAL_EPOCH: i32 = 0;

/// What a fetch says of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    pub topic_id: Uuid,
    pub fetch_offset: Offset,
    pub log_start_offset: Offset,
    pub leader_epoch: LeaderEpoch,
    /// −1: unknown.
    pub last_fetched_epoch: LeaderEpoch,
}

/// One fetch request, without what all of them share.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct FetchPlan {
    pub session_id: i32,
    pub session_epoch: i32,
    pub uses_topic_ids: bool,
    pub send: Vec<(TopicPartition, Wanted)>,
    pub forget: Vec<(TopicPartition, Uuid)>,
}

/// What the leader remembers of us.
#[derive(Debug, Default)]
pub struct FetchSession {
    session_id: i32,
    epoch: i32,
    uses_topic_ids: bool,
    partitions: IndexMap<TopicPartition, Remembered, ahash::RandomState>,
    /// Names behind the ids that answers carry, with the number of partitions.
    names: IndexMap<Uuid, (Arc<str>, usize), ahash::RandomState>,
    plans: u64,
}

#[derive(Debug)]
struct Remembered {
    wanted: Wanted,
    /// The last plan that wanted it.
    plan: u64,
}

impl FetchSession {
    /// The next request, after which the leader would know of exactly `wanted`. `None`: nothing to ask for. What has
    /// not changed costs a look, no copy.
    pub fn plan<'a>(
        &mut self,
        wanted: impl Iterator<Item = (&'a TopicPartition, Wanted)> + Clone,
        ids_allowed: bool,
    ) -> Option<FetchPlan> {
        let is_empty = wanted.clone().next().is_none();
        let with_ids = ids_allowed && wanted.clone().all(|(_, it)| !it.topic_id.is_nil());
        if !is_empty && with_ids != self.uses_topic_ids {
            self.uses_topic_ids = with_ids;
            self.begin_anew();
        }
        let is_full = self.epoch == INITIAL_EPOCH;
        self.plans += 1;
        let mut plan = FetchPlan {
            session_id: self.session_id,
            session_epoch: self.epoch,
            uses_topic_ids: self.uses_topic_ids,
            ..FetchPlan::default()
        };
        for (tp, it) in wanted {
            match self.partitions.get_mut(tp) {
                Some(known) if known.wanted.topic_id == it.topic_id => {
                    if is_full || known.wanted != it {
                        plan.send.push((tp.clone(), it));
                    }
                    *known = Remembered { wanted: it, plan: self.plans };
                }
                other => {
                    // A topic under another id is another topic: the old one must be forgotten by its id.
                    if let Some(known) = other {
                        plan.forget.push((tp.clone(), known.wanted.topic_id));
                        self.forget_name(plan.forget.last());
                    }
                    plan.send.push((tp.clone(), it));
                    self.remember_name(tp, it.topic_id);
                    self.partitions.insert(tp.clone(), Remembered { wanted: it, plan: self.plans });
                }
            }
        }
        self.forget_unwanted(&mut plan);
        if is_full {
            plan.forget.clear();
        }
        (!is_empty || !plan.forget.is_empty()).then_some(plan)
    }

    fn forget_unwanted(&mut self, plan: &mut FetchPlan) {
        let plans = self.plans;
        if self.partitions.values().all(|known| known.plan == plans) {
            return;
        }
        let before = plan.forget.len();
        self.partitions.retain(|tp, known| {
            if known.plan != plans {
                plan.forget.push((tp.clone(), known.wanted.topic_id));
            }
            known.plan == plans
        });
        for at in before..plan.forget.len() {
            self.forget_name(plan.forget.get(at));
        }
    }

    fn remember_name(&mut self, tp: &TopicPartition, id: Uuid) {
        if !id.is_nil() {
            self.names.entry(id).or_insert_with(|| (Arc::clone(&tp.topic), 0)).1 += 1;
        }
    }

    fn forget_name(&mut self, forgotten: Option<&(TopicPartition, Uuid)>) {
        let Some((_, id)) = forgotten else { return };
        if let Some((_, partitions)) = self.names.get_mut(id) {
            *partitions -= 1;
            if *partitions == 0 {
                self.names.swap_remove(id);
            }
        }
    }

    /// What the last request asked for a partition; `None` for one that it did not know.
    #[must_use]
    pub fn asked(&self, tp: &TopicPartition) -> Option<&Wanted> {
        self.partitions.get(tp).map(|known| &known.wanted)
    }

    #[must_use]
    pub fn name_of(&self, topic_id: Uuid) -> Option<&Arc<str>> {
        self.names.get(&topic_id).map(|(name, _)| name)
    }

    /// Takes note of an answer's session. False: its partitions don't count, ask again.
    pub fn answered(&mut self, error: ErrorCode, session_id: i32) -> bool {
        match error {
            ErrorCode::None if session_id == INVALID_SESSION_ID => {
                self.session_id = INVALID_SESSION_ID;
                self.epoch = INITIAL_EPOCH;
                true
            }
            ErrorCode::None => {
                self.session_id = session_id;
                self.epoch = if self.epoch == i32::MAX { 1 } else { self.epoch + 1 };
                true
            }
            ErrorCode::FetchSessionIdNotFound => {
                self.session_id = INVALID_SESSION_ID;
                self.epoch = INITIAL_EPOCH;
                false
            }
            _ => {
                self.begin_anew();
                false
            }
        }
    }

    /// No answer, or one that makes no sense: the session is closed and another one asked for.
    pub fn begin_anew(&mut self) {
        self.epoch = INITIAL_EPOCH;
    }
}

#[cfg(test)]
mod tests;
