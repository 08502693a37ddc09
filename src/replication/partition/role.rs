//! What this broker is to a partition.

use crate::common::{BrokerId, Offset};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The controller has not spoken yet.
    Unassigned,
    /// Appends go here. Records before `epoch_start_offset` are of earlier leaders; until the high watermark has passed
    /// it, "latest" is not known for certain (KIP-207).
    Leader { epoch_start_offset: Offset },
    /// Copies from `leader` (−1: there is none).
    Follower { leader: BrokerId },
}
