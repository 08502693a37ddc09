//! Names for the numbers that travel, so that a signature says which number it wants.
//!
//! Aliases, not newtypes: they meet the generated messages' plain integers in every handler.

/// Position of a record in a partition's log. −1 means "none" on the wire.
pub type Offset = i64;
/// Fencing number of a partition's leadership (KIP-101). −1 means "unknown".
pub type LeaderEpoch = i32;
/// `broker.id`. −1 means "none".
pub type BrokerId = i32;
/// Id of an idempotent or transactional producer (KIP-98). −1 means "none".
pub type ProducerId = i64;
/// Fencing number of a producer id. −1 means "none".
pub type ProducerEpoch = i16;
/// Wall-clock milliseconds since 1970.
pub type Timestamp = i64;

/// The wire's "no offset".
pub const NO_OFFSET: Offset = -1;
/// The wire's "no timestamp" (`RecordBatch.NO_TIMESTAMP`).
pub const NO_TIMESTAMP: Timestamp = -1;
/// The wire's "no producer id" (`RecordBatch.NO_PRODUCER_ID`).
pub const NO_PRODUCER_ID: ProducerId = -1;
pub const NO_PRODUCER_EPOCH: ProducerEpoch = -1;
pub const NO_SEQUENCE: i32 = -1;
/// The wire's "unknown leader epoch" (`RecordBatch.NO_PARTITION_LEADER_EPOCH`).
pub const NO_LEADER_EPOCH: LeaderEpoch = -1;
