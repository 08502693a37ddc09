//! SyncGroup: the leader's assignment becomes durable, then everybody gets a share.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    Map,
    command::{After, Reply, ReplyTo, SyncGroup, SyncReply, Write, WriteOutcome},
    group::{Env, Group},
    records::{self, GroupMetadataValue},
    state::GroupState,
};
use crate::common::ErrorCode;

impl Group {
    pub(super) fn sync(&mut self, env: &mut Env<'_>, cmd: SyncGroup<'_>, reply: ReplyTo) {
        if let Err(error) = self.validate_sync(&cmd) {
            return env.reply(reply, Reply::Sync(SyncReply::error(error)));
        }
        let id = cmd.member_id;
        match self.state() {
            GroupState::Empty | GroupState::Dead => {
                env.reply(reply, Reply::Sync(SyncReply::error(ErrorCode::UnknownMemberId)));
            }
            GroupState::PreparingRebalance => {
                env.reply(reply, Reply::Sync(SyncReply::error(ErrorCode::RebalanceInProgress)));
            }
            GroupState::CompletingRebalance => {
                // An earlier sync of the same member was given up by its client.
                self.answer_sync(env, &id, || SyncReply::error(ErrorCode::RebalanceInProgress));
                if let Some(member) = self.members.get_mut(&id) {
                    member.sync_reply = Some(reply);
                }
                self.sync_received(env, &id);
                if self.is_leader(&id) {
                    self.store_assignment(env, cmd.assignment);
                }
            }
            GroupState::Stable => {
                self.sync_received(env, &id);
                let answer = self.sync_reply(&id);
                env.reply(reply, Reply::Sync(answer));
                self.schedule_session(env, &id);
            }
        }
    }

    fn validate_sync(&self, cmd: &SyncGroup<'_>) -> Result<(), ErrorCode> {
        self.validate_member(&cmd.member_id, cmd.group_instance_id.as_deref())?;
        if cmd.generation != self.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        let differs = |asked: Option<&str>, is: &Option<Arc<str>>| asked.is_some() && asked != is.as_deref();
        if differs(cmd.protocol_type, &self.protocol_type) || differs(cmd.protocol_name, &self.protocol_name) {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        Ok(())
    }

    fn store_assignment(&mut self, env: &mut Env<'_>, mut assignment: Map<Arc<str>, Bytes>) {
        let mut forgotten = 0usize;
        for id in self.members.keys() {
            assignment.entry(Arc::clone(id)).or_insert_with(|| {
                forgotten += 1;
                Bytes::new()
            });
        }
        if forgotten > 0 {
            tracing::warn!(group = %self.id, generation = self.generation, members = forgotten, "left unassigned");
        }
        let record = records::group_record(&self.id, &self.to_value(&assignment));
        let after = After::Assignment { group: Arc::clone(&self.id), generation: self.generation, assignment };
        env.step.writes.push(Write { records: vec![record], transaction: None, after });
    }

    /// The assignment is in the log, or not. Members may have come or gone meanwhile; then it no longer matters.
    pub(super) fn assignment_written(
        &mut self,
        env: &mut Env<'_>,
        generation: i32,
        assignment: &Map<Arc<str>, Bytes>,
        outcome: WriteOutcome,
    ) {
        if !self.is(GroupState::CompletingRebalance) || generation != self.generation {
            return;
        }
        if let Err(error) = outcome {
            self.fail_assignment(env, error);
            return self.maybe_prepare_rebalance(env, format_args!("{error} when storing the assignment"));
        }
        for (id, member) in &mut self.members {
            member.assignment = assignment.get(id).cloned().unwrap_or_default();
        }
        let waiting: Vec<Arc<str>> =
            self.members.iter().filter(|(_, m)| m.sync_reply.is_some()).map(|(id, _)| Arc::clone(id)).collect();
        for id in waiting {
            let answer = self.sync_reply(&id);
            self.answer_sync(env, &id, || answer);
            // Its session may have run out, excused, while it waited.
            self.schedule_session(env, &id);
        }
        self.transition(GroupState::Stable, env.now.wall_ms);
    }

    fn sync_reply(&self, id: &str) -> SyncReply {
        SyncReply {
            error: ErrorCode::None,
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            assignment: self.members.get(id).map(|member| member.assignment.clone()).unwrap_or_default(),
        }
    }

    /// This generation as a record.
    pub(super) fn to_value(&self, assignment: &Map<Arc<str>, Bytes>) -> GroupMetadataValue {
        let protocol = self.protocol_name.as_deref().unwrap_or_default();
        GroupMetadataValue {
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            generation: self.generation,
            protocol: self.protocol_name.clone(),
            leader: self.leader.clone(),
            current_state_timestamp: self.state_timestamp.unwrap_or(-1),
            members: self
                .members
                .iter()
                .map(|(id, member)| {
                    let share = assignment.get(id).cloned().unwrap_or_default();
                    member.to_value(id, member.metadata(protocol), share)
                })
                .collect(),
        }
    }
}
