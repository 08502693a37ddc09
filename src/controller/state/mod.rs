//! What the controller knows and how it decides. Pure: a test needs no tree, no network and no clock.

pub mod alter_partition;
pub mod brokers;
pub mod census;
pub mod context;
pub mod controlled_shutdown;
pub mod deletion;
pub mod election;
pub mod partition_states;
pub mod preferred;
pub mod reassignment;
pub mod requests;

#[cfg(test)]
mod tests;

pub use context::{ControllerContext, PartitionContext, TopicContext};
