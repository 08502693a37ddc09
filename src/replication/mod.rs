//! Partitions on this broker: who leads, what is appended, what may be read, and who waits for it.

mod alter_partition;
mod append;
mod checkpoints;
pub mod delayed;
mod delete_records;
pub mod fetcher;
mod follow;
pub mod hosted;
mod leader_and_isr;
pub mod list_offsets;
mod log_dirs;
pub mod manager;
mod moves;
pub mod partition;
mod partitions;
mod read;
mod stop_replica;
#[cfg(test)]
mod tests;
mod throttle;
mod zk_isr;

pub use alter_partition::AlterPartitionSender;
pub use list_offsets::legacy_offsets_before;
pub use log_dirs::{LogDirInfo, LogDirPartition};
pub use manager::{
    AppendRequest, AppendResult, DeleteRecordsResult, FetchParams, FetchPartition, FetchPartitionData,
    ListOffsetsAnswer, PartitionStateChange, ReplicaConfig, ReplicaManager,
};
pub use moves::run as run_moves;
pub use stop_replica::StopPartition;
pub use zk_isr::ZkIsrWriter;
