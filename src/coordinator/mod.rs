//! Coordinators: event-sourced state machines over internal topics, and the runtime that drives them.

pub mod group;
pub mod producer_ids;
pub mod runtime;
#[cfg(test)]
mod story_files;
