//! All groups of one partition of `__consumer_offsets`: the state machine's face to its driver.
//!
//! Pure: time comes in as [`Now`], requests as commands with a [`ReplyTo`], and what is to be done comes back as a
//! [`Step`]. A write's fate returns through [`GroupShard::written`]. The driver's loop is: command → append writes in
//! order → `written` → send replies; and `on_timer` when [`GroupShard::next_deadline`] is reached.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    Map,
    command::{
        After, CommitOffsets, Heartbeat, JoinGroup, JoinReply, LeaveGroup, LeaveReply, LeftMember, Now, Reply, ReplyTo,
        Step, SyncGroup, SyncReply, WriteOutcome,
    },
    commit::{self, group_write_error},
    config::GroupConfig,
    group::{Env, Group},
    timer::{Timer, TimerTable},
};
use crate::{
    common::{ErrorCode, LeaderEpoch, ProducerId},
    coordinator::machine::{BatchFacts, Machine},
};

#[derive(Debug)]
pub struct GroupShard {
    pub(super) config: Arc<GroupConfig>,
    pub(super) groups: Map<Arc<str>, Group>,
    pub(super) timers: TimerTable,
    /// Groups with offsets in a producer's open transaction, to find them when its marker comes.
    open_transactions: BTreeMap<ProducerId, BTreeSet<Arc<str>>>,
}

impl GroupShard {
    #[must_use]
    pub fn new(config: Arc<GroupConfig>) -> Self {
        Self { config, groups: Map::default(), timers: TimerTable::default(), open_transactions: BTreeMap::new() }
    }

    #[must_use]
    pub fn group(&self, id: &str) -> Option<&Group> {
        self.groups.get(id)
    }

    pub fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.values()
    }

    /// Runs a verb of a group, if there is such a group.
    fn with_group<T>(
        &mut self,
        now: Now,
        step: &mut Step,
        id: &str,
        verb: impl FnOnce(&mut Group, &mut Env<'_>) -> T,
    ) -> Option<T> {
        let group = self.groups.get_mut(id)?;
        let mut env = Env { now, config: &self.config, timers: &mut self.timers, step };
        Some(verb(group, &mut env))
    }

    fn ensure_group(&mut self, now: Now, id: &str) {
        if !self.groups.contains_key(id) {
            let id: Arc<str> = id.into();
            self.groups.insert(Arc::clone(&id), Group::new(id, now.wall_ms));
        }
    }

    /// The answer comes when the rebalance completes, so much later perhaps.
    pub fn join(&mut self, now: Now, cmd: JoinGroup<'_>, reply: ReplyTo) -> Step {
        let bounds = self.config.min_session_timeout_ms..=self.config.max_session_timeout_ms;
        if !bounds.contains(&cmd.session_timeout_ms) {
            let refused = JoinReply::error(cmd.member_id, ErrorCode::InvalidSessionTimeout);
            return Step::reply(reply, Reply::Join(refused));
        }
        let id = cmd.group_id;
        if cmd.member_id.is_empty() {
            self.ensure_group(now, id);
        }
        let member_id = Arc::clone(&cmd.member_id);
        let mut step = Step::default();
        if self.with_group(now, &mut step, id, |group, env| group.join(env, cmd, reply)).is_none() {
            let unknown = JoinReply::error(member_id, ErrorCode::UnknownMemberId);
            step.replies.push((reply, Reply::Join(unknown)));
        }
        step
    }

    /// The answer comes when the leader's assignment is in the log.
    pub fn sync(&mut self, now: Now, cmd: SyncGroup<'_>, reply: ReplyTo) -> Step {
        let id = cmd.group_id;
        let mut step = Step::default();
        if self.with_group(now, &mut step, id, |group, env| group.sync(env, cmd, reply)).is_none() {
            step.replies.push((reply, Reply::Sync(SyncReply::error(ErrorCode::UnknownMemberId))));
        }
        step
    }

    pub fn heartbeat(&mut self, now: Now, cmd: Heartbeat<'_>) -> ErrorCode {
        let mut step = Step::default();
        let answer = self.with_group(now, &mut step, cmd.group_id, |group, env| group.heartbeat(env, cmd));
        debug_assert!(step.replies.is_empty() && step.writes.is_empty());
        answer.unwrap_or(ErrorCode::UnknownMemberId)
    }

    pub fn leave(&mut self, now: Now, cmd: LeaveGroup, reply: ReplyTo) -> Step {
        let mut step = Step::default();
        if !self.groups.contains_key(&cmd.group_id) {
            let unknown = |leaving: super::command::LeavingMember| LeftMember {
                member_id: leaving.member_id,
                group_instance_id: leaving.group_instance_id,
                error: ErrorCode::UnknownMemberId,
            };
            let members = cmd.members.into_iter().map(unknown).collect();
            return Step::reply(reply, Reply::Leave(LeaveReply { error: ErrorCode::None, members }));
        }
        let id = Arc::clone(&cmd.group_id);
        self.with_group(now, &mut step, &id, |group, env| group.leave(env, cmd, reply));
        step
    }

    /// The answer comes when the offsets are in the log.
    pub fn commit(&mut self, now: Now, cmd: CommitOffsets, reply: ReplyTo) -> Step {
        let mut step = Step::default();
        let id = Arc::clone(&cmd.group_id);
        if !self.groups.contains_key(&id) {
            // A negative generation: this group uses us for storage only. Otherwise it is a member of the past.
            if cmd.generation >= 0 && cmd.transaction.is_none() {
                commit::refuse(&mut step, &cmd, reply, ErrorCode::IllegalGeneration);
                return step;
            }
            self.ensure_group(now, &id);
        }
        if let Some(producer) = cmd.transaction {
            self.note_open_transaction(producer.id, Arc::clone(&id));
        }
        self.with_group(now, &mut step, &id, |group, env| group.commit(env, cmd, reply));
        step
    }

    /// A write has ended. Must be called once for each [`super::command::Write`], in their order.
    pub fn written(&mut self, now: Now, after: After, outcome: WriteOutcome) -> Step {
        let mut step = Step::default();
        match after {
            After::Assignment { group, generation, assignment } => {
                let outcome = outcome.map_err(|error| told_to_members(&group, error));
                self.with_group(now, &mut step, &group, |group, env| {
                    group.assignment_written(env, generation, &assignment, outcome);
                });
            }
            After::StaticMember(done) => {
                let outcome = outcome.map_err(|error| told_to_members(&done.group, error));
                let group = Arc::clone(&done.group);
                self.with_group(now, &mut step, &group, |group, env| group.static_member_written(env, *done, outcome));
            }
            After::Offsets(done) => self.offsets_written(&mut step, *done, outcome),
            After::EmptyGroup { group } => {
                // Harmless: after a restart the old generation expires again.
                if let Err(error) = outcome {
                    tracing::warn!(%group, %error, "empty generation could not be written");
                }
            }
            After::Tombstones { group, reply } => {
                if let Err(error) = outcome {
                    tracing::error!(%group, %error, "tombstones could not be written");
                }
                step.replies.extend(reply.map(|(to, reply)| (to, after_tombstones(reply, outcome))));
            }
        }
        step
    }

    /// What a write's waiting request is told when the shard it belonged to is gone.
    #[must_use]
    pub fn abandoned(after: After) -> Step {
        let mut nobody = GroupShard::new(Arc::default());
        let now = Now { wall_ms: 0, monotonic_ms: 0 };
        nobody.written(now, after, Err(ErrorCode::NotLeaderOrFollower))
    }

    /// When `on_timer` has something to do at the latest. Monotonic milliseconds.
    #[must_use]
    pub fn next_deadline(&self) -> Option<i64> {
        self.timers.next_deadline()
    }

    /// Handles everything that is due.
    pub fn on_timer(&mut self, now: Now) -> Step {
        let mut step = Step::default();
        while let Some(timer) = self.timers.pop_due(now.monotonic_ms) {
            match timer {
                Timer::Session { group, member } => {
                    self.with_group(now, &mut step, &group, |group, env| group.session_timer_fired(env, &member))
                }
                Timer::PendingMember { group, member } => {
                    self.with_group(now, &mut step, &group, |group, env| group.pending_member_timer_fired(env, &member))
                }
                Timer::Join { group } => {
                    self.with_group(now, &mut step, &group, |group, env| group.join_timer_fired(env))
                }
                Timer::Sync { group } => {
                    self.with_group(now, &mut step, &group, |group, env| group.sync_timer_fired(env))
                }
            };
        }
        step
    }

    /// Leadership is lost: nobody stays waiting. The shard is to be dropped afterwards.
    pub fn unload(&mut self) -> Step {
        let mut step = Step::default();
        for (id, group) in &mut self.groups {
            for (member_id, member) in &mut group.members {
                if let Some(to) = member.join_reply.take() {
                    let moved = JoinReply::error(Arc::clone(member_id), ErrorCode::NotCoordinator);
                    step.replies.push((to, Reply::Join(moved)));
                }
                if let Some(to) = member.sync_reply.take() {
                    step.replies.push((to, Reply::Sync(SyncReply::error(ErrorCode::NotCoordinator))));
                }
            }
            tracing::debug!(group = %id, generation = group.generation, "unloaded");
        }
        self.groups.clear();
        self.timers = TimerTable::default();
        self.open_transactions.clear();
        step
    }

    /// A transaction's marker is in this partition's log: its offsets become visible, or vanish.
    pub fn complete_transaction(&mut self, producer: ProducerId, committed: bool) {
        for id in self.open_transactions.remove(&producer).unwrap_or_default() {
            if let Some(group) = self.groups.get_mut(&id) {
                group.transaction_completed(producer, committed);
            }
        }
    }

    pub(super) fn note_open_transaction(&mut self, producer: ProducerId, group: Arc<str>) {
        self.open_transactions.entry(producer).or_default().insert(group);
    }

    pub(super) fn forget_open_transaction(&mut self, producer: ProducerId, group: &Arc<str>) {
        if let Some(groups) = self.open_transactions.get_mut(&producer) {
            groups.remove(group);
            if groups.is_empty() {
                self.open_transactions.remove(&producer);
            }
        }
    }

    /// Takes a group without members out.
    pub(super) fn forget_group(&mut self, id: &Arc<str>) -> Option<Group> {
        let group = self.groups.swap_remove(id)?;
        for pending in &group.pending_members {
            self.timers.cancel(&Timer::PendingMember { group: Arc::clone(id), member: Arc::clone(pending) });
        }
        for producer in group.pending_transactions.keys() {
            self.forget_open_transaction(*producer, id);
        }
        Some(group)
    }
}

impl Machine for GroupShard {
    type Reply = Reply;
    type After = After;
    type Effect = std::convert::Infallible;

    fn replay(&mut self, now: Now, key: &[u8], value: Option<&[u8]>, batch: BatchFacts) {
        GroupShard::replay(self, now, key, value, batch);
    }

    fn replay_marker(&mut self, producer: ProducerId, committed: bool) {
        GroupShard::replay_marker(self, producer, committed);
    }

    fn finish_loading(&mut self, now: Now, _: LeaderEpoch) -> Step {
        GroupShard::finish_loading(self, now)
    }

    fn written(&mut self, now: Now, after: After, outcome: WriteOutcome) -> Step {
        GroupShard::written(self, now, after, outcome)
    }

    fn abandoned(after: After) -> Step {
        GroupShard::abandoned(after)
    }

    fn unload(&mut self) -> Step {
        GroupShard::unload(self)
    }

    fn next_deadline(&self) -> Option<i64> {
        GroupShard::next_deadline(self)
    }

    fn on_timer(&mut self, now: Now) -> Step {
        GroupShard::on_timer(self, now)
    }

    fn entries(&self) -> usize {
        self.groups.len()
    }
}

fn told_to_members(group: &Arc<str>, error: ErrorCode) -> ErrorCode {
    let told = group_write_error(error);
    tracing::warn!(%group, %error, %told, "generation could not be written");
    told
}

fn after_tombstones(reply: Reply, outcome: WriteOutcome) -> Reply {
    match (reply, outcome) {
        (Reply::DeleteGroup(_), Err(error)) => Reply::DeleteGroup(group_write_error(error)),
        (Reply::DeleteOffsets(_), Err(error)) => Reply::DeleteOffsets(Err(group_write_error(error))),
        (reply, _) => reply,
    }
}
