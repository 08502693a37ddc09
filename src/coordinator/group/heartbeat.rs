//! Heartbeat, and what happens when it does not come (classes `DelayedHeartbeat`).

use std::sync::Arc;

use super::{
    command::Heartbeat,
    group::{Env, Group},
    state::GroupState,
};
use crate::common::ErrorCode;

impl Group {
    pub(super) fn heartbeat(&mut self, env: &mut Env<'_>, cmd: Heartbeat<'_>) -> ErrorCode {
        let (id, member) = match self.validated_member(cmd.member_id, cmd.group_instance_id) {
            Ok(found) => found,
            Err(error) => return error,
        };
        if cmd.generation != self.generation {
            return ErrorCode::IllegalGeneration;
        }
        let answer = match self.state() {
            GroupState::Empty | GroupState::Dead => return ErrorCode::UnknownMemberId,
            GroupState::PreparingRebalance => ErrorCode::RebalanceInProgress,
            // Consumers heartbeat from the join on, before they have an assignment.
            GroupState::CompletingRebalance | GroupState::Stable => ErrorCode::None,
        };
        self.schedule_session_in(env, id, member.session_timeout_ms.into());
        answer
    }

    pub(super) fn session_timer_fired(&mut self, env: &mut Env<'_>, id: &Arc<str>) {
        let Some(member) = self.members.get(id) else { return };
        if !member.is_excused() {
            tracing::info!(group = %self.id, member = %id, "member has failed, removing it");
            self.remove_and_update(env, id, "member's session expired");
        }
    }

    pub(super) fn pending_member_timer_fired(&mut self, env: &mut Env<'_>, id: &Arc<str>) {
        if self.pending_members.contains(id) {
            tracing::info!(group = %self.id, member = %id, "pending member did not come back, removing it");
            self.remove_pending_and_update(env, id);
        }
    }
}
