//! How far records are committed (`Partition.maybeIncrementLeaderHW`).

use super::{LogOffsets, PartitionState};
use crate::common::{Offset, Timestamp};

impl PartitionState {
    /// The new high watermark if it moves up: the smallest log end of everyone who is, or may be, in the ISR, and of
    /// those who are about to return, for whom we wait so that they can. Nothing is committed below
    /// `min.insync.replicas`.
    #[must_use]
    pub fn high_watermark_after(&self, now: Timestamp, log: LogOffsets, min_insync_replicas: i32) -> Option<Offset> {
        if !self.is_leader() || self.is_under_min_isr(min_insync_replicas) {
            return None;
        }
        let mut candidate = log.log_end_offset;
        for (id, replica) in &self.remotes {
            if replica.log_end_offset() < candidate
                && (self.isr.maximal_contains(*id)
                    || (!self.away.contains(id) && replica.is_caught_up(log.log_end_offset, now, self.lag_time_max_ms)))
            {
                candidate = replica.log_end_offset();
            }
        }
        (candidate > log.high_watermark).then_some(candidate)
    }
}
