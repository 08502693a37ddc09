//! What one cleaning read and wrote (class `CleanerStats`).

use crate::common::Offset;

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct CleanerStats {
    pub map_bytes_read: u64,
    pub map_messages_read: u64,
    pub bytes_read: u64,
    pub bytes_written: u64,
    pub messages_read: u64,
    pub messages_written: u64,
    /// Records without a key: compaction drops them.
    pub invalid_messages_read: u64,
    pub index_ms: i64,
    pub elapsed_ms: i64,
    /// How full the map was, 0 to 1.
    pub buffer_utilization: f64,
}

impl CleanerStats {
    /// Says in the log what was done.
    pub fn report(&self, log: &str, from: Offset, to: Offset) {
        tracing::info!(
            log,
            from,
            to,
            bytes_read = self.bytes_read,
            bytes_written = self.bytes_written,
            messages_read = self.messages_read,
            messages_written = self.messages_written,
            index_ms = self.index_ms,
            elapsed_ms = self.elapsed_ms,
            buffer_utilization = self.buffer_utilization,
            "cleaned a log"
        );
        if self.invalid_messages_read > 0 {
            tracing::warn!(log, messages = self.invalid_messages_read, "found invalid messages during compaction");
        }
    }
}
