//! The state machine: bytes as Kafka writes them, a table of what is refused when, and random runs.

mod golden;
mod harness;
mod random;
mod stories;
