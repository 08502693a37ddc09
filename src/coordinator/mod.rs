//! Coordinators: event-sourced state machines over internal topics, and the runtime that drives them.

mod codec;
pub mod group;
pub mod machine;
pub mod producer_ids;
pub mod runtime;
#[cfg(test)]
mod story_files;
pub mod transaction;
pub mod txn_markers;
pub mod txn_verifier;
