//! A fetch waits for `min_bytes`.

use super::{Condition, PartitionKey};

/// Done when the partitions together have grown by the bytes that were missing. An estimate on the early side: whoever
/// is woken reads, and waits again for the rest if a limit or an open transaction hid some of it.
pub struct FetchDone {
    pub bytes_missing: usize,
    /// Followers read what is appended, consumers what is committed.
    pub to_log_end: bool,
}

/// Bytes that became readable; `usize::MAX` if nobody knows.
#[derive(Debug, Clone, Copy)]
pub enum Readable {
    Appended(usize),
    Committed(usize),
}

impl Condition for FetchDone {
    type Change = Readable;

    fn changed(&mut self, _key: PartitionKey, change: Readable) -> bool {
        let bytes = match change {
            Readable::Appended(bytes) if self.to_log_end => bytes,
            Readable::Committed(bytes) if !self.to_log_end => bytes,
            _ => return false,
        };
        self.bytes_missing = self.bytes_missing.saturating_sub(bytes);
        self.bytes_missing == 0
    }
}
