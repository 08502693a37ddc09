//! Operations that wait for a condition on a key, or for time (class `DelayedOperationPurgatory`). Pure: no clock, no task.
//!
//! An operation is any value. It is watched under the keys whose change may complete it; whoever changes a key calls
//! [`Purgatory::check`]; whoever owns the clock calls [`Purgatory::advance`]. Each operation comes out exactly once.

pub mod operation;
#[allow(clippy::module_inception)]
pub mod purgatory;
pub mod timing_wheel;
pub mod watchers;

pub use operation::OperationId;
pub use purgatory::Purgatory;
pub use timing_wheel::TimingWheel;
