//! The hot paths' own codecs: Produce cuts records out of the frame without a copy, Fetch writes a response around file
//! regions nobody has read, and the members of a group send theirs all at once. Equal to the generated codec in every
//! version, which the tests hold.

pub mod fetch;
pub mod fetched;
pub mod group;
pub mod produce;
mod wire;

/// Why a body cannot be read; the connection is closed, as in Kafka.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("cut short at {0}")]
    Truncated(&'static str),
    #[error("null or negative length of {0}")]
    Length(&'static str),
    #[error("more elements in {0} than the bytes could hold")]
    Count(&'static str),
    #[error("{0} is not UTF-8")]
    Text(&'static str),
    #[error("too many tagged fields")]
    TaggedFields,
    #[error("a varint is longer than five bytes")]
    Varint,
}

/// Who leads now, for a client that asked the wrong broker (KIP-951).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CurrentLeader {
    pub leader_id: crate::common::BrokerId,
    pub leader_epoch: crate::common::LeaderEpoch,
}

/// Where a leader named in [`CurrentLeader`] is reached (KIP-951).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeEndpoint {
    pub node_id: crate::common::BrokerId,
    pub host: String,
    pub port: i32,
    pub rack: Option<String>,
}
