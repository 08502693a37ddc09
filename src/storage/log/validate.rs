//! What a leader checks and changes in records before it appends them (class `LogValidator`).
//!
//! The usual case, one batch of magic 2 in a codec the topic keeps, is checked record by record where it lies and
//! patched in place: no copy, and no allocation unless a record is refused. Everything else (another codec, an old
//! format, offsets that do not count up) is written anew by `rebuild`.
//!
//! The format is always magic 2: with `inter.broker.protocol.version` ≥ 3.0 Kafka ignores `message.format.version`.

mod batch_rules;
mod rebuild;
mod record_rules;
#[cfg(test)]
mod tests;

use bytes::BytesMut;

use self::{batch_rules::BatchRules, record_rules::RecordRules};
use super::AppendOrigin;
use crate::{
    common::{ErrorCode, LeaderEpoch, Offset, Timestamp, TopicPartition, ids::NO_TIMESTAMP},
    config::topic::{BrokerCompression, LogConfig},
    protocol::records::{
        RecordsError,
        batch::{self, BATCH_OVERHEAD_V2, BatchHeader, CompressionType, TimestampType},
        compression::{Compression, RecordStream},
        iter::{self, Batch},
    },
    storage::StorageError,
};

/// What the checks depend on.
#[derive(Debug, Clone, Copy)]
pub struct ValidationParams<'a> {
    pub topic_partition: &'a TopicPartition,
    pub config: &'a LogConfig,
    pub origin: AppendOrigin,
    /// Written into every batch.
    pub leader_epoch: LeaderEpoch,
    /// Wall-clock milliseconds: LogAppendTime, and what CreateTime is compared with.
    pub now: Timestamp,
    /// The log end: the first record's offset.
    pub first_offset: Offset,
}

/// Records ready to be written.
#[derive(Debug)]
pub struct Validated {
    /// The buffer that came in, unless `converted`.
    pub records: BytesMut,
    pub last_offset: Offset,
    /// −1 if no record has a time.
    pub max_timestamp: Timestamp,
    /// Last offset of the batch that holds `max_timestamp` (Kafka's `shallowOffsetOfMaxTimestamp`), which is what
    /// goes into the time index; −1 for none.
    pub offset_of_max_timestamp: Offset,
    /// −1 unless the topic's times are LogAppendTime.
    pub log_append_time: Timestamp,
    pub record_count: i32,
    /// The bytes were written anew: their size must be checked again.
    pub converted: bool,
}

/// Checks `records`, whose checksums are right, gives them offsets from `first_offset` on, and stamps leader epoch
/// and, under LogAppendTime, time. Bytes after the last whole batch are cut off.
///
/// Errors (`StorageError::Refused`): INVALID_RECORD, INVALID_TIMESTAMP, CORRUPT_MESSAGE (inner checksums of magic 0
/// and 1), MESSAGE_TOO_LARGE (while writing anew), UNKNOWN_SERVER_ERROR (payload does not decompress, unknown codec).
/// Only errors with `record_errors` carry a message to the client in Kafka.
pub fn validate_and_assign(mut records: BytesMut, params: &ValidationParams<'_>) -> Result<Validated, StorageError> {
    let found = survey(&records).map_err(refused)?;
    records.truncate(found.whole_bytes);
    let target = target_compression(params.config, found.source);
    if found.batches > 1 && (found.first.magic == 2 || found.source != CompressionType::None) {
        return Err(refused(RecordsError::Invalid("Compressed outer record has more than one batch".into())));
    }
    // Control batches stay as they are, unless their writer compressed them.
    let keeps_codec =
        found.source == target.kind || (found.source == CompressionType::None && found.first.is_control());
    if found.first.magic != 2 || !keeps_codec {
        return rebuild::rebuild(&records, &found, target, params);
    }
    BatchRules { first: &found.first, params }.check(&found.first)?;
    match check_records(&found.first, &records, params)? {
        // Kafka has skipped what it would have to write anew then, and trips over that.
        Checked { counts_up: false, .. } if found.source != CompressionType::None => {
            let message = "Offsets inside a compressed batch do not count up from its base";
            Err(StorageError::refused(ErrorCode::UnknownServerError, message))
        }
        Checked { counts_up: false, .. } => rebuild::rebuild(&records, &found, target, params),
        checked => Ok(patch(records, &found.first, &checked, params)),
    }
}

/// What the batches of a request are.
struct Found {
    first: BatchHeader,
    batches: usize,
    /// Bytes of whole batches.
    whole_bytes: usize,
    /// The last codec that is one.
    source: CompressionType,
}

fn survey(records: &[u8]) -> Result<Found, RecordsError> {
    let mut found: Option<Found> = None;
    for batch in iter::batches(records) {
        let Batch { header, bytes } = batch?;
        let codec = iter::codec_of(&header)?;
        let found = found.get_or_insert(Found { first: header, batches: 0, whole_bytes: 0, source: codec });
        found.batches += 1;
        found.whole_bytes += bytes.len();
        if codec != CompressionType::None {
            found.source = codec;
        }
    }
    found.ok_or_else(|| RecordsError::Invalid("Record batch has no batches at all".into()))
}

/// The codec the log wants (`compression.type`, KIP-390's levels).
fn target_compression(config: &LogConfig, source: CompressionType) -> Compression {
    let kind = match config.compression {
        BrokerCompression::Producer => return Compression::of(source),
        BrokerCompression::Uncompressed => return Compression::NONE,
        BrokerCompression::Gzip => CompressionType::Gzip,
        BrokerCompression::Snappy => CompressionType::Snappy,
        BrokerCompression::Lz4 => CompressionType::Lz4,
        BrokerCompression::Zstd => CompressionType::Zstd,
    };
    let level = match kind {
        CompressionType::Gzip => config.compression_gzip_level,
        CompressionType::Lz4 => config.compression_lz4_level,
        CompressionType::Zstd => config.compression_zstd_level,
        CompressionType::None | CompressionType::Snappy => 0,
    };
    Compression::with_level(kind, level)
}

/// What the walk over a batch found.
struct Checked {
    record_count: u32,
    max_timestamp: Timestamp,
    /// Offset deltas are 0, 1, 2, …
    counts_up: bool,
}

/// Walks every record of a magic-2 batch.
fn check_records(header: &BatchHeader, batch: &[u8], params: &ValidationParams<'_>) -> Result<Checked, StorageError> {
    let mut rules = RecordRules::new(header, params);
    let count = iter::record_count(header).map_err(refused)?;
    let payload = &batch[BATCH_OVERHEAD_V2..];
    let walked = match iter::codec_of(header).map_err(refused)? {
        CompressionType::None if rules.can_refuse() => walk_plain::<true>(payload, count, &mut rules),
        CompressionType::None => walk_plain::<false>(payload, count, &mut rules),
        codec => walk_compressed(codec, payload, count, &mut rules),
    };
    walked.map_err(refused)?;
    rules.finish()
}

fn walk_plain<const STRICT: bool>(payload: &[u8], count: u32, rules: &mut RecordRules<'_>) -> Result<(), RecordsError> {
    let mut at = 0;
    for _ in 0..count {
        rules.check::<STRICT>(&iter::next_meta(payload, &mut at)?);
    }
    // A batch without records is not read at all.
    if count > 0 && at != payload.len() { Err(iter::records_remain()) } else { Ok(()) }
}

fn walk_compressed(
    codec: CompressionType,
    payload: &[u8],
    count: u32,
    rules: &mut RecordRules<'_>,
) -> Result<(), RecordsError> {
    if count == 0 {
        return Ok(());
    }
    let mut stream = RecordStream::new(codec, payload, 2)?;
    for _ in 0..count {
        rules.check::<true>(&iter::read_meta(&mut stream)?);
    }
    if stream.is_at_end()? { Ok(()) } else { Err(iter::records_remain()) }
}

/// Writes offsets, epoch and time into the batch's header. The checksum changes only if a time does.
fn patch(mut records: BytesMut, header: &BatchHeader, checked: &Checked, params: &ValidationParams<'_>) -> Validated {
    let last_offset = params.first_offset.wrapping_add(i64::from(checked.record_count)).wrapping_sub(1);
    batch::set_base_offset(&mut records, last_offset.wrapping_sub(i64::from(header.last_offset_delta)));
    batch::set_leader_epoch(&mut records, params.leader_epoch);
    let kind = params.config.message_timestamp_type;
    let is_append_time = kind == TimestampType::LogAppendTime;
    let max_timestamp = if is_append_time { params.now } else { checked.max_timestamp };
    if header.timestamp_type() != kind || header.max_timestamp != max_timestamp {
        batch::set_max_timestamp(&mut records, kind, max_timestamp);
    }
    // Kafka forgets the offset of an uncompressed batch whose records have no time, and not of a compressed one.
    let has_time = max_timestamp > NO_TIMESTAMP || header.is_compressed();
    Validated {
        records,
        last_offset,
        max_timestamp,
        offset_of_max_timestamp: if has_time { last_offset } else { -1 },
        log_append_time: if is_append_time { params.now } else { NO_TIMESTAMP },
        record_count: checked.record_count as i32,
        converted: false,
    }
}

/// A refusal of the whole batch, without errors of single records.
fn refused(error: RecordsError) -> StorageError {
    StorageError::refused(error.code(), error.to_string())
}

fn invalid(message: String) -> StorageError {
    StorageError::refused(ErrorCode::InvalidRecord, message)
}
