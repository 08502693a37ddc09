//! A fetch waits for `min_bytes`.

use super::{Condition, PartitionKey};

/// Done when the partitions together have grown by the bytes that were missing. An estimate on the early side: whoever
/// is woken reads, and waits again for the rest if a limit or an open transaction hid some of it.
pub struct FetchDone {
    pub bytes_missing: usize,
}

impl Condition for FetchDone {
    /// Bytes that became readable; `usize::MAX` if nobody knows.
    type Change = usize;

    fn changed(&mut self, _key: PartitionKey, bytes: usize) -> bool {
        self.bytes_missing = self.bytes_missing.saturating_sub(bytes);
        self.bytes_missing == 0
    }
}
