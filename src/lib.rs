//! Monedula: a drop-in replacement for an Apache Kafka 3.9 broker in ZooKeeper mode.
//!
//! The map, in rank order; a room imports only rooms above it in this list (`tests/tidy.rs` holds that).

/// Rank 0. Values every room speaks in.
pub mod common;

/// Rank 1. Kafka's configuration keys.
pub mod config;
/// Rank 1. Names and values of what is counted.
pub mod metrics;
/// Rank 1. Bytes ↔ messages.
pub mod protocol;
/// Rank 1. Waiting for a condition on a key, or for time.
pub mod purgatory;

/// Rank 2. The cluster's image: brokers, topics, partitions.
pub mod metadata;
/// Rank 2. Logins, keys, authorities.
pub mod security;
/// Rank 2. The log.
pub mod storage;

/// Rank 3. Znodes behind one trait, Kafka's meaning on top.
pub mod coordination;
/// Rank 3. A byte stream in, chunks out.
pub mod transport;

/// Rank 4. Requests to other brokers.
pub mod client;

/// Rank 5. Partitions: leadership, appends, reads.
pub mod replication;

/// Rank 6. What the admin APIs write.
pub mod admin;
/// Rank 6. Cluster decisions.
pub mod controller;
/// Rank 6. Group coordinator.
pub mod coordinator;

/// Rank 7. One file per API.
pub mod api;

/// Rank 8. Sockets and connections.
pub mod network;

/// Rank 9. Wiring, order of start and stop, the task table.
pub mod server;
