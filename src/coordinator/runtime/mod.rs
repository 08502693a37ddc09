//! What drives the coordinators' state machines: one shard per partition of the internal topic, a queue of writes per
//! shard, a loader, one task that waits for the next deadline. Decides nothing about groups or transactions.

mod coordinator;
mod loader;
mod ports;
mod shard_cell;
mod shards;
#[cfg(test)]
mod tests;
mod transactions;

pub use coordinator::GroupCoordinator;
pub use ports::{LogReader, LogSource, PartitionWriter, Ports, ReplicaPorts};
pub use transactions::TransactionCoordinator;
