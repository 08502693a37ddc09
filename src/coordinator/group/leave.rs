//! LeaveGroup: members say goodbye, or an administrator says it for them (KIP-345).

use super::{
    command::{LeaveGroup, LeaveReply, LeavingMember, LeftMember, Reply, ReplyTo},
    group::{Env, Group},
};
use crate::common::ErrorCode;

impl Group {
    pub(super) fn leave(&mut self, env: &mut Env<'_>, cmd: LeaveGroup, reply: ReplyTo) {
        let mut members = Vec::with_capacity(cmd.members.len());
        for leaving in cmd.members {
            let error = self.leave_one(env, &leaving).err().unwrap_or(ErrorCode::None);
            members.push(LeftMember {
                member_id: leaving.member_id,
                group_instance_id: leaving.group_instance_id,
                error,
            });
        }
        env.reply(reply, Reply::Leave(LeaveReply { error: ErrorCode::None, members }));
    }

    fn leave_one(&mut self, env: &mut Env<'_>, leaving: &LeavingMember) -> Result<(), ErrorCode> {
        let instance_id = leaving.group_instance_id.as_deref();
        let id = if leaving.member_id.is_empty() {
            let current = instance_id.and_then(|instance_id| self.static_members.get(instance_id));
            current.cloned().ok_or(ErrorCode::UnknownMemberId)?
        } else if self.pending_members.contains(&leaving.member_id) {
            self.remove_pending_and_update(env, &leaving.member_id);
            return Ok(());
        } else {
            self.validate_member(&leaving.member_id, instance_id)?;
            leaving.member_id.clone()
        };
        let reason = leaving.reason.as_deref().unwrap_or("not provided");
        tracing::info!(group = %self.id, member = %id, reason, "member leaves");
        self.remove_and_update(env, &id, &format!("member {id} leaves ({reason})"));
        Ok(())
    }
}
