//! JoinGroup: who may join, under which id, and whether the group must rebalance for it.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    STRING_BYTES_MAX,
    command::{After, JoinGroup, JoinReply, Reply, ReplyTo, StaticReplacement, Write, WriteOutcome},
    config::NEW_MEMBER_JOIN_TIMEOUT_MS,
    group::{Env, Group},
    member::Member,
    records,
    state::GroupState,
    timer::Timer,
};
use crate::common::ErrorCode;

impl Group {
    pub(super) fn join(&mut self, env: &mut Env<'_>, cmd: JoinGroup<'_>, reply: ReplyTo) {
        if !self.accepts(env, &cmd.member_id) {
            self.remove(&cmd.member_id);
            let full = JoinReply::error(Arc::from(""), ErrorCode::GroupMaxSizeReached);
            env.reply(reply, Reply::Join(full));
        } else if cmd.member_id.is_empty() {
            self.join_as_new(env, cmd, reply);
        } else {
            self.rejoin(env, cmd, reply);
        }
        self.try_complete_join(env);
    }

    /// `group.max.size`. While the group prepares a rebalance those who wait count, not the members: that lets the last
    /// rejoining members of a group above the limit be turned away.
    fn accepts(&self, env: &Env<'_>, member_id: &str) -> bool {
        let limit = usize::try_from(env.config.max_size).unwrap_or(usize::MAX);
        match self.state() {
            GroupState::Empty | GroupState::Dead => true,
            GroupState::PreparingRebalance => {
                self.members.get(member_id).is_some_and(|member| member.join_reply.is_some())
                    || self.joined_count() < limit
            }
            GroupState::CompletingRebalance | GroupState::Stable => {
                self.members.contains_key(member_id) || self.members.len() < limit
            }
        }
    }

    fn join_as_new(&mut self, env: &mut Env<'_>, cmd: JoinGroup<'_>, reply: ReplyTo) {
        if !self.supports_protocols(cmd.protocol_type, &cmd.protocols) {
            let inconsistent = JoinReply::error(Arc::from(""), ErrorCode::InconsistentGroupProtocol);
            return env.reply(reply, Reply::Join(inconsistent));
        }
        let stem = cmd.group_instance_id.as_deref().unwrap_or(cmd.client_id);
        let new_id: Arc<str> = format!("{stem}-{}", cmd.fresh_id).into();
        if new_id.len() > STRING_BYTES_MAX {
            // No answer and no record can hold it. In Kafka writing the answer fails, with this error.
            let refused = JoinReply::error(Arc::from(""), ErrorCode::UnknownServerError);
            return env.reply(reply, Reply::Join(refused));
        }
        match &cmd.group_instance_id {
            Some(instance_id) => match self.static_members.get(instance_id).cloned() {
                Some(old_id) => self.replace_and_maybe_rebalance(env, &old_id, new_id, cmd, reply),
                None => self.add_and_rebalance(env, new_id, cmd, reply),
            },
            None if cmd.requires_known_member_id => {
                self.pending_members.insert(Arc::clone(&new_id));
                let timer = Timer::PendingMember { group: Arc::clone(&self.id), member: Arc::clone(&new_id) };
                env.timers.schedule(timer, env.now.monotonic_ms.saturating_add(cmd.session_timeout_ms.into()));
                env.reply(reply, Reply::Join(JoinReply::error(new_id, ErrorCode::MemberIdRequired)));
            }
            None => self.add_and_rebalance(env, new_id, cmd, reply),
        }
    }

    fn rejoin(&mut self, env: &mut Env<'_>, cmd: JoinGroup<'_>, reply: ReplyTo) {
        let id = Arc::clone(&cmd.member_id);
        let refuse = |env: &mut Env<'_>, error| env.reply(reply, Reply::Join(JoinReply::error(Arc::clone(&id), error)));
        if !self.supports_protocols(cmd.protocol_type, &cmd.protocols) {
            return refuse(env, ErrorCode::InconsistentGroupProtocol);
        }
        if self.pending_members.contains(&id) {
            // A pending id was never given to a static member; Kafka fails on this with an internal error.
            if cmd.group_instance_id.is_some() {
                return refuse(env, ErrorCode::UnknownServerError);
            }
            env.timers.cancel(&Timer::PendingMember { group: Arc::clone(&self.id), member: Arc::clone(&id) });
            return self.add_and_rebalance(env, id, cmd, reply);
        }
        if let Err(error) = self.validate_member(&id, cmd.group_instance_id.as_deref()) {
            return refuse(env, error);
        }
        let unchanged = self.members.get(&id).is_some_and(|member| member.protocols == cmd.protocols);
        let must_rebalance = match self.state() {
            GroupState::PreparingRebalance => true,
            // The same metadata again: the first answer was probably lost.
            GroupState::CompletingRebalance => !unchanged,
            // The leader rejoins to have the assignment made anew, e.g. because of new partitions.
            GroupState::Stable => self.is_leader(&id) || !unchanged,
            GroupState::Empty | GroupState::Dead => return refuse(env, ErrorCode::UnknownMemberId),
        };
        if must_rebalance {
            let timeouts_ms = (cmd.rebalance_timeout_ms, cmd.session_timeout_ms);
            self.update_member(env, &id, cmd.protocols, timeouts_ms, Some(reply));
            let reason = reason_of(cmd.reason);
            self.maybe_prepare_rebalance(env, format_args!("member {id} rejoins ({reason})"));
        } else {
            let joined = self.joined_reply(&id);
            env.reply(reply, Reply::Join(joined));
        }
    }

    fn add_and_rebalance(&mut self, env: &mut Env<'_>, id: Arc<str>, cmd: JoinGroup<'_>, reply: ReplyTo) {
        let reason = format!("new member {id} ({})", reason_of(cmd.reason));
        let member = Member {
            group_instance_id: cmd.group_instance_id,
            client_id: cmd.client_id.into(),
            client_host: Arc::clone(cmd.client_host),
            rebalance_timeout_ms: cmd.rebalance_timeout_ms,
            session_timeout_ms: cmd.session_timeout_ms,
            protocols: cmd.protocols,
            assignment: Bytes::new(),
            is_new: true,
            join_reply: Some(reply),
            sync_reply: None,
        };
        if self.is(GroupState::PreparingRebalance) && self.generation == 0 {
            self.new_member_added = true;
        }
        self.add(Arc::clone(&id), member, cmd.protocol_type);
        // It does not know its id yet and cannot heartbeat, and a client that is gone is not noticed while it waits:
        // so a new member's join itself times out.
        self.schedule_session_in(env, &id, NEW_MEMBER_JOIN_TIMEOUT_MS);
        self.maybe_prepare_rebalance(env, &reason);
    }

    /// A static member is back after a restart (KIP-345). In a stable group whose protocol stays the same it takes its
    /// old place without a rebalance.
    fn replace_and_maybe_rebalance(
        &mut self,
        env: &mut Env<'_>,
        old_id: &Arc<str>,
        new_id: Arc<str>,
        cmd: JoinGroup<'_>,
        reply: ReplyTo,
    ) {
        let Some(instance_id) = cmd.group_instance_id.clone() else { return };
        let old_leader = self.leader.clone();
        let (old_protocols, old_rebalance_timeout_ms, old_session_timeout_ms) = match self.members.get(old_id) {
            Some(old) => (old.protocols.clone(), old.rebalance_timeout_ms, old.session_timeout_ms),
            None => (Vec::new(), 0, 0),
        };
        tracing::info!(group = %self.id, %instance_id, %old_id, %new_id, state = %self.state(), "static member replaced");
        self.replace_static_member(env, &instance_id, old_id, &new_id);
        self.schedule_session(env, &new_id);
        let timeouts_ms = (cmd.rebalance_timeout_ms, cmd.session_timeout_ms);
        self.update_member(env, &new_id, cmd.protocols, timeouts_ms, Some(reply));
        let reason = format!("static member {instance_id} is back ({})", reason_of(cmd.reason));
        match self.state() {
            GroupState::Stable if self.protocol_name == self.select_protocol() => {
                let assignment = self.current_assignment();
                let record = records::group_record(&self.id, &self.to_value(&assignment));
                let after = After::StaticMember(Box::new(StaticReplacement {
                    group: Arc::clone(&self.id),
                    group_instance_id: instance_id,
                    old_member_id: Arc::clone(old_id),
                    new_member_id: new_id,
                    old_protocols,
                    old_rebalance_timeout_ms,
                    old_session_timeout_ms,
                    old_leader,
                    can_skip_assignment: cmd.can_skip_assignment,
                }));
                env.step.writes.push(Write { records: vec![record], transaction: None, after });
            }
            GroupState::Stable => self.maybe_prepare_rebalance(env, &reason),
            // The leader may be assigning to the old id right now; that assignment would reach nobody.
            GroupState::CompletingRebalance => self.prepare_rebalance(env, &reason),
            GroupState::PreparingRebalance | GroupState::Empty | GroupState::Dead => {}
        }
    }

    /// The static member's new id is in the log, or not.
    pub(super) fn static_member_written(&mut self, env: &mut Env<'_>, done: StaticReplacement, outcome: WriteOutcome) {
        let StaticReplacement { new_member_id: id, old_member_id, group_instance_id, .. } = done;
        // Replaced again, or removed, meanwhile: that step has answered the join.
        if self.static_members.get(&group_instance_id) != Some(&id) {
            return;
        }
        let old_leader = done.old_leader.unwrap_or_default();
        if let Err(error) = outcome {
            let mut refused = JoinReply { members: Vec::new(), leader: old_leader, ..self.joined_reply(&id) };
            refused.error = error;
            refused.member_id = Arc::from("");
            self.answer_join(env, &id, || refused);
            let timeouts_ms = (done.old_rebalance_timeout_ms, done.old_session_timeout_ms);
            self.update_member(env, &id, done.old_protocols, timeouts_ms, None);
            self.replace_static_member(env, &group_instance_id, &id, &old_member_id);
            return self.schedule_session(env, &old_member_id);
        }
        let mut joined = self.joined_reply(&id);
        if done.can_skip_assignment {
            joined.skip_assignment = self.is_leader(&id);
        } else {
            joined.leader = old_leader;
            joined.members = Vec::new();
        }
        self.answer_join(env, &id, || joined);
    }
}

fn reason_of(given: Option<&str>) -> &str {
    given.filter(|reason| !reason.is_empty()).unwrap_or("not provided")
}
