//! Messages of magic 0 and 1 (classes `LegacyRecord`, `AbstractLegacyRecordBatch`): reading them, alone or inside a
//! compressed wrapper, and writing them for consumers of old.

use std::ops::ControlFlow;

use bytes::{BufMut, BytesMut};

use super::{
    RecordView, RecordsError,
    batch::{BatchHeader, CompressionType, LOG_OVERHEAD, MESSAGE_OVERHEAD_V0, MESSAGE_OVERHEAD_V1, TimestampType},
    compression::{Compression, Compressor, RecordStream},
};
use crate::common::{Offset, Timestamp, ids::NO_TIMESTAMP};

const MAGIC_AT: usize = 16;
const ATTRIBUTES_AT: usize = 17;
/// Smallest size a message may declare (`LegacyRecord.RECORD_OVERHEAD_V0`).
const RECORD_OVERHEAD_V0: usize = MESSAGE_OVERHEAD_V0 - LOG_OVERHEAD;

/// One message, taken apart but not checked against its CRC.
#[derive(Debug, Clone, Copy)]
pub struct LegacyMessage<'a> {
    /// As stored; relative inside a wrapper of magic 1.
    pub offset: Offset,
    pub magic: i8,
    pub attributes: u8,
    /// −1 for magic 0.
    pub timestamp: Timestamp,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    bytes: &'a [u8],
}

impl<'a> LegacyMessage<'a> {
    /// `bytes` is the whole message, from the offset on.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, RecordsError> {
        Self::take_apart(bytes).ok_or_else(RecordsError::structure)
    }

    fn take_apart(bytes: &'a [u8]) -> Option<Self> {
        if bytes.len() < MESSAGE_OVERHEAD_V0 {
            return None;
        }
        let magic = bytes[MAGIC_AT] as i8;
        let mut rest = &bytes[ATTRIBUTES_AT + 1..];
        let timestamp = match magic {
            0 => NO_TIMESTAMP,
            1 => {
                let (timestamp, tail) = rest.split_first_chunk::<8>()?;
                rest = tail;
                i64::from_be_bytes(*timestamp)
            }
            _ => return None,
        };
        let key = read_bytes(&mut rest)?;
        let value = read_bytes(&mut rest)?;
        let offset = i64::from_be_bytes(*bytes.first_chunk::<8>()?);
        Some(Self { offset, magic, attributes: bytes[ATTRIBUTES_AT], timestamp, key, value, bytes })
    }

    #[must_use]
    pub const fn is_compressed(&self) -> bool {
        self.attributes & 0x07 != 0
    }

    #[must_use]
    pub fn stored_crc(&self) -> u32 {
        u32::from_be_bytes([self.bytes[12], self.bytes[13], self.bytes[14], self.bytes[15]])
    }

    #[must_use]
    pub fn computed_crc(&self) -> u32 {
        crc32fast::hash(&self.bytes[MAGIC_AT..])
    }

    /// The same as a record of any magic.
    #[must_use]
    pub fn view(&self) -> RecordView<'a> {
        RecordView {
            offset: self.offset,
            timestamp: self.timestamp,
            key: self.key,
            value: self.value,
            headers: &[],
            header_count: 0,
        }
    }
}

fn read_bytes<'a>(rest: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let (length, tail) = rest.split_first_chunk::<4>()?;
    let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
        *rest = tail;
        return Some(None);
    };
    let (bytes, tail) = tail.split_at_checked(length)?;
    *rest = tail;
    Some(Some(bytes))
}

/// Calls `f` with every message of a batch of magic 0 or 1: itself, or what its wrapper holds, with absolute offsets
/// and the wrapper's time where it is LogAppendTime.
pub(crate) fn for_each_message(
    header: &BatchHeader,
    batch: &[u8],
    f: &mut dyn FnMut(&LegacyMessage<'_>) -> Result<ControlFlow<()>, RecordsError>,
) -> Result<(), RecordsError> {
    let wrapper = LegacyMessage::parse(batch)?;
    let codec = header.compression().ok_or_else(|| unknown_codec(header))?;
    if codec == CompressionType::None {
        return f(&wrapper).map(drop);
    }
    if codec == CompressionType::Zstd {
        return Err(RecordsError::invalid(format!(
            "Invalid wrapper compressionType found in legacy deep record iterator {}",
            header.magic
        )));
    }
    let Some(payload) = wrapper.value else {
        return Err(RecordsError::invalid(format!(
            "Found invalid compressed record set with null value (magic = {})",
            header.magic
        )));
    };
    // Offsets inside a wrapper of magic 1 count from its first record, but the wrapper's own is that of its last:
    // the base is known only after a walk to the end.
    let base = if header.magic == 1 { inner_base_offset(codec, payload, wrapper.offset)? } else { 0 };
    let append_time =
        (header.magic == 1 && header.timestamp_type() == TimestampType::LogAppendTime).then_some(wrapper.timestamp);
    let mut messages = InnerMessages::new(codec, payload, header.magic)?;
    let mut count = 0usize;
    while let Some(bytes) = messages.next()? {
        let mut message = LegacyMessage::parse(bytes)?;
        if message.is_compressed() {
            return Err(RecordsError::invalid("Inner messages must not be compressed"));
        }
        message.offset = base.wrapping_add(message.offset);
        if let (1, Some(time)) = (message.magic, append_time) {
            message.timestamp = time;
        }
        count += 1;
        if f(&message)?.is_break() {
            break;
        }
    }
    if count == 0 {
        return Err(RecordsError::invalid("Found invalid compressed record set with no inner records"));
    }
    Ok(())
}

/// [`for_each_message`], as views.
pub(crate) fn for_each_view(
    header: &BatchHeader,
    batch: &[u8],
    f: &mut dyn FnMut(&RecordView<'_>) -> Result<ControlFlow<()>, RecordsError>,
) -> Result<(), RecordsError> {
    for_each_message(header, batch, &mut |message| f(&message.view()))
}

pub(super) fn unknown_codec(header: &BatchHeader) -> RecordsError {
    RecordsError::Undecodable(format!("Unknown compression type id: {}", header.attributes & 0x07))
}

fn inner_base_offset(codec: CompressionType, payload: &[u8], wrapper_offset: Offset) -> Result<Offset, RecordsError> {
    // Some versions of librdkafka leave the wrapper's offset 0.
    if wrapper_offset == 0 {
        return Ok(0);
    }
    let mut messages = InnerMessages::new(codec, payload, 1)?;
    let mut last = 0;
    while let Some(offset) = messages.skip_next()? {
        last = offset;
    }
    if wrapper_offset < last {
        return Err(RecordsError::invalid(format!(
            "Found invalid wrapper offset in compressed v1 message set, wrapper offset '{wrapper_offset}' is less \
             than the last inner message offset '{last}' and it is not zero."
        )));
    }
    Ok(wrapper_offset - last)
}

/// The messages in a wrapper; one that is cut short ends them silently, as in Java.
struct InnerMessages<'a> {
    stream: RecordStream<'a>,
    message: Vec<u8>,
}

impl<'a> InnerMessages<'a> {
    fn new(codec: CompressionType, payload: &'a [u8], magic: i8) -> Result<Self, RecordsError> {
        Ok(Self { stream: RecordStream::new(codec, payload, magic)?, message: Vec::new() })
    }

    fn next(&mut self) -> Result<Option<&[u8]>, RecordsError> {
        let Some(size) = self.next_size()? else { return Ok(None) };
        Ok((self.stream.read_into(&mut self.message, size)? == 0).then_some(&self.message[..]))
    }

    fn skip_next(&mut self) -> Result<Option<Offset>, RecordsError> {
        let Some(size) = self.next_size()? else { return Ok(None) };
        let offset = self.message.first_chunk::<8>().map_or(0, |bytes| i64::from_be_bytes(*bytes));
        Ok((self.stream.skip(size as u64)? == 0).then_some(offset))
    }

    fn next_size(&mut self) -> Result<Option<usize>, RecordsError> {
        self.message.clear();
        if self.stream.read_into(&mut self.message, LOG_OVERHEAD)? > 0 {
            return Ok(None);
        }
        let size = self.message[8..].first_chunk::<4>().map_or(0, |bytes| i32::from_be_bytes(*bytes));
        match usize::try_from(size) {
            Ok(size) if size >= RECORD_OVERHEAD_V0 => Ok(Some(size)),
            _ => Err(RecordsError::Corrupt(format!(
                "Record size is less than the minimum record overhead ({RECORD_OVERHEAD_V0})"
            ))),
        }
    }
}

/// Writes a set of messages of magic 0 or 1: one after another, or wrapped when compressed.
pub struct LegacyBatchBuilder {
    out: Compressor,
    magic: i8,
    compression: CompressionType,
    timestamp_type: TimestampType,
    log_append_time: Timestamp,
    base_offset: Offset,
    last_offset: Offset,
    max_timestamp: Timestamp,
    wrapper_at: usize,
    is_empty: bool,
}

impl LegacyBatchBuilder {
    /// Writes after what `out` holds. `log_append_time` is every message's time under LogAppendTime.
    #[must_use]
    pub fn new(
        mut out: BytesMut,
        magic: i8,
        compression: Compression,
        timestamp_type: TimestampType,
        log_append_time: Timestamp,
        base_offset: Offset,
    ) -> Self {
        let wrapper_at = out.len();
        let kind = compression.kind;
        if kind != CompressionType::None {
            out.put_bytes(0, message_overhead(magic));
        }
        Self {
            out: Compressor::new(compression, out, magic),
            magic,
            compression: kind,
            timestamp_type,
            log_append_time,
            base_offset,
            last_offset: base_offset,
            max_timestamp: NO_TIMESTAMP,
            wrapper_at,
            is_empty: true,
        }
    }

    pub fn append(&mut self, offset: Offset, timestamp: Timestamp, key: Option<&[u8]>, value: Option<&[u8]>) {
        let timestamp =
            if self.timestamp_type == TimestampType::LogAppendTime { self.log_append_time } else { timestamp };
        let is_relative = self.magic > 0 && self.compression != CompressionType::None;
        let stored_offset = if is_relative { offset.wrapping_sub(self.base_offset) } else { offset };
        let attributes = self.attributes(CompressionType::None);

        let (mut head, length) = message_head(self.magic, attributes, timestamp, stored_offset);
        let head = &mut head[..length];
        let key_len = length_prefix(key);
        let value_len = length_prefix(value);
        let size = length - LOG_OVERHEAD + 8 + key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len);
        head[8..12].copy_from_slice(&(size as u32).to_be_bytes());
        let mut crc = crc32fast::Hasher::new();
        for part in [&head[MAGIC_AT..], &key_len[..], key.unwrap_or(&[]), &value_len[..], value.unwrap_or(&[])] {
            crc.update(part);
        }
        head[12..16].copy_from_slice(&crc.finalize().to_be_bytes());
        for part in [&*head, &key_len, key.unwrap_or(&[]), &value_len, value.unwrap_or(&[])] {
            self.out.write(part);
        }

        self.last_offset = offset;
        self.max_timestamp = self.max_timestamp.max(timestamp);
        self.is_empty = false;
    }

    /// The buffer, with the wrapper's header filled in. Without records it is as it was.
    #[must_use]
    pub fn build(self) -> BytesMut {
        let attributes = self.attributes(self.compression);
        let (at, is_empty) = (self.wrapper_at, self.is_empty);
        let mut out = self.out.finish();
        if is_empty {
            out.truncate(at);
            return out;
        }
        if self.compression == CompressionType::None {
            return out;
        }
        let timestamp = match self.timestamp_type {
            TimestampType::LogAppendTime => self.log_append_time,
            TimestampType::CreateTime => self.max_timestamp,
        };
        let (head, length) = message_head(self.magic, attributes, timestamp, self.last_offset);
        let overhead = message_overhead(self.magic);
        let wrapper = &mut out[at..];
        let size = wrapper.len() - LOG_OVERHEAD;
        let value_len = wrapper.len() - overhead;
        wrapper[..length].copy_from_slice(&head[..length]);
        wrapper[8..12].copy_from_slice(&(size as u32).to_be_bytes());
        wrapper[length..length + 4].copy_from_slice(&(-1_i32).to_be_bytes());
        wrapper[length + 4..overhead].copy_from_slice(&(value_len as u32).to_be_bytes());
        let crc = crc32fast::hash(&wrapper[MAGIC_AT..]);
        wrapper[12..16].copy_from_slice(&crc.to_be_bytes());
        out
    }

    fn attributes(&self, compression: CompressionType) -> u8 {
        let append_time = self.magic > 0 && self.timestamp_type == TimestampType::LogAppendTime;
        compression as u8 | if append_time { 0x08 } else { 0 }
    }
}

/// Offset to timestamp, with size and CRC left 0, and how much of it is used.
fn message_head(magic: i8, attributes: u8, timestamp: Timestamp, offset: Offset) -> ([u8; 26], usize) {
    let mut head = [0; 26];
    head[..8].copy_from_slice(&offset.to_be_bytes());
    head[MAGIC_AT] = magic as u8;
    head[ATTRIBUTES_AT] = attributes;
    if magic == 0 {
        return (head, ATTRIBUTES_AT + 1);
    }
    head[18..26].copy_from_slice(&timestamp.to_be_bytes());
    (head, 26)
}

const fn message_overhead(magic: i8) -> usize {
    if magic == 0 { MESSAGE_OVERHEAD_V0 } else { MESSAGE_OVERHEAD_V1 }
}

fn length_prefix(bytes: Option<&[u8]>) -> [u8; 4] {
    bytes.map_or(-1, |bytes| bytes.len() as i32).to_be_bytes()
}
