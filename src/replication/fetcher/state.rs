//! What a fetcher knows of each partition it copies, and what an answer of the leader means for it (classes
//! `AbstractFetcherThread`, `PartitionFetchState`). Pure: logs, sockets and the clock are the driver's.

use indexmap::{IndexMap, IndexSet};
use uuid::Uuid;

use super::truncation::EpochEndOffset;
use crate::common::{ErrorCode, LeaderEpoch, Offset, TopicPartition};

/// Where a partition begins when it is given to a fetcher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InitialFetchState {
    /// Nil for topics without one.
    pub topic_id: Uuid,
    pub leader_epoch: LeaderEpoch,
    /// The log's end; the high watermark of a log that knows no epochs.
    pub offset: Offset,
    /// Epoch of the log's last record.
    pub last_fetched_epoch: Option<LeaderEpoch>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The log knows no epochs, so nobody can say where it parts from the leader's: it is cut to the high watermark.
    Truncating,
    Fetching,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionFetchState {
    pub topic_id: Uuid,
    pub fetch_offset: Offset,
    /// Records behind the leader's high watermark; `None` before the first answer.
    pub lag: Option<i64>,
    pub leader_epoch: LeaderEpoch,
    pub last_fetched_epoch: Option<LeaderEpoch>,
    pub phase: Phase,
    /// Set aside until this time after an error.
    pub delayed_until_ms: Option<i64>,
}

impl PartitionFetchState {
    fn is_delayed(&self, now_ms: i64) -> bool {
        self.delayed_until_ms.is_some_and(|until| until > now_ms)
    }

    /// Taken on and not asked for yet.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.lag.is_none() && self.delayed_until_ms.is_none()
    }

    #[must_use]
    pub fn is_ready(&self, now_ms: i64) -> bool {
        self.phase == Phase::Fetching && !self.is_delayed(now_ms)
    }
}

/// What was asked of the leader: an answer counts only while that is still the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    pub fetch_offset: Offset,
    pub leader_epoch: LeaderEpoch,
}

/// What the driver does with one partition of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaction {
    /// The answer is to a question nobody asks any more.
    Ignore,
    /// Append what came and take over the leader's marks.
    Append,
    /// The logs part: cut ours and fetch again (KIP-595).
    Truncate(EpochEndOffset),
    /// Ask where the leader's log begins and ends.
    FindOffset,
    /// Set aside for the backoff, then try again.
    Delay,
    /// The leader knows a newer epoch than the controller told us: nothing to do until it does.
    AwaitLeaderAndIsr,
}

/// All partitions of one fetcher.
#[derive(Debug, Default)]
pub struct FetchStates {
    partitions: IndexMap<TopicPartition, PartitionFetchState, ahash::RandomState>,
    /// Given up until the controller speaks again.
    failed: IndexSet<TopicPartition, ahash::RandomState>,
}

impl FetchStates {
    /// Takes a partition on. One that is here in the same epoch goes on as it was.
    pub fn add(&mut self, tp: &TopicPartition, initial: &InitialFetchState) {
        self.failed.swap_remove(tp);
        if self.partitions.get(tp).is_some_and(|state| state.leader_epoch == initial.leader_epoch) {
            return;
        }
        let phase = if initial.last_fetched_epoch.is_some() { Phase::Fetching } else { Phase::Truncating };
        let state = PartitionFetchState {
            topic_id: initial.topic_id,
            fetch_offset: initial.offset,
            lag: None,
            leader_epoch: initial.leader_epoch,
            last_fetched_epoch: initial.last_fetched_epoch,
            phase,
            delayed_until_ms: None,
        };
        self.partitions.insert(tp.clone(), state);
    }

    pub fn remove(&mut self, tp: &TopicPartition) -> bool {
        self.failed.swap_remove(tp);
        self.partitions.swap_remove(tp).is_some()
    }

    #[must_use]
    pub fn get(&self, tp: &TopicPartition) -> Option<&PartitionFetchState> {
        self.partitions.get(tp)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.partitions.is_empty()
    }

    #[must_use]
    pub fn failed_count(&self) -> usize {
        self.failed.len()
    }

    #[must_use]
    pub fn is_failed(&self, tp: &TopicPartition) -> bool {
        self.failed.contains(tp)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&TopicPartition, &PartitionFetchState)> + Clone {
        self.partitions.iter()
    }

    /// Largest lag of all, for `ReplicaFetcherManager.MaxLag`.
    #[must_use]
    pub fn max_lag(&self) -> i64 {
        self.partitions.values().filter_map(|state| state.lag).max().unwrap_or(0)
    }

    /// Logs to be cut to their high watermark before anything is fetched, with that offset.
    #[must_use]
    pub fn truncating(&self, now_ms: i64) -> Vec<(TopicPartition, Offset)> {
        let waits = |state: &PartitionFetchState| state.phase == Phase::Truncating && !state.is_delayed(now_ms);
        let waiting = self.partitions.iter().filter(|(_, state)| waits(state));
        waiting.map(|(tp, state)| (tp.clone(), state.fetch_offset)).collect()
    }

    /// When the first of the partitions that are set aside is due.
    #[must_use]
    pub fn next_due_ms(&self) -> Option<i64> {
        self.partitions.values().filter_map(|state| state.delayed_until_ms).min()
    }

    /// Whether an answer to `asked` still concerns the partition (`processFetchRequest`).
    #[must_use]
    pub fn is_current(&self, tp: &TopicPartition, asked: Asked, now_ms: i64) -> bool {
        self.partitions.get(tp).is_some_and(|state| {
            state.fetch_offset == asked.fetch_offset
                && state.leader_epoch == asked.leader_epoch
                && state.is_ready(now_ms)
        })
    }

    /// Reads one partition's answer. A partition that must wait for the controller is given up here.
    pub fn react(
        &mut self,
        tp: &TopicPartition,
        asked: Asked,
        error: ErrorCode,
        diverging: Option<EpochEndOffset>,
        now_ms: i64,
    ) -> Reaction {
        if !self.is_current(tp, asked, now_ms) {
            return Reaction::Ignore;
        }
        match (error, diverging) {
            (ErrorCode::None, Some(diverging)) => Reaction::Truncate(diverging),
            (ErrorCode::None, None) => Reaction::Append,
            (ErrorCode::OffsetOutOfRange, _) => Reaction::FindOffset,
            (ErrorCode::FencedLeaderEpoch, _) => self.fenced(tp, asked.leader_epoch),
            _ => Reaction::Delay,
        }
    }

    /// FENCED_LEADER_EPOCH in answer to `leader_epoch` (`onPartitionFenced`): with the epoch we still have, we are the
    /// ones who are behind.
    pub fn fenced(&mut self, tp: &TopicPartition, leader_epoch: LeaderEpoch) -> Reaction {
        if self.partitions.get(tp).is_none_or(|state| state.leader_epoch != leader_epoch) {
            return Reaction::Delay;
        }
        self.fail(tp);
        Reaction::AwaitLeaderAndIsr
    }

    /// Records up to `next_offset` are in the log; `last_epoch` is that of the last one, `None` if none came.
    pub fn fetched(&mut self, tp: &TopicPartition, next_offset: Offset, lag: i64, last_epoch: Option<LeaderEpoch>) {
        if let Some(state) = self.partitions.get_mut(tp) {
            state.fetch_offset = next_offset;
            state.lag = Some(lag.max(0));
            state.last_fetched_epoch = last_epoch.or(state.last_fetched_epoch);
            state.delayed_until_ms = None;
        }
    }

    /// The log was cut, or begun anew, at `offset`; the epoch is that of its last record now.
    pub fn moved(&mut self, tp: &TopicPartition, offset: Offset, last_epoch: Option<LeaderEpoch>, lag: Option<i64>) {
        if let Some(state) = self.partitions.get_mut(tp) {
            state.fetch_offset = offset;
            state.last_fetched_epoch = last_epoch;
            state.phase = Phase::Fetching;
            state.lag = lag.or(state.lag);
        }
    }

    pub fn delay(&mut self, tp: &TopicPartition, now_ms: i64, backoff_ms: i64) {
        if let Some(state) = self.partitions.get_mut(tp)
            && !state.is_delayed(now_ms)
        {
            state.delayed_until_ms = Some(now_ms + backoff_ms);
        }
    }

    /// The leader cannot be reached: everything waits.
    pub fn delay_all(&mut self, now_ms: i64, backoff_ms: i64) {
        for state in self.partitions.values_mut().filter(|state| !state.is_delayed(now_ms)) {
            state.delayed_until_ms = Some(now_ms + backoff_ms);
        }
    }

    pub fn fail(&mut self, tp: &TopicPartition) {
        if self.partitions.swap_remove(tp).is_some() {
            self.failed.insert(tp.clone());
        }
    }
}

#[cfg(test)]
mod tests;
