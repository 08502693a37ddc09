//! Writing records anew: another codec, an old format, or offsets that do not count up
//! (`LogValidator.convertAndAssignOffsetsNonCompressed`, `buildRecordsAndAssignOffsets`).
//!
//! Checks and writes in one walk, record by record; the only copy of a record outside the new batch is the one being
//! decompressed.

use std::ops::ControlFlow;

use super::{BatchRules, Found, RecordRules, StorageError, Validated, ValidationParams, record_rules::Facts, refused};
use crate::{
    common::{ErrorCode, Timestamp, ids::NO_TIMESTAMP},
    protocol::records::{
        RecordBatchBuilder, RecordView, RecordsError,
        batch::{BatchHeader, CompressionType, TimestampType},
        compression::Compression,
        iter::{self, Batch},
        legacy::{LegacyMessage, for_each_message},
    },
};

pub(super) fn rebuild(
    records: &[u8],
    found: &Found,
    target: Compression,
    params: &ValidationParams<'_>,
) -> Result<Validated, StorageError> {
    let mut writer = Writer::new(found, target, params);
    for batch in iter::batches(records) {
        let Batch { header, bytes } = batch.map_err(refused)?;
        BatchRules { first: &found.first, params }.check(&header)?;
        writer.add_batch(&header, bytes)?;
    }
    writer.finish()
}

struct Writer<'a> {
    builder: RecordBatchBuilder,
    params: &'a ValidationParams<'a>,
    /// The new batch may not be larger when it is written uncompressed: an early end for bombs. Compressed sizes are
    /// known too late to help; the caller checks them.
    size_max: Option<usize>,
}

impl<'a> Writer<'a> {
    fn new(found: &Found, target: Compression, params: &'a ValidationParams<'a>) -> Self {
        let first = &found.first;
        let mut builder = RecordBatchBuilder::new(params.first_offset)
            .compression(target)
            .producer(first.producer_id, first.producer_epoch, first.base_sequence)
            .transactional(first.is_transactional())
            .control(first.is_control())
            .leader_epoch(params.leader_epoch);
        if params.config.message_timestamp_type == TimestampType::LogAppendTime {
            builder = builder.log_append_time(params.now);
        }
        let is_plain = target.kind == CompressionType::None;
        let size_max = is_plain.then(|| usize::try_from(params.config.max_message_bytes).unwrap_or(0));
        Self { builder, params, size_max }
    }

    fn add_batch(&mut self, header: &BatchHeader, bytes: &[u8]) -> Result<(), StorageError> {
        let mut rules = RecordRules::new(header, self.params);
        // Errors of ours on the way out of the walk, which speaks of records only.
        let mut stopped = None;
        let walked = if header.magic == 2 {
            iter::try_for_each_view(bytes, &mut |record| {
                rules.check_facts(facts(record));
                Ok(self.add(record, &rules, &mut stopped))
            })
        } else {
            for_each_message(header, bytes, &mut |message| {
                if message.magic == header.magic {
                    check_crc(message, header, self.params)?;
                    rules.check_facts(facts(&message.view()));
                } else {
                    rules.refuse_with(self.wrong_magic(message, header));
                }
                Ok(self.add(&message.view(), &rules, &mut stopped))
            })
        };
        if let Some(error) = stopped {
            return Err(error);
        }
        walked.map_err(refused)?;
        rules.finish().map(drop)
    }

    /// Appends a record at the next offset, as long as none was refused.
    fn add(
        &mut self,
        record: &RecordView<'_>,
        rules: &RecordRules<'_>,
        stopped: &mut Option<StorageError>,
    ) -> ControlFlow<()> {
        if !rules.is_clean() {
            return ControlFlow::Continue(());
        }
        if record.timestamp < NO_TIMESTAMP {
            *stopped = Some(StorageError::refused(
                ErrorCode::UnknownServerError,
                format!("Invalid negative timestamp {}", record.timestamp),
            ));
            return ControlFlow::Break(());
        }
        let offset = self.params.first_offset.wrapping_add(i64::from(self.builder.count()));
        self.builder.append_view(offset, record);
        if self.size_max.is_some_and(|max| self.builder.size() > max) {
            *stopped = Some(self.too_large(self.builder.size()));
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    fn too_large(&self, size: usize) -> StorageError {
        let Self { params, .. } = self;
        StorageError::refused(
            ErrorCode::MessageTooLarge,
            format!(
                "Message batch size is {size} bytes or more in append to partition {} which exceeds the maximum \
                 configured size of {}.",
                params.topic_partition, params.config.max_message_bytes
            ),
        )
    }

    fn wrong_magic(&self, message: &LegacyMessage<'_>, header: &BatchHeader) -> String {
        format!(
            "Record LegacyRecordBatch(offset={}, magic={})'s magic does not match outer magic {} in topic partition {}",
            message.offset, message.magic, header.magic, self.params.topic_partition
        )
    }

    fn finish(self) -> Result<Validated, StorageError> {
        let Self { builder, params, .. } = self;
        let record_count = builder.count();
        let is_append_time = params.config.message_timestamp_type == TimestampType::LogAppendTime;
        let max_timestamp: Timestamp = if is_append_time { params.now } else { builder.max_timestamp() };
        let last_offset = params.first_offset.wrapping_add(i64::from(record_count)).wrapping_sub(1);
        let has_time = is_append_time || max_timestamp != NO_TIMESTAMP;
        Ok(Validated {
            records: builder.build(),
            last_offset,
            max_timestamp,
            offset_of_max_timestamp: if has_time { last_offset } else { -1 },
            log_append_time: if is_append_time { params.now } else { NO_TIMESTAMP },
            record_count,
            converted: true,
        })
    }
}

fn facts(record: &RecordView<'_>) -> Facts {
    let len = |bytes: Option<&[u8]>| bytes.map_or(-1, |bytes| bytes.len() as i32);
    Facts { offset: record.offset, timestamp: record.timestamp, key_len: len(record.key), value_len: len(record.value) }
}

/// The checksum of a message inside a wrapper; that of the wrapper covers only its compressed bytes.
fn check_crc(
    message: &LegacyMessage<'_>,
    header: &BatchHeader,
    params: &ValidationParams<'_>,
) -> Result<(), RecordsError> {
    let (stored, computed) = (message.stored_crc(), message.computed_crc());
    if !header.is_compressed() || stored == computed {
        return Ok(());
    }
    Err(RecordsError::Corrupt(format!(
        "Record is corrupt (stored crc = {stored}, computed crc = {computed}) in topic partition {}",
        params.topic_partition
    )))
}
