//! Cluster decisions: which broker leads what (class `KafkaController`).
//!
//! What is decided is pure and in `state`; `reign` reads the tree, asks `state`, writes the tree and tells brokers what to
//! do: the one in this process as a stream of [`ControllerOutput`]s, whose receiver carries them out, and others over
//! `channels`. It knows nothing of logs.

pub mod adopt;
pub mod channels;
pub mod command;
pub mod event_loop;
pub mod loader;
pub mod output;
mod reign;
pub mod state;
pub mod wire;

#[cfg(test)]
mod tests;

pub use adopt::{AdoptedTopic, adopt_existing};
pub use command::{CommandQueue, ControllerHandle};
pub use event_loop::{Controller, ControllerConfig};
pub use output::{ControllerOutput, LeaderAndIsrPartition, StopReplicaPartition, StopReplicaReply};
