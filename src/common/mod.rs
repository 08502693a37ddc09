//! Values that every room speaks in: ids, partitions, error codes, time. Imports nothing of ours.

pub mod chance;
pub mod error;
pub mod hash;
pub mod ids;
pub mod time;
pub mod topic_id;
pub mod topic_name;
pub mod topic_partition;

pub use error::ErrorCode;
pub use ids::{BrokerId, LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};
pub use time::Clock;
pub use topic_partition::TopicPartition;
