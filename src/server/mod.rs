//! Wiring: the order of start and stop, and the task table.

pub mod clock;
pub mod scheduler;
