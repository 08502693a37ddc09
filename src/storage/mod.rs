//! The log: Kafka's files, byte for byte. Plain synchronous code; the caller decides the thread.
//! Knows nothing of partitions' leadership, of the network or of coordination.

pub mod checkpoint;
pub mod cleaner;
pub mod dir;
pub mod error;
mod future;
mod load;
pub mod log;
pub mod manager;
#[cfg(test)]
mod manager_tests;
mod tasks;

pub use cleaner::{CleanerConfig, LogCleaner};
pub use error::StorageError;
pub use log::{
    AbortedTxn, AppendInfo, AppendOrigin, FetchData, FetchIsolation, OffsetAndEpoch, UnifiedLog, Verification,
};
pub use manager::{LogManager, LogManagerConfig};
