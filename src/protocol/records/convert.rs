//! Down-conversion for old consumers: Fetch v0–1 read magic 0, v2–3 read magic 1 (classes `RecordsUtil`,
//! `LazyDownConversionRecords`).

use std::ops::ControlFlow;

use bytes::{BufMut, Bytes, BytesMut};

use super::{
    RecordsError,
    batch::{BATCH_OVERHEAD_V2, CompressionType, TimestampType},
    compression::Compression,
    iter::{Batch, batches, try_for_each_view},
    legacy::LegacyBatchBuilder,
};
use crate::common::{Offset, ids::NO_TIMESTAMP};

/// The greatest magic a consumer of this Fetch version reads.
#[must_use]
pub const fn magic_for_fetch(version: i16) -> i8 {
    match version {
        ..=1 => 0,
        2 | 3 => 1,
        _ => 2,
    }
}

/// Whether `records` holds a batch of a magic above `to_magic`, or one that cannot be told.
#[must_use]
pub fn needs_down_conversion(records: &[u8], to_magic: i8) -> bool {
    batches(records).any(|batch| batch.map_or(true, |batch| batch.header.magic > to_magic))
}

/// The whole batches of `records` in a magic of at most `to_magic` (0 or 1): headers, producer ids and control batches
/// are lost, offsets stay. Of uncompressed batches the records below `first_offset` are dropped, as versions of
/// librdkafka rely on.
///
/// When batches were there but none survives (transaction markers only), the answer is 12 bytes that begin a batch
/// too large to fit, so that the consumer does not take the log for empty.
///
/// Errors: `UnsupportedCompression` if the first batch to convert is zstd; a later one ends the answer instead.
pub fn down_convert(records: &[u8], to_magic: i8, first_offset: Offset) -> Result<Bytes, RecordsError> {
    let mut out = BytesMut::with_capacity(records.len());
    let mut seen_any = false;
    for batch in batches(records) {
        let batch = batch?;
        seen_any = true;
        if batch.header.is_control() {
            continue;
        }
        if batch.header.compression() == Some(CompressionType::Zstd) {
            if out.is_empty() {
                return Err(RecordsError::UnsupportedCompression(
                    "Down-conversion of zstandard-compressed batches is not supported".into(),
                ));
            }
            break;
        }
        if batch.header.magic <= to_magic {
            out.extend_from_slice(batch.bytes);
        } else {
            out = convert_batch(out, &batch, to_magic, first_offset)?;
        }
    }
    if out.is_empty() && seen_any {
        out.put_i64(-1);
        out.put_i32(BATCH_OVERHEAD_V2 as i32);
    }
    Ok(out.freeze())
}

fn convert_batch(
    out: BytesMut,
    batch: &Batch<'_>,
    to_magic: i8,
    first_offset: Offset,
) -> Result<BytesMut, RecordsError> {
    let header = &batch.header;
    let timestamp_type = header.timestamp_type();
    let append_time = if timestamp_type == TimestampType::LogAppendTime { header.max_timestamp } else { NO_TIMESTAMP };
    let compression = Compression::of(header.compression().unwrap_or(CompressionType::None));
    // Relative offsets of magic 1 count from the first record that is left.
    let mut out = Some(out);
    let mut builder = None;
    try_for_each_view(batch.bytes, &mut |record| {
        if !header.is_compressed() && record.offset < first_offset {
            return Ok(ControlFlow::Continue(()));
        }
        if let Some(out) = out.take() {
            builder =
                Some(LegacyBatchBuilder::new(out, to_magic, compression, timestamp_type, append_time, record.offset));
        }
        if let Some(builder) = &mut builder {
            builder.append(record.offset, record.timestamp, record.key, record.value);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(match builder {
        Some(builder) => builder.build(),
        None => out.unwrap_or_default(),
    })
}
