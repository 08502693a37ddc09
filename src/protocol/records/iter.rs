//! Walking batches in a buffer and records in a batch, of every magic and codec (classes `ByteBufferLogInputStream`,
//! `DefaultRecordBatch`'s iterators).

use std::ops::ControlFlow;

use super::{
    RecordView, RecordsError,
    batch::{BATCH_OVERHEAD_V2, BatchHeader, CompressionType, HEADER_SIZE_UP_TO_MAGIC, LOG_OVERHEAD, TimestampType},
    compression::RecordStream,
    legacy,
    varint::{MAX_VARINT, read_varint},
    view::{Base, RecordMeta, scan_body, view_body},
};
use crate::common::{Offset, Timestamp};

/// Smallest length any batch may declare (`LegacyRecord.RECORD_OVERHEAD_V0`).
const LENGTH_MIN: i32 = 14;

/// A whole batch and its parsed header.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    pub header: BatchHeader,
    pub bytes: &'a [u8],
}

/// The whole batches at the start of `bytes`. A batch that is cut short ends them silently; after an error there is
/// nothing more.
#[must_use]
pub fn batches(bytes: &[u8]) -> Batches<'_> {
    Batches { rest: bytes }
}

#[derive(Debug, Clone)]
pub struct Batches<'a> {
    rest: &'a [u8],
}

impl<'a> Batches<'a> {
    /// What no whole batch was found in yet.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    fn parse_next(&self) -> Result<Option<Batch<'a>>, RecordsError> {
        let Some(bytes) = whole_frame(self.rest)? else { return Ok(None) };
        let header = BatchHeader::parse(bytes).map_err(|_| {
            RecordsError::Corrupt(format!(
                "Record batch is corrupt (the size {} is smaller than the minimum allowed overhead {BATCH_OVERHEAD_V2})",
                bytes.len()
            ))
        })?;
        Ok(Some(Batch { header, bytes }))
    }
}

/// The bytes of the batch that `rest` begins with, of which only length and magic have been looked at; `None` if it is
/// cut short (`ByteBufferLogInputStream.nextBatch`). At least [`LENGTH_MIN`] bytes follow the length.
pub(crate) fn whole_frame(rest: &[u8]) -> Result<Option<&[u8]>, RecordsError> {
    if rest.len() < LOG_OVERHEAD {
        return Ok(None);
    }
    let length = i32::from_be_bytes([rest[8], rest[9], rest[10], rest[11]]);
    if length < LENGTH_MIN {
        return Err(RecordsError::Corrupt(format!(
            "Record size {length} is less than the minimum record overhead ({LENGTH_MIN})"
        )));
    }
    if rest.len() < HEADER_SIZE_UP_TO_MAGIC {
        return Ok(None);
    }
    let magic = rest[HEADER_SIZE_UP_TO_MAGIC - 1] as i8;
    if !(0..=2).contains(&magic) {
        return Err(RecordsError::Corrupt(format!("Invalid magic found in record: {magic}")));
    }
    Ok(rest.get(..length as usize + LOG_OVERHEAD))
}

impl<'a> Iterator for Batches<'a> {
    type Item = Result<Batch<'a>, RecordsError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.parse_next().transpose()? {
            Ok(batch) => {
                self.rest = &self.rest[batch.bytes.len()..];
                Some(Ok(batch))
            }
            Err(error) => {
                self.rest = &[];
                Some(Err(error))
            }
        }
    }
}

/// Calls `f` with offset and timestamp of each record of one whole batch until it breaks. Keys and values are passed
/// over, not copied. The error is for a log line.
pub fn for_each_record(batch: &[u8], f: &mut dyn FnMut(Offset, Timestamp) -> ControlFlow<()>) -> Result<(), String> {
    let header = parse_whole(batch).map_err(|e| e.to_string())?;
    let result = if header.magic == 2 {
        let base = base_of(&header);
        for_each_meta(&header, batch, &mut |meta| {
            f(base.offset(meta.offset_delta), base.timestamp(meta.timestamp_delta))
        })
    } else {
        legacy::for_each_message(&header, batch, &mut |message| Ok(f(message.offset, message.timestamp)))
    };
    result.map_err(|e| e.to_string())
}

/// Calls `f` with each record of one whole batch until it breaks. Of an uncompressed batch the slices are the
/// batch's own; of a compressed one they live until `f` returns. The error is for a log line.
pub fn for_each_record_view(batch: &[u8], f: &mut dyn FnMut(&RecordView<'_>) -> ControlFlow<()>) -> Result<(), String> {
    try_for_each_view(batch, &mut |view| Ok(f(view))).map_err(|e| e.to_string())
}

/// [`for_each_record_view`] for callers that may fail themselves.
pub fn try_for_each_view(
    batch: &[u8],
    f: &mut dyn FnMut(&RecordView<'_>) -> Result<ControlFlow<()>, RecordsError>,
) -> Result<(), RecordsError> {
    let header = parse_whole(batch)?;
    if header.magic < 2 {
        return legacy::for_each_view(&header, batch, f);
    }
    let base = base_of(&header);
    let mut left = record_count(&header)?;
    if left == 0 {
        // What compaction leaves of a batch whose records are all gone; as in Java, not looked into.
        return Ok(());
    }
    let payload = &batch[BATCH_OVERHEAD_V2..];
    let mut walk = match codec_of(&header)? {
        CompressionType::None => {
            let mut at = 0;
            while left > 0 {
                if f(&view_body(next_body(payload, &mut at)?, &base)?)?.is_break() {
                    return Ok(());
                }
                left -= 1;
            }
            return if at == payload.len() { Ok(()) } else { Err(records_remain()) };
        }
        codec => RecordStream::new(codec, payload, header.magic)?,
    };
    let mut spill = Vec::new();
    while left > 0 {
        let step = read_record(&mut walk, &mut spill, |body| f(&view_body(body, &base)?))?;
        if step.is_break() {
            return Ok(());
        }
        left -= 1;
    }
    if walk.is_at_end()? { Ok(()) } else { Err(records_remain()) }
}

/// Fields of each record of a magic-2 batch, without its bytes.
pub(crate) fn for_each_meta(
    header: &BatchHeader,
    batch: &[u8],
    f: &mut dyn FnMut(&RecordMeta) -> ControlFlow<()>,
) -> Result<(), RecordsError> {
    let payload = &batch[BATCH_OVERHEAD_V2..];
    let count = record_count(header)?;
    if count == 0 {
        return Ok(());
    }
    match codec_of(header)? {
        CompressionType::None => {
            let mut at = 0;
            for _ in 0..count {
                if f(&next_meta(payload, &mut at)?).is_break() {
                    break;
                }
            }
        }
        codec => {
            let mut stream = RecordStream::new(codec, payload, header.magic)?;
            for _ in 0..count {
                if f(&read_meta(&mut stream)?).is_break() {
                    break;
                }
            }
        }
    }
    Ok(())
}

/// The body of the record at `at`, which moves past it.
#[inline(always)]
pub(crate) fn next_body<'a>(payload: &'a [u8], at: &mut usize) -> Result<&'a [u8], RecordsError> {
    let Some(size) = read_varint(payload, at) else { return Err(no_size(payload.len() - *at)) };
    // A negative size is as much too large as any other here.
    let size = size as u32 as usize;
    if size > payload.len() - *at {
        return Err(wrong_size(size as u32 as i32, payload.len() - *at));
    }
    let body = &payload[*at..*at + size];
    *at += size;
    Ok(body)
}

/// Fields of the record at `at`, which moves past it.
#[inline(always)]
pub(crate) fn next_meta(payload: &[u8], at: &mut usize) -> Result<RecordMeta, RecordsError> {
    let body = next_body(payload, at)?;
    match scan_body(body) {
        Some(meta) => Ok(meta),
        None => Err(RecordsError::structure()),
    }
}

/// Fields of the next record of a stream; keys, values and headers are skipped and never held.
#[inline]
pub(crate) fn read_meta(stream: &mut RecordStream<'_>) -> Result<RecordMeta, RecordsError> {
    let Some(size) = stream.read_varint()? else { return Err(premature_end()) };
    let size = usize::try_from(size).map_err(|_| RecordsError::structure())?;
    if let Some(body) = stream.buffered().get(..size) {
        let meta = scan_body(body).ok_or_else(RecordsError::structure)?;
        stream.consume(size);
        return Ok(meta);
    }
    read_meta_across_blocks(stream, size as u64)
}

/// The record does not lie whole in the buffer: field by field.
fn read_meta_across_blocks(stream: &mut RecordStream<'_>, size: u64) -> Result<RecordMeta, RecordsError> {
    let start = stream.position();
    let number = |n: Option<i32>| n.ok_or_else(RecordsError::structure);
    stream.read_byte()?.ok_or_else(RecordsError::structure)?;
    let timestamp_delta = stream.read_varlong()?.ok_or_else(RecordsError::structure)?;
    let offset_delta = number(stream.read_varint()?)?;
    let key_len = number(stream.read_varint()?)?;
    skip_bytes(stream, key_len)?;
    let value_len = number(stream.read_varint()?)?;
    skip_bytes(stream, value_len)?;
    let header_count = number(stream.read_varint()?)?;
    if header_count < 0 {
        return Err(RecordsError::invalid(format!("Found invalid number of record headers {header_count}")));
    }
    for _ in 0..header_count {
        // A count beyond the body ends here, long before it is counted to.
        if stream.position() - start >= size {
            return Err(RecordsError::structure());
        }
        let name_len = number(stream.read_varint()?)?;
        if name_len < 0 {
            return Err(RecordsError::invalid(format!("Invalid negative header key size {name_len}")));
        }
        skip_bytes(stream, name_len)?;
        let value_len = number(stream.read_varint()?)?;
        skip_bytes(stream, value_len)?;
    }
    // Kafka does not compare these for compressed batches, and consumers then fail on the record.
    let read = stream.position() - start;
    if read != size {
        return Err(RecordsError::invalid(format!(
            "Invalid record size: expected to read {size} bytes in record payload, but instead read {read}"
        )));
    }
    Ok(RecordMeta { timestamp_delta, offset_delta, key_len, value_len })
}

fn skip_bytes(stream: &mut RecordStream<'_>, count: i32) -> Result<(), RecordsError> {
    match stream.skip(count.max(0) as u64)? {
        0 => Ok(()),
        missing => Err(RecordsError::invalid(format!(
            "Reached end of input stream before skipping all bytes. Remaining bytes:{missing}"
        ))),
    }
}

/// Hands the body of the next record to `f`: where it lies, or gathered in `spill`, which grows only as bytes arrive.
fn read_record<R>(
    stream: &mut RecordStream<'_>,
    spill: &mut Vec<u8>,
    f: impl FnOnce(&[u8]) -> Result<R, RecordsError>,
) -> Result<R, RecordsError> {
    let Some(size) = stream.read_varint()? else { return Err(premature_end()) };
    let size = usize::try_from(size).map_err(|_| RecordsError::structure())?;
    if let Some(body) = stream.buffered().get(..size) {
        let result = f(body);
        stream.consume(size);
        return result;
    }
    spill.clear();
    if stream.read_into(spill, size)? > 0 {
        return Err(RecordsError::invalid(format!(
            "Invalid record size: expected {size} bytes in record payload, but the record payload reached EOF."
        )));
    }
    f(spill)
}

pub(crate) fn parse_whole(batch: &[u8]) -> Result<BatchHeader, RecordsError> {
    let header = BatchHeader::parse(batch).map_err(|e| RecordsError::Corrupt(e.to_string()))?;
    if header.size != batch.len() {
        return Err(RecordsError::Corrupt(format!("batch of {} bytes in {}", header.size, batch.len())));
    }
    Ok(header)
}

pub(crate) fn base_of(header: &BatchHeader) -> Base {
    Base {
        offset: header.base_offset,
        timestamp: header.base_timestamp,
        append_time: (header.timestamp_type() == TimestampType::LogAppendTime).then_some(header.max_timestamp),
    }
}

pub(crate) fn codec_of(header: &BatchHeader) -> Result<CompressionType, RecordsError> {
    header.compression().ok_or_else(|| legacy::unknown_codec(header))
}

/// The declared count. It bounds a loop that ends with the bytes, never an allocation.
pub(crate) fn record_count(header: &BatchHeader) -> Result<u32, RecordsError> {
    u32::try_from(header.record_count).map_err(|_| {
        RecordsError::invalid(format!(
            "Found invalid record count {} in magic v{} batch",
            header.record_count, header.magic
        ))
    })
}

#[cold]
fn premature_end() -> RecordsError {
    RecordsError::invalid("Incorrect declared batch size, premature EOF reached")
}

/// No record begins with `left` bytes to go. Java tells bytes that end from a number that does not; for the latter its
/// broker has no code.
#[cold]
fn no_size(left: usize) -> RecordsError {
    if left < MAX_VARINT { premature_end() } else { RecordsError::Undecodable("Varint is too long".into()) }
}

#[cold]
pub(crate) fn records_remain() -> RecordsError {
    RecordsError::invalid("Incorrect declared batch size, records still remaining in file")
}

#[cold]
fn wrong_size(size: i32, remaining: usize) -> RecordsError {
    RecordsError::invalid(format!(
        "Invalid record size: expected {size} bytes in record payload, but instead the buffer has only {remaining} \
         remaining bytes."
    ))
}
