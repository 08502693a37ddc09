//! A produce with acks=all waits for the high watermark to pass its last record.

use super::{Condition, PartitionKey, PendingOffsets};
use crate::common::Offset;

/// Done when each partition's high watermark has reached the offset after its last record.
pub struct ProduceDone(pub PendingOffsets);

impl Condition for ProduceDone {
    /// The new high watermark.
    type Change = Offset;

    fn changed(&mut self, key: PartitionKey, high_watermark: Offset) -> bool {
        self.0.reached(key, high_watermark)
    }
}
