//! A DeleteRecords waits for every replica's log start to pass the asked offset.

use super::{Condition, PartitionKey, PendingOffsets};
use crate::common::Offset;

/// Done when each partition's low watermark has reached its offset.
pub struct DeleteDone(pub PendingOffsets);

impl Condition for DeleteDone {
    /// The new low watermark.
    type Change = Offset;

    fn changed(&mut self, key: PartitionKey, low_watermark: Offset) -> bool {
        self.0.reached(key, low_watermark)
    }
}
