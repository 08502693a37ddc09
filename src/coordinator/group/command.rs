//! What goes into the state machine and what comes out: commands, replies, and the [`Step`] that orders them.
//!
//! Commands own their strings: a slice of a request would keep the whole frame alive.

use std::sync::Arc;

use bytes::Bytes;
use indexmap::IndexMap;
use uuid::Uuid;

use super::{Map, member::Protocols, records::OffsetAndMetadata};
use crate::{
    common::{ErrorCode, Offset, TopicPartition},
    coordinator::machine,
};

pub use crate::coordinator::machine::{Now, ReplyTo, TransactionalProducer, WriteOutcome};

/// What a command decided.
pub type Step = machine::Step<Reply, After, std::convert::Infallible>;
/// Records that become durable together.
pub type Write = machine::Write<After>;

/// A write's continuation, as data.
#[derive(Debug)]
pub enum After {
    /// The leader's assignment: hand it out and become stable.
    Assignment { group: Arc<str>, generation: i32, assignment: Map<Arc<str>, Bytes> },
    /// An empty generation: nothing depends on it.
    EmptyGroup { group: Arc<str> },
    /// A static member came back under a new id without a rebalance (KIP-345): answer its join, or undo.
    StaticMember(Box<StaticReplacement>),
    /// Offsets: make them visible and answer.
    Offsets(Box<OffsetsWritten>),
    /// Tombstones: answer, if somebody asked for them.
    Tombstones { group: Arc<str>, reply: Option<(ReplyTo, Reply)> },
}

#[derive(Debug)]
pub struct StaticReplacement {
    pub group: Arc<str>,
    pub group_instance_id: Arc<str>,
    pub old_member_id: Arc<str>,
    pub new_member_id: Arc<str>,
    pub old_protocols: Protocols,
    pub old_rebalance_timeout_ms: i32,
    pub old_session_timeout_ms: i32,
    /// The leader before the replacement; told to clients that cannot skip the assignment, so that none takes itself
    /// for the leader.
    pub old_leader: Option<Arc<str>>,
    pub can_skip_assignment: bool,
}

#[derive(Debug)]
pub struct OffsetsWritten {
    pub group: Arc<str>,
    pub written: Vec<(TopicPartition, OffsetAndMetadata)>,
    pub too_large: Vec<TopicPartition>,
    pub transaction: Option<TransactionalProducer>,
    pub reply: ReplyTo,
}

/// JoinGroup with its version turned into capabilities. What a member that comes again leaves in place is borrowed.
#[derive(Debug, Clone)]
pub struct JoinGroup<'a> {
    pub group_id: &'a str,
    /// Empty: not known yet.
    pub member_id: Arc<str>,
    pub group_instance_id: Option<Arc<str>>,
    /// KIP-394 (v4): a dynamic member must come back with the id it is given.
    pub requires_known_member_id: bool,
    /// KIP-814 (v9): a static leader may be told to skip the assignment.
    pub can_skip_assignment: bool,
    pub client_id: &'a str,
    pub client_host: &'a Arc<str>,
    pub rebalance_timeout_ms: i32,
    pub session_timeout_ms: i32,
    pub protocol_type: &'a str,
    pub protocols: Protocols,
    pub reason: Option<&'a str>,
    /// Randomness for a new member id; nil if the member has one.
    pub fresh_id: Uuid,
}

#[derive(Debug, Clone)]
pub struct SyncGroup<'a> {
    pub group_id: &'a str,
    pub generation: i32,
    pub member_id: Arc<str>,
    pub group_instance_id: Option<Arc<str>>,
    pub protocol_type: Option<&'a str>,
    pub protocol_name: Option<&'a str>,
    pub assignment: Map<Arc<str>, Bytes>,
}

/// Borrowed from the request: nothing of it is kept, and it is the most frequent of all.
#[derive(Debug, Clone, Copy)]
pub struct Heartbeat<'a> {
    pub group_id: &'a str,
    pub generation: i32,
    pub member_id: &'a str,
    pub group_instance_id: Option<&'a str>,
}

#[derive(Debug, Clone)]
pub struct LeaveGroup {
    pub group_id: Arc<str>,
    pub members: Vec<LeavingMember>,
}

#[derive(Debug, Clone)]
pub struct LeavingMember {
    /// Empty: by instance id (an administrator removes a static member).
    pub member_id: Arc<str>,
    pub group_instance_id: Option<Arc<str>>,
    pub reason: Option<Arc<str>>,
}

#[derive(Debug, Clone)]
pub struct CommitOffsets {
    pub group_id: Arc<str>,
    pub member_id: Arc<str>,
    pub group_instance_id: Option<Arc<str>>,
    /// Negative: no group management.
    pub generation: i32,
    pub offsets: IndexMap<TopicPartition, OffsetAndMetadata>,
    pub transaction: Option<TransactionalProducer>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    Join(JoinReply),
    Sync(SyncReply),
    Leave(LeaveReply),
    Commit(Vec<(TopicPartition, ErrorCode)>),
    /// `Err` fails the whole request.
    DeleteOffsets(Result<Vec<(TopicPartition, ErrorCode)>, ErrorCode>),
    DeleteGroup(ErrorCode),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinReply {
    pub error: ErrorCode,
    pub generation: i32,
    pub protocol_type: Option<Arc<str>>,
    pub protocol_name: Option<Arc<str>>,
    pub leader: Arc<str>,
    pub member_id: Arc<str>,
    pub skip_assignment: bool,
    /// Only for the leader.
    pub members: Vec<JoinedMember>,
}

impl JoinReply {
    /// A refusal.
    #[must_use]
    pub fn error(member_id: Arc<str>, error: ErrorCode) -> Self {
        Self {
            error,
            generation: -1,
            protocol_type: None,
            protocol_name: None,
            leader: Arc::from(""),
            member_id,
            skip_assignment: false,
            members: Vec::new(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinedMember {
    pub member_id: Arc<str>,
    pub group_instance_id: Option<Arc<str>>,
    pub metadata: Bytes,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncReply {
    pub error: ErrorCode,
    pub protocol_type: Option<Arc<str>>,
    pub protocol_name: Option<Arc<str>>,
    pub assignment: Bytes,
}

impl SyncReply {
    #[must_use]
    pub fn error(error: ErrorCode) -> Self {
        Self { error, protocol_type: None, protocol_name: None, assignment: Bytes::new() }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaveReply {
    pub error: ErrorCode,
    pub members: Vec<LeftMember>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftMember {
    pub member_id: Arc<str>,
    pub group_instance_id: Option<Arc<str>>,
    pub error: ErrorCode,
}

/// One partition's answer to OffsetFetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedOffset {
    pub topic_partition: TopicPartition,
    pub offset: Offset,
    pub leader_epoch: i32,
    pub metadata: Arc<str>,
    pub error: ErrorCode,
}

/// One group of ListGroups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupOverview {
    pub group_id: Arc<str>,
    pub protocol_type: Arc<str>,
    pub state: &'static str,
}

/// One group of DescribeGroups.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GroupDescription {
    pub state: &'static str,
    pub protocol_type: Arc<str>,
    pub protocol: Arc<str>,
    pub members: Vec<MemberDescription>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberDescription {
    pub member_id: Arc<str>,
    pub group_instance_id: Option<Arc<str>>,
    pub client_id: Arc<str>,
    pub client_host: Arc<str>,
    pub metadata: Bytes,
    pub assignment: Bytes,
}
