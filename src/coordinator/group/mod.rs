//! The classic group coordinator (classes `GroupCoordinator`, `GroupMetadata`, `GroupMetadataManager` of Kafka's
//! ZooKeeper mode): rebalances, sessions, committed offsets. Pure: no task, no file, no clock; the driver is
//! `coordinator::runtime`, and knows nothing of what a rebalance is.
//!
//! | file | holds |
//! |---|---|
//! | `shard` | the groups of one partition of `__consumer_offsets`, and the machine's face |
//! | `command` | commands, replies, `Step` |
//! | `group` `member` `state` | a group's fields |
//! | `join` `rebalance` `sync` `heartbeat` `leave` | the rebalance protocol |
//! | `offsets` `commit` `fetch_offsets` `expire` `delete` | committed offsets |
//! | `records` `replay` | what is in the log |
//!
//! One deliberate difference to Kafka: a request that a second request of the same member replaces is answered
//! REBALANCE_IN_PROGRESS, where Kafka lets it hang until its connection is closed.

pub mod command;
mod commit;
pub mod config;
mod delete;
mod describe;
mod expire;
mod fetch_offsets;
#[allow(clippy::module_inception)]
pub mod group;
mod heartbeat;
mod join;
mod leave;
pub mod member;
pub mod offsets;
mod rebalance;
pub mod records;
pub mod replay;
pub mod shard;
pub mod state;
mod sync;
#[cfg(test)]
mod tests;
pub mod timer;

/// In the order of insertion; hashed with a key of this process.
pub type Map<K, V> = indexmap::IndexMap<K, V, ahash::RandomState>;

pub use super::codec::{RecordError, STRING_BYTES_MAX};
pub use commit::commit_error;
pub use config::GroupConfig;
pub use shard::GroupShard;
pub use state::GroupState;

/// The face that handlers see.
pub use super::runtime::GroupCoordinator;
