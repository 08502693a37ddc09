//! Partitions on this broker: who leads, what is appended, what may be read, and who waits for it.

pub mod manager;
pub mod partition;

pub use manager::{
    AppendRequest, AppendResult, DeleteRecordsResult, FetchParams, FetchPartition, FetchPartitionData,
    ListOffsetsAnswer, PartitionStateChange, ReplicaConfig, ReplicaManager,
};
