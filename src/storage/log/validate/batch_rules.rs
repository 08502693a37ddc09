//! Rules on a batch's header (`LogValidator.validateBatch`).

use super::{StorageError, ValidationParams, invalid};
use crate::{protocol::records::batch::BatchHeader, storage::log::AppendOrigin};

pub(super) struct BatchRules<'a> {
    pub(super) first: &'a BatchHeader,
    pub(super) params: &'a ValidationParams<'a>,
}

impl BatchRules<'_> {
    pub(super) fn check(&self, batch: &BatchHeader) -> Result<(), StorageError> {
        let partition = self.params.topic_partition;
        if batch.magic != self.first.magic {
            return Err(invalid(format!(
                "Batch magic {} is not the same as the first batch's magic byte {} in topic partition {partition}",
                batch.magic, self.first.magic
            )));
        }
        // Coordinators write control batches, and without sequence numbers.
        if self.params.origin != AppendOrigin::Client {
            return Ok(());
        }
        if batch.magic == 2 {
            self.check_count(batch)?;
        }
        if batch.is_control() {
            return Err(invalid(format!(
                "Clients are not allowed to write control records in topic partition {partition}"
            )));
        }
        if batch.has_producer_id() && batch.base_sequence < 0 {
            return Err(invalid(format!(
                "Invalid sequence number {} in record batch with producerId {} in topic partition {partition}",
                batch.base_sequence, batch.producer_id
            )));
        }
        Ok(())
    }

    fn check_count(&self, batch: &BatchHeader) -> Result<(), StorageError> {
        let partition = self.params.topic_partition;
        let (base, last) = (batch.base_offset, batch.last_offset());
        let count_from_offsets = i64::from(batch.last_offset_delta) + 1;
        if count_from_offsets <= 0 {
            return Err(invalid(format!(
                "Batch has an invalid offset range: [{base}, {last}] in topic partition {partition}"
            )));
        }
        let count = batch.record_count;
        if count <= 0 {
            return Err(invalid(format!(
                "Invalid reported count for record batch: {count} in topic partition {partition}"
            )));
        }
        if count_from_offsets != i64::from(count) {
            return Err(invalid(format!(
                "Inconsistent batch offset range [{base}, {last}] and count of records {count} in topic partition \
                 {partition}"
            )));
        }
        Ok(())
    }
}
