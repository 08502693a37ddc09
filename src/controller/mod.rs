//! Cluster decisions: which broker leads what (class `KafkaController`).
//!
//! What is decided is pure and in `state`; `event_loop` reads the tree, asks `state`, writes the tree and says what
//! brokers must do as a stream of [`ControllerOutput`]s. It knows neither logs nor sockets: who receives the stream
//! carries it out, or sends it to other brokers.

pub mod adopt;
pub mod command;
pub mod event_loop;
pub mod loader;
pub mod output;
pub mod state;

#[cfg(test)]
mod tests;

pub use adopt::{AdoptedTopic, adopt_existing};
pub use command::{CommandQueue, ControllerHandle};
pub use event_loop::{Controller, ControllerConfig};
pub use output::{ControllerOutput, LeaderAndIsrPartition, StopReplicaPartition, StopReplicaReply};
