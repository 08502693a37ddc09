//! DeleteRecords of one partition (`ReplicaManager.deleteRecords`, `Partition.deleteRecordsOnLeader`).

use std::time::Duration;

use super::{
    DeleteRecordsResult, ReplicaManager,
    delayed::{PendingOffsets, delete_records::DeleteDone},
};
use crate::common::{ErrorCode, Offset, TopicPartition, ids::NO_OFFSET, topic_name};

/// "Up to the high watermark".
const HIGH_WATERMARK: Offset = -1;

impl ReplicaManager {
    /// DeleteRecords of one partition; `offset` −1 means the high watermark.
    pub async fn delete_records(&self, tp: &TopicPartition, offset: Offset, timeout_ms: i32) -> DeleteRecordsResult {
        let (requested, low_watermark) = match self.delete_records_on_leader(tp, offset) {
            Ok(done) => done,
            Err(error) => return DeleteRecordsResult { error, low_watermark: NO_OFFSET },
        };
        if low_watermark >= requested {
            return DeleteRecordsResult { error: ErrorCode::None, low_watermark };
        }
        self.await_low_watermark(tp, requested, timeout_ms).await
    }

    /// Forgets records here. Returns the offset asked for and the low watermark it left.
    fn delete_records_on_leader(&self, tp: &TopicPartition, offset: Offset) -> Result<(Offset, Offset), ErrorCode> {
        if topic_name::is_internal(&tp.topic) {
            return Err(ErrorCode::InvalidTopicException);
        }
        let partition = self.partition(tp)?;
        let state = partition.state();
        if !state.is_leader() {
            return Err(ErrorCode::NotLeaderOrFollower);
        }
        if !partition.log().config().cleanup_delete {
            return Err(ErrorCode::PolicyViolation);
        }
        let high_watermark = partition.log().high_watermark();
        let requested = if offset == HIGH_WATERMARK { high_watermark } else { offset };
        if !(0..=high_watermark).contains(&requested) {
            return Err(ErrorCode::OffsetOutOfRange);
        }
        partition
            .log()
            .advance_log_start_offset(requested, self.clock.now_ms())
            .map_err(|failure| self.note_failure(tp, &failure))?;
        let low_watermark = state.low_watermark(partition.log().log_start_offset());
        drop(state);
        self.delayed_delete.changed(partition.key, low_watermark);
        Ok((requested, low_watermark))
    }

    async fn await_low_watermark(
        &self,
        tp: &TopicPartition,
        requested: Offset,
        timeout_ms: i32,
    ) -> DeleteRecordsResult {
        let timeout = Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0));
        let low_watermark = || {
            let partition = self.partition(tp)?;
            partition.state().check_leader(-1)?;
            Ok(partition.low_watermark())
        };
        if let Ok(partition) = self.partition(tp) {
            let done = DeleteDone(PendingOffsets::new([(partition.key, requested)]));
            let already = || low_watermark().map_or(true, |low| low >= requested);
            self.delayed_delete.wait([partition.key], done, timeout, already).await;
        }
        match low_watermark() {
            Ok(low) if low >= requested => DeleteRecordsResult { error: ErrorCode::None, low_watermark: low },
            Ok(low) => DeleteRecordsResult { error: ErrorCode::RequestTimedOut, low_watermark: low },
            Err(error) => DeleteRecordsResult { error, low_watermark: NO_OFFSET },
        }
    }
}
