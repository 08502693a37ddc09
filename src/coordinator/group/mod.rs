//! The classic group coordinator.

/// The face that handlers see (class `GroupCoordinator`).
pub struct GroupCoordinator {}
