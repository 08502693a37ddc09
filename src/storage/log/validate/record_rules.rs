//! Rules on each record (`LogValidator.validateRecord`), as a tight loop's body with its misses kept out of line.

use super::{Checked, StorageError, ValidationParams};
use crate::{
    common::{ErrorCode, Offset, Timestamp, ids::NO_TIMESTAMP},
    config::topic::LogConfig,
    protocol::records::{
        batch::{BatchHeader, TimestampType},
        iter::base_of,
        view::{Base, RecordMeta},
    },
    storage::error::RecordError,
};

/// Most record errors named in an error's own message.
const SHOWN_ERRORS_MAX: usize = 3;

pub(super) struct RecordRules<'a> {
    params: &'a ValidationParams<'a>,
    base: Base,
    is_compressed: bool,
    key_required: bool,
    times: TimeRules,
    /// Records seen; the next one's offset delta.
    index: u32,
    max_timestamp: Timestamp,
    counts_up: bool,
    errors: Vec<RecordError>,
    any_time_error: bool,
}

/// A record as far as its rules go.
#[derive(Clone, Copy)]
pub(super) struct Facts {
    pub(super) offset: Offset,
    pub(super) timestamp: Timestamp,
    /// Negative: null.
    pub(super) key_len: i32,
    pub(super) value_len: i32,
}

impl<'a> RecordRules<'a> {
    pub(super) fn new(header: &BatchHeader, params: &'a ValidationParams<'a>) -> Self {
        Self {
            params,
            base: base_of(header),
            is_compressed: header.is_compressed(),
            key_required: params.config.cleanup_compact,
            times: TimeRules::new(header, params),
            index: 0,
            max_timestamp: NO_TIMESTAMP,
            counts_up: true,
            errors: Vec::new(),
            any_time_error: false,
        }
    }

    /// Whether any record can be refused at all: not with Kafka's defaults on a topic that is not compacted.
    pub(super) fn can_refuse(&self) -> bool {
        self.key_required || self.times.can_refuse()
    }

    /// Checks the next record of a magic-2 batch. `STRICT` is what [`Self::can_refuse`] says.
    #[inline(always)]
    pub(super) fn check<const STRICT: bool>(&mut self, record: &RecordMeta) {
        let timestamp = self.base.timestamp(record.timestamp_delta);
        self.counts_up &= record.offset_delta as u32 == self.index;
        if STRICT && ((self.key_required & (record.key_len < 0)) | self.times.refuses(timestamp)) {
            self.refuse(Facts {
                offset: self.base.offset(record.offset_delta),
                timestamp,
                key_len: record.key_len,
                value_len: record.value_len,
            });
        }
        self.max_timestamp = self.max_timestamp.max(timestamp);
        self.index += 1;
    }

    /// Checks the next record of any magic; a walk that copies.
    pub(super) fn check_facts(&mut self, record: Facts) {
        if (self.key_required && record.key_len < 0) || self.times.refuses(record.timestamp) {
            self.refuse(record);
        }
        self.max_timestamp = self.max_timestamp.max(record.timestamp);
        self.index += 1;
    }

    /// Refuses the next record for a reason of the caller's.
    pub(super) fn refuse_with(&mut self, message: String) {
        self.errors.push(RecordError { batch_index: self.index as i32, message });
        self.index += 1;
    }

    pub(super) fn is_clean(&self) -> bool {
        self.errors.is_empty()
    }

    #[cold]
    #[inline(never)]
    fn refuse(&mut self, record: Facts) {
        let message = if self.key_required && record.key_len < 0 {
            format!(
                "Compacted topic cannot accept message without key in topic partition {}",
                self.params.topic_partition
            )
        } else {
            self.any_time_error = true;
            self.times.explain(&record, self.is_compressed)
        };
        self.errors.push(RecordError { batch_index: self.index as i32, message });
    }

    /// What was found, or the errors of all records (`LogValidator.processRecordErrors`).
    pub(super) fn finish(self) -> Result<Checked, StorageError> {
        if self.errors.is_empty() {
            let Self { index, max_timestamp, counts_up, .. } = self;
            return Ok(Checked { record_count: index, max_timestamp, counts_up });
        }
        let (code, message) = if self.any_time_error {
            (ErrorCode::InvalidTimestamp, "One or more records have been rejected due to invalid timestamp".to_owned())
        } else {
            let shown: Vec<String> = self
                .errors
                .iter()
                .take(SHOWN_ERRORS_MAX)
                .map(|e| format!("RecordError(batchIndex={}, message='{}')", e.batch_index, e.message))
                .collect();
            (
                ErrorCode::InvalidRecord,
                format!(
                    "One or more records have been rejected due to {} record errors in total, and only showing the \
                     first three errors at most: [{}]",
                    self.errors.len(),
                    shown.join(", ")
                ),
            )
        };
        Err(StorageError::Refused { code, message, record_errors: self.errors })
    }
}

/// Rules on times (`LogValidator.validateTimestamp`, KIP-937).
struct TimeRules {
    now: Timestamp,
    before_max_ms: i64,
    after_max_ms: i64,
    /// The topic's times are the producers': compare them with `now`.
    is_create_time: bool,
    /// The producer claims LogAppendTime, which is the broker's to give.
    batch_claims_append_time: bool,
}

impl TimeRules {
    fn new(header: &BatchHeader, params: &ValidationParams<'_>) -> Self {
        let (before_max_ms, after_max_ms) = time_limits(params.config);
        Self {
            now: params.now,
            before_max_ms,
            after_max_ms,
            is_create_time: params.config.message_timestamp_type == TimestampType::CreateTime,
            batch_claims_append_time: header.magic > 0 && header.timestamp_type() == TimestampType::LogAppendTime,
        }
    }

    fn can_refuse(&self) -> bool {
        // No age is above the greatest number.
        let limits = self.before_max_ms < i64::MAX || self.after_max_ms < i64::MAX;
        self.batch_claims_append_time || (self.is_create_time && limits)
    }

    #[inline(always)]
    fn refuses(&self, timestamp: Timestamp) -> bool {
        if self.is_create_time && timestamp != NO_TIMESTAMP {
            // Wraps as Java's arithmetic does.
            let age = self.now.wrapping_sub(timestamp);
            return (age > self.before_max_ms) | (age.wrapping_neg() > self.after_max_ms);
        }
        self.batch_claims_append_time
    }

    fn explain(&self, record: &Facts, is_compressed: bool) -> String {
        if self.is_create_time && record.timestamp != NO_TIMESTAMP {
            return format!(
                "Timestamp {} of message with offset {} is out of range. The timestamp should be within [{}, {}]",
                record.timestamp,
                record.offset,
                self.now.wrapping_sub(self.before_max_ms),
                self.now.wrapping_add(self.after_max_ms)
            );
        }
        // Java prints its record class here: the one that skips keys when it decompresses.
        let (class, null) = if is_compressed { ("PartialDefaultRecord", -1) } else { ("DefaultRecord", 0) };
        let size = |len: i32| if len < 0 { null } else { len };
        format!(
            "Invalid timestamp type in message {class}(offset={}, timestamp={}, key={} bytes, value={} bytes). \
             Producer should not set timestamp type to LogAppendTime.",
            record.offset,
            record.timestamp,
            size(record.key_len),
            size(record.value_len)
        )
    }
}

/// `message.timestamp.{before,after}.max.ms`; where one is at its default, the older
/// `message.timestamp.difference.max.ms` holds.
fn time_limits(config: &LogConfig) -> (i64, i64) {
    let or_old = |limit: i64| if limit == i64::MAX { config.message_timestamp_difference_max_ms } else { limit };
    (or_old(config.message_timestamp_before_max_ms), or_old(config.message_timestamp_after_max_ms))
}
