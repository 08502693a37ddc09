//! What goes into the state machine and what comes out: commands, replies, and the [`Step`] that orders them.
//!
//! Commands own their strings: a slice of a request would keep the whole frame alive.

use std::sync::Arc;

use bytes::Bytes;
use indexmap::IndexMap;
use uuid::Uuid;

use super::{
    member::Protocols,
    records::{CoordinatorRecord, OffsetAndMetadata},
};
use crate::common::{ErrorCode, Offset, ProducerEpoch, ProducerId, Timestamp, TopicPartition};

/// The two times a decision needs: one to write down, one to measure with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds since 1970: commit timestamps, state timestamps, expiry of offsets.
    pub wall_ms: Timestamp,
    /// Never goes back: sessions, rebalances.
    pub monotonic_ms: i64,
}

/// Names the request that an answer belongs to. Every token given to a command comes back exactly once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReplyTo(pub u64);

/// What a command decided. The driver sends `replies` at once and appends each of `writes` in order, as one batch each;
/// the fate of a write goes back in as [`After`], and only that releases the answers that depend on it.
#[derive(Debug, Default)]
pub struct Step {
    pub writes: Vec<Write>,
    pub replies: Vec<(ReplyTo, Reply)>,
}

impl Step {
    #[must_use]
    pub fn reply(to: ReplyTo, reply: Reply) -> Self {
        Self { writes: Vec::new(), replies: vec![(to, reply)] }
    }
}

/// Records that become durable together.
#[derive(Debug)]
pub struct Write {
    pub records: Vec<CoordinatorRecord>,
    /// Set for TxnOffsetCommit: the batch is transactional.
    pub transaction: Option<TransactionalProducer>,
    /// What to do once the write is committed or has failed.
    pub after: After,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransactionalProducer {
    pub id: ProducerId,
    pub epoch: ProducerEpoch,
}

/// A write's continuation, as data.
#[derive(Debug)]
pub enum After {
    /// The leader's assignment: hand it out and become stable.
    Assignment { group: Arc<str>, generation: i32, assignment: IndexMap<Arc<str>, Bytes> },
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

/// How a write ended: the offset of its first record, or why not.
pub type WriteOutcome = Result<Offset, ErrorCode>;

/// JoinGroup with its version turned into capabilities.
#[derive(Debug, Clone)]
pub struct JoinGroup {
    pub group_id: Arc<str>,
    /// Empty: not known yet.
    pub member_id: Arc<str>,
    pub group_instance_id: Option<Arc<str>>,
    /// KIP-394 (v4): a dynamic member must come back with the id it is given.
    pub requires_known_member_id: bool,
    /// KIP-814 (v9): a static leader may be told to skip the assignment.
    pub can_skip_assignment: bool,
    pub client_id: Arc<str>,
    pub client_host: Arc<str>,
    pub rebalance_timeout_ms: i32,
    pub session_timeout_ms: i32,
    pub protocol_type: Arc<str>,
    pub protocols: Protocols,
    pub reason: Option<Arc<str>>,
    /// Randomness for a new member id.
    pub fresh_id: Uuid,
}

#[derive(Debug, Clone)]
pub struct SyncGroup {
    pub group_id: Arc<str>,
    pub generation: i32,
    pub member_id: Arc<str>,
    pub group_instance_id: Option<Arc<str>>,
    pub protocol_type: Option<Arc<str>>,
    pub protocol_name: Option<Arc<str>>,
    pub assignment: IndexMap<Arc<str>, Bytes>,
}

#[derive(Debug, Clone)]
pub struct Heartbeat {
    pub group_id: Arc<str>,
    pub generation: i32,
    pub member_id: Arc<str>,
    pub group_instance_id: Option<Arc<str>>,
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
