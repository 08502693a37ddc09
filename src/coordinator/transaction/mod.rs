//! The transaction coordinator (classes `TransactionCoordinator`, `TransactionMetadata`, `TransactionStateManager` of
//! Kafka's ZooKeeper mode; KIP-98, KIP-360, KIP-890 part 1): who may write under a transactional id, and which
//! transaction is in which state. Pure: no task, no file, no clock; the driver is `coordinator::runtime`, markers are
//! written by `coordinator::txn_markers`.
//!
//! | file | holds |
//! |---|---|
//! | `shard` | the transactional ids of one partition of `__transaction_state`, and the machine's face |
//! | `command` | replies, continuations, effects |
//! | `state` `metadata` | one transactional id, and which state may follow which |
//! | `init` `add_partitions` `end` `markers` | a transaction's way from InitProducerId to its last marker |
//! | `timeout` `expire` | what happens when nobody comes back |
//! | `describe` | DescribeTransactions, ListTransactions |
//! | `records` | what is in the log |

mod add_partitions;
pub mod command;
pub mod config;
mod describe;
mod end;
mod expire;
mod init;
mod markers;
pub mod metadata;
pub mod records;
pub mod shard;
pub mod state;
#[cfg(test)]
mod tests;
mod timeout;

pub use command::InitProducerId;
pub use config::TransactionConfig;
pub use describe::{TransactionDescription, TransactionFilter, TransactionOverview};
pub use shard::TransactionShard;
pub use state::TransactionState;

/// The face that handlers see.
pub use super::runtime::TransactionCoordinator;
