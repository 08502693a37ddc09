//! What the controller knows and how it decides. Pure: a test needs no tree, no network and no clock.

pub mod context;
pub mod deletion;
pub mod partition_states;
pub mod requests;

#[cfg(test)]
mod tests;

pub use context::{ControllerContext, PartitionContext, TopicContext};
