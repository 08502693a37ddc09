//! Wiring: the order of start and stop, and the task table.
