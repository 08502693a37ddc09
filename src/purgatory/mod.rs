//! Operations that wait for a condition on a key, or for time (class `DelayedOperationPurgatory`). Pure: no clock, no task.
