//! From "somebody must rejoin" to "everybody has been told the new generation" (classes `DelayedJoin`,
//! `InitialDelayedJoin`, `DelayedSync`).

use std::{fmt::Display, sync::Arc};

use super::{
    Map,
    command::{After, JoinReply, SyncReply, Write},
    group::{Env, Group, InitialDelay},
    records,
    state::GroupState,
    timer::Timer,
};
use crate::common::ErrorCode;

impl Group {
    /// `reason` is put into words only if there is a rebalance: all but the first of those who rejoin come too late for one.
    pub(super) fn maybe_prepare_rebalance(&mut self, env: &mut Env<'_>, reason: impl Display) {
        if self.can_rebalance() {
            self.prepare_rebalance(env, reason);
        }
    }

    pub(super) fn prepare_rebalance(&mut self, env: &mut Env<'_>, reason: impl Display) {
        if self.is(GroupState::CompletingRebalance) {
            self.fail_assignment(env, ErrorCode::RebalanceInProgress);
        }
        self.clear_pending_sync(env);
        let was_empty = self.is(GroupState::Empty);
        self.transition(GroupState::PreparingRebalance, env.now.wall_ms);
        tracing::info!(group = %self.id, generation = self.generation, %reason, "preparing to rebalance");
        if was_empty {
            // More members are probably starting up: waiting for them saves a rebalance each.
            let delay_ms = i64::from(env.config.initial_rebalance_delay_ms);
            let remaining_ms = (self.rebalance_timeout_ms() - delay_ms).max(0);
            self.initial_delay = Some(InitialDelay { delay_ms, remaining_ms });
            self.schedule_join(env, delay_ms);
        } else {
            self.initial_delay = None;
            self.complete_or_schedule_join(env);
        }
    }

    fn complete_or_schedule_join(&mut self, env: &mut Env<'_>) {
        if self.all_members_joined() {
            self.complete_join(env);
        } else {
            self.schedule_join(env, self.rebalance_timeout_ms());
        }
    }

    fn schedule_join(&self, env: &mut Env<'_>, in_ms: i64) {
        let timer = Timer::Join { group: Arc::clone(&self.id) };
        env.timers.schedule(timer, env.now.monotonic_ms.saturating_add(in_ms));
    }

    /// Goes on as soon as all have rejoined; the initial delay is always waited for.
    pub(super) fn try_complete_join(&mut self, env: &mut Env<'_>) {
        if self.is(GroupState::PreparingRebalance) && self.initial_delay.is_none() && self.all_members_joined() {
            self.complete_join(env);
        }
    }

    /// The rebalance timeout or a step of the initial delay is over.
    pub(super) fn join_timer_fired(&mut self, env: &mut Env<'_>) {
        if !self.is(GroupState::PreparingRebalance) {
            return;
        }
        if let Some(InitialDelay { delay_ms, remaining_ms }) = self.initial_delay
            && self.new_member_added
            && remaining_ms != 0
        {
            self.new_member_added = false;
            let next_ms = i64::from(env.config.initial_rebalance_delay_ms).min(remaining_ms);
            self.initial_delay =
                Some(InitialDelay { delay_ms: next_ms, remaining_ms: (remaining_ms - delay_ms).max(0) });
            return self.schedule_join(env, next_ms);
        }
        self.initial_delay = None;
        self.complete_join(env);
    }

    fn complete_join(&mut self, env: &mut Env<'_>) {
        env.timers.cancel(&Timer::Join { group: Arc::clone(&self.id) });
        let late = self.remove_not_rejoined();
        if !late.is_empty() {
            tracing::info!(group = %self.id, members = ?late, "removed dynamic members that did not rejoin");
            for id in &late {
                self.cancel_session(env, id);
            }
        }
        if !self.elect_joined_leader() && !self.members.is_empty() {
            // Only silent static members are left: wait until their sessions end.
            tracing::warn!(group = %self.id, "rebalance cannot complete because no member rejoined");
            return self.schedule_join(env, self.rebalance_timeout_ms());
        }
        self.begin_generation(env.now.wall_ms);
        if self.is(GroupState::Empty) {
            tracing::info!(group = %self.id, generation = self.generation, "group is now empty");
            let record = records::group_record(&self.id, &self.to_value(&Map::default()));
            let after = After::EmptyGroup { group: Arc::clone(&self.id) };
            env.step.writes.push(Write { records: vec![record], transaction: None, after });
        } else {
            tracing::info!(group = %self.id, generation = self.generation, members = self.members.len(), "stabilized");
            self.announce_generation(env);
        }
    }

    /// Answers all joins and begins to wait for the syncs.
    fn announce_generation(&mut self, env: &mut Env<'_>) {
        for at in 0..self.members.len() {
            let Some((id, member)) = self.members.get_index_mut(at) else { continue };
            member.is_new = false;
            let waits = member.join_reply.is_some();
            let (id, timeout_ms) = (Arc::clone(id), i64::from(member.session_timeout_ms));
            if waits {
                let joined = self.joined_reply(&id);
                self.answer_join(env, &id, || joined);
            }
            self.schedule_session_in(env, &id, timeout_ms);
            self.pending_sync.insert(id);
        }
        let timer = Timer::Sync { group: Arc::clone(&self.id) };
        env.timers.schedule(timer, env.now.monotonic_ms.saturating_add(self.rebalance_timeout_ms()));
    }

    /// Forgets assignments and tells those who wait for one why they get none.
    pub(super) fn fail_assignment(&mut self, env: &mut Env<'_>, error: ErrorCode) {
        let ids: Vec<Arc<str>> = self.members.keys().cloned().collect();
        for id in ids {
            if let Some(member) = self.members.get_mut(&id) {
                member.assignment = bytes::Bytes::new();
            }
            if self.answer_sync(env, &id, || SyncReply::error(error)) {
                self.schedule_session(env, &id);
            }
        }
    }

    pub(super) fn clear_pending_sync(&mut self, env: &mut Env<'_>) {
        self.pending_sync.clear();
        env.timers.cancel(&Timer::Sync { group: Arc::clone(&self.id) });
    }

    pub(super) fn sync_received(&mut self, env: &mut Env<'_>, id: &str) {
        self.pending_sync.swap_remove(id);
        if self.pending_sync.is_empty() {
            env.timers.cancel(&Timer::Sync { group: Arc::clone(&self.id) });
        }
    }

    /// Members that took their generation and never came for the assignment are removed.
    pub(super) fn sync_timer_fired(&mut self, env: &mut Env<'_>) {
        if !matches!(self.state(), GroupState::CompletingRebalance | GroupState::Stable) {
            return;
        }
        let late = std::mem::take(&mut self.pending_sync);
        if late.is_empty() {
            return;
        }
        for id in &late {
            self.answer_join(env, id, || JoinReply::error(Arc::from(""), ErrorCode::UnknownMemberId));
            self.remove(id);
            self.cancel_session(env, id);
        }
        self.prepare_rebalance(env, format_args!("removing {} members that sent no SyncGroup", late.len()));
    }

    /// Takes a member out and lets the group go on without it.
    pub(super) fn remove_and_update(&mut self, env: &mut Env<'_>, id: &Arc<str>, reason: &str) {
        self.answer_join(env, id, || JoinReply::error(Arc::from(""), ErrorCode::UnknownMemberId));
        self.answer_sync(env, id, || SyncReply::error(ErrorCode::UnknownMemberId));
        self.remove(id);
        self.cancel_session(env, id);
        match self.state() {
            GroupState::Stable | GroupState::CompletingRebalance => self.maybe_prepare_rebalance(env, reason),
            GroupState::PreparingRebalance => self.try_complete_join(env),
            GroupState::Empty | GroupState::Dead => {}
        }
    }

    pub(super) fn remove_pending_and_update(&mut self, env: &mut Env<'_>, id: &Arc<str>) {
        env.timers.cancel(&Timer::PendingMember { group: Arc::clone(&self.id), member: Arc::clone(id) });
        self.remove(id);
        self.try_complete_join(env);
    }
}
