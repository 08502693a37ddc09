//! Kafka's configuration keys: one declaration each, and everything derived from it.

pub mod topic;
