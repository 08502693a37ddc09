//! Heartbeat (key 12, v0–4), JoinGroup (key 11, v0–9) and SyncGroup (key 14, v0–5): what all members of a group send at
//! once when it rebalances. Requests are borrowed from the frame, responses from the coordinator's answer.

use bytes::{BufMut, Bytes, BytesMut};
use smallvec::SmallVec;

use super::{
    Malformed,
    wire::{Reader, Writer},
};
use crate::{
    common::ErrorCode,
    protocol::frame::{begin_response, finish_response},
};

const HEARTBEAT_FLEXIBLE_SINCE: i16 = 4;
const JOIN_FLEXIBLE_SINCE: i16 = 6;
const SYNC_FLEXIBLE_SINCE: i16 = 4;
/// Room for a response's numbers and the lengths of its texts.
const FIXED_SIZE: usize = 64;
/// The same of a member in the leader's list.
const MEMBER_FIXED_SIZE: usize = 16;

/// Names, of protocols or members, with what is said of each; seldom more than two, but for the leader.
pub type Pairs<'a> = SmallVec<[(&'a str, &'a [u8]); 2]>;

/// v3 static membership · v4 flexible
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeartbeatRequest<'a> {
    pub group_id: &'a str,
    pub generation_id: i32,
    pub member_id: &'a str,
    pub group_instance_id: Option<&'a str>,
}

impl<'a> HeartbeatRequest<'a> {
    /// Reads `body`, the frame after its header. As the others here it does its own guarding, as Produce does.
    pub fn decode(version: i16, body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body, version >= HEARTBEAT_FLEXIBLE_SINCE);
        let group_id = reader.text("group id")?;
        let generation_id = reader.i32("generation id")?;
        let member_id = reader.text("member id")?;
        let group_instance_id = if version >= 3 { reader.nullable_text("group instance id")? } else { None };
        reader.end_structure()?;
        Ok(Self { group_id, generation_id, member_id, group_instance_id })
    }
}

/// The whole frame that answers a Heartbeat.
#[must_use]
pub fn encode_heartbeat(correlation_id: i32, version: i16, error: ErrorCode) -> Option<Bytes> {
    let flexible = version >= HEARTBEAT_FLEXIBLE_SINCE;
    let mut out = begin_response(correlation_id, flexible, FIXED_SIZE);
    if version >= 1 {
        out.put_i32(0);
    }
    out.put_i16(error.code());
    Writer { out: &mut out, flexible }.end_structure();
    finish(out)
}

/// v1 rebalance timeout · v5 static membership · v6 flexible · v8 reason
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinGroupRequest<'a> {
    pub group_id: &'a str,
    pub session_timeout_ms: i32,
    /// −1 before v1.
    pub rebalance_timeout_ms: i32,
    pub member_id: &'a str,
    pub group_instance_id: Option<&'a str>,
    pub protocol_type: &'a str,
    /// Names with the member's metadata, in its order of preference.
    pub protocols: Pairs<'a>,
    pub reason: Option<&'a str>,
}

impl<'a> JoinGroupRequest<'a> {
    pub fn decode(version: i16, body: &'a [u8]) -> Result<Self, Malformed> {
        let flexible = version >= JOIN_FLEXIBLE_SINCE;
        let mut reader = Reader::new(body, flexible);
        let group_id = reader.text("group id")?;
        let session_timeout_ms = reader.i32("session timeout")?;
        let rebalance_timeout_ms = if version >= 1 { reader.i32("rebalance timeout")? } else { -1 };
        let member_id = reader.text("member id")?;
        let group_instance_id = if version >= 5 { reader.nullable_text("group instance id")? } else { None };
        let protocol_type = reader.text("protocol type")?;
        let protocols = pairs(&mut reader, flexible, "protocols", "protocol name", "protocol metadata")?;
        let reason = if version >= 8 { reader.nullable_text("reason")? } else { None };
        reader.end_structure()?;
        Ok(Self {
            group_id,
            session_timeout_ms,
            rebalance_timeout_ms,
            member_id,
            group_instance_id,
            protocol_type,
            protocols,
            reason,
        })
    }
}

/// v2 throttle time · v5 instance ids · v6 flexible · v7 protocol type, nullable protocol name · v9 skip assignment
#[derive(Debug, Clone)]
pub struct JoinGroupResponse<'a, M> {
    pub error: ErrorCode,
    pub generation_id: i32,
    pub protocol_type: Option<&'a str>,
    /// Null from v7 on, empty before.
    pub protocol_name: Option<&'a str>,
    pub leader: &'a str,
    pub skip_assignment: bool,
    pub member_id: &'a str,
    /// Empty for all but the leader.
    pub members: M,
}

/// One member in the leader's list.
#[derive(Debug, Clone, Copy)]
pub struct JoinedMember<'a> {
    pub member_id: &'a str,
    pub group_instance_id: Option<&'a str>,
    pub metadata: &'a [u8],
}

impl<'a, M: ExactSizeIterator<Item = JoinedMember<'a>> + Clone> JoinGroupResponse<'a, M> {
    /// The whole frame; `None` if it would be larger than a frame can be.
    #[must_use]
    pub fn encode(self, correlation_id: i32, version: i16) -> Option<Bytes> {
        let flexible = version >= JOIN_FLEXIBLE_SINCE;
        let mut out = begin_response(correlation_id, flexible, self.size());
        if version >= 2 {
            out.put_i32(0);
        }
        out.put_i16(self.error.code());
        out.put_i32(self.generation_id);
        let mut writer = Writer { out: &mut out, flexible };
        if version >= 7 {
            writer.nullable_text(self.protocol_type);
            writer.nullable_text(self.protocol_name);
        } else {
            writer.text(self.protocol_name.unwrap_or_default());
        }
        writer.text(self.leader);
        if version >= 9 {
            writer.out.put_u8(self.skip_assignment.into());
        }
        writer.text(self.member_id);
        writer.count(self.members.len());
        for member in self.members {
            writer.text(member.member_id);
            if version >= 5 {
                writer.nullable_text(member.group_instance_id);
            }
            writer.bytes(member.metadata);
            writer.end_structure();
        }
        writer.end_structure();
        finish(out)
    }

    /// At least what the frame takes, so that it need not grow.
    fn size(&self) -> usize {
        let text = |text: Option<&str>| text.map_or(0, str::len);
        let own = FIXED_SIZE + text(self.protocol_type) + text(self.protocol_name);
        let members = self
            .members
            .clone()
            .map(|it| MEMBER_FIXED_SIZE + it.member_id.len() + text(it.group_instance_id) + it.metadata.len());
        own + self.leader.len() + self.member_id.len() + members.sum::<usize>()
    }
}

/// v3 static membership · v4 flexible · v5 protocol type and name
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncGroupRequest<'a> {
    pub group_id: &'a str,
    pub generation_id: i32,
    pub member_id: &'a str,
    pub group_instance_id: Option<&'a str>,
    pub protocol_type: Option<&'a str>,
    pub protocol_name: Option<&'a str>,
    /// Member ids with their shares; empty for all but the leader.
    pub assignments: Pairs<'a>,
}

impl<'a> SyncGroupRequest<'a> {
    pub fn decode(version: i16, body: &'a [u8]) -> Result<Self, Malformed> {
        let flexible = version >= SYNC_FLEXIBLE_SINCE;
        let mut reader = Reader::new(body, flexible);
        let group_id = reader.text("group id")?;
        let generation_id = reader.i32("generation id")?;
        let member_id = reader.text("member id")?;
        let group_instance_id = if version >= 3 { reader.nullable_text("group instance id")? } else { None };
        let protocol_type = if version >= 5 { reader.nullable_text("protocol type")? } else { None };
        let protocol_name = if version >= 5 { reader.nullable_text("protocol name")? } else { None };
        let assignments = pairs(&mut reader, flexible, "assignments", "member id", "assignment")?;
        reader.end_structure()?;
        Ok(Self { group_id, generation_id, member_id, group_instance_id, protocol_type, protocol_name, assignments })
    }
}

/// v1 throttle time · v4 flexible · v5 protocol type and name
#[derive(Debug, Clone, Copy)]
pub struct SyncGroupResponse<'a> {
    pub error: ErrorCode,
    pub protocol_type: Option<&'a str>,
    pub protocol_name: Option<&'a str>,
    pub assignment: &'a [u8],
}

impl SyncGroupResponse<'_> {
    /// The whole frame; `None` if it would be larger than a frame can be.
    #[must_use]
    pub fn encode(self, correlation_id: i32, version: i16) -> Option<Bytes> {
        let flexible = version >= SYNC_FLEXIBLE_SINCE;
        let names = self.protocol_type.map_or(0, str::len) + self.protocol_name.map_or(0, str::len);
        let mut out = begin_response(correlation_id, flexible, FIXED_SIZE + names + self.assignment.len());
        if version >= 1 {
            out.put_i32(0);
        }
        out.put_i16(self.error.code());
        let mut writer = Writer { out: &mut out, flexible };
        if version >= 5 {
            writer.nullable_text(self.protocol_type);
            writer.nullable_text(self.protocol_name);
        }
        writer.bytes(self.assignment);
        writer.end_structure();
        finish(out)
    }
}

/// An array of structures of a text and a blob.
fn pairs<'a>(
    reader: &mut Reader<&'a [u8]>,
    flexible: bool,
    array: &'static str,
    text: &'static str,
    blob: &'static str,
) -> Result<Pairs<'a>, Malformed> {
    let wire = if flexible { 3 } else { 6 };
    let count = reader.count(wire, size_of::<(&str, &[u8])>(), array)?;
    let mut pairs = SmallVec::with_capacity(count);
    for _ in 0..count {
        let name = reader.text(text)?;
        let value = reader.bytes(blob)?;
        reader.end_structure()?;
        pairs.push((name, value));
    }
    Ok(pairs)
}

fn finish(mut out: BytesMut) -> Option<Bytes> {
    finish_response(&mut out, 0)?;
    Some(out.freeze())
}

#[cfg(test)]
mod tests;
