//! One member of a group (class `MemberMetadata`).

use std::sync::Arc;

use bytes::Bytes;

use super::{command::ReplyTo, records::MemberValue};

/// An assignor's name (or a Connect protocol's) and the member's opaque metadata for it, in the member's order of
/// preference.
pub type Protocols = Vec<(Arc<str>, Bytes)>;

#[derive(Debug, Clone)]
pub struct Member {
    pub group_instance_id: Option<Arc<str>>,
    pub client_id: Arc<str>,
    /// As Kafka prints it, e.g. `/127.0.0.1`.
    pub client_host: Arc<str>,
    pub rebalance_timeout_ms: i32,
    pub session_timeout_ms: i32,
    pub protocols: Protocols,
    pub assignment: Bytes,
    /// Joined, but the join has not been answered yet: its session timer runs even though it waits.
    pub is_new: bool,
    /// The JoinGroup that waits for the rebalance. Change only through `Group`, which counts them.
    pub(super) join_reply: Option<ReplyTo>,
    /// The SyncGroup that waits for the leader's assignment.
    pub(super) sync_reply: Option<ReplyTo>,
}

impl Member {
    #[must_use]
    pub fn is_static(&self) -> bool {
        self.group_instance_id.is_some()
    }

    /// The metadata for `protocol`; empty if the member does not know it.
    #[must_use]
    pub fn metadata(&self, protocol: &str) -> Bytes {
        self.protocols.iter().find(|(name, _)| &**name == protocol).map(|(_, bytes)| bytes.clone()).unwrap_or_default()
    }

    /// Whether an expired session timer is to be ignored: a member that waits for others is not late. A new member may
    /// be late, because nothing else would ever remove it.
    #[must_use]
    pub fn is_excused(&self) -> bool {
        !self.is_new && (self.join_reply.is_some() || self.sync_reply.is_some())
    }

    #[must_use]
    pub fn to_value(&self, id: &Arc<str>, subscription: Bytes, assignment: Bytes) -> MemberValue {
        MemberValue {
            member_id: Arc::clone(id),
            group_instance_id: self.group_instance_id.clone(),
            client_id: Arc::clone(&self.client_id),
            client_host: Arc::clone(&self.client_host),
            rebalance_timeout_ms: self.rebalance_timeout_ms,
            session_timeout_ms: self.session_timeout_ms,
            subscription,
            assignment,
        }
    }
}
