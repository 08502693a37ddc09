//! The fixed part of a batch, parsed once into a value (classes `DefaultRecordBatch`, `AbstractLegacyRecordBatch`).
//!
//! Magic 2 has a 61-byte header. Magic 0 and 1 are single messages (`offset size crc magic attributes [timestamp]`),
//! a compressed one wraps others; here such a message is a batch of its own and its stored offset is its *last* offset.

use crate::common::ids::{
    LeaderEpoch, NO_LEADER_EPOCH, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE, NO_TIMESTAMP, Offset, ProducerEpoch,
    ProducerId, Timestamp,
};

/// Base offset and length: what every magic begins with.
pub const LOG_OVERHEAD: usize = 12;
/// Enough bytes to know any magic (`Records.HEADER_SIZE_UP_TO_MAGIC`).
pub const HEADER_SIZE_UP_TO_MAGIC: usize = 17;
/// `DefaultRecordBatch.RECORD_BATCH_OVERHEAD`.
pub const BATCH_OVERHEAD_V2: usize = 61;
/// Smallest whole message: header, crc, magic, attributes, null key and value.
pub const MESSAGE_OVERHEAD_V0: usize = LOG_OVERHEAD + 14;
pub const MESSAGE_OVERHEAD_V1: usize = LOG_OVERHEAD + 22;

const OFFSET_LEADER_EPOCH: usize = 12;
pub(crate) const OFFSET_MAGIC: usize = 16;
const OFFSET_CRC: usize = 17;
pub(crate) const OFFSET_ATTRIBUTES: usize = 21;
/// In the attributes' low byte.
pub(crate) const TRANSACTIONAL_BIT: u8 = 0x10;
const OFFSET_MAX_TIMESTAMP: usize = 35;

/// Attribute bits 0–2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum CompressionType {
    None = 0,
    Gzip = 1,
    Snappy = 2,
    Lz4 = 3,
    Zstd = 4,
}

impl CompressionType {
    #[must_use]
    pub const fn from_id(id: u8) -> Option<Self> {
        Some(match id {
            0 => Self::None,
            1 => Self::Gzip,
            2 => Self::Snappy,
            3 => Self::Lz4,
            4 => Self::Zstd,
            _ => return None,
        })
    }
}

/// Attribute bit 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimestampType {
    CreateTime,
    LogAppendTime,
}

/// Why bytes are not a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    #[error("fewer bytes than the header needs")]
    Truncated,
    #[error("record size {0} is less than the minimum record overhead")]
    TooSmall(i32),
    #[error("magic {0} is none of 0, 1, 2")]
    UnknownMagic(i8),
}

/// The parsed header of one batch of any magic. Fields a magic lacks hold the wire's "none".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHeader {
    /// First offset of the batch (magic 2). For magic 0 and 1 the stored offset, which is the last one.
    pub base_offset: Offset,
    /// Whole size on disk and wire, with the 12 bytes of offset and length.
    pub size: usize,
    pub leader_epoch: LeaderEpoch,
    pub magic: i8,
    /// CRC-32C of everything from the attributes (magic 2), or IEEE CRC-32 of everything from the magic byte.
    pub crc: u32,
    pub attributes: i16,
    pub last_offset_delta: i32,
    pub base_timestamp: Timestamp,
    pub max_timestamp: Timestamp,
    pub producer_id: ProducerId,
    pub producer_epoch: ProducerEpoch,
    pub base_sequence: i32,
    /// −1 for magic 0 and 1: not known without decompressing.
    pub record_count: i32,
}

fn i16_at(bytes: &[u8], at: usize) -> i16 {
    i16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn i32_at(bytes: &[u8], at: usize) -> i32 {
    i32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn i64_at(bytes: &[u8], at: usize) -> i64 {
    (i64::from(i32_at(bytes, at)) << 32) | i64::from(i32_at(bytes, at + 4) as u32)
}

impl BatchHeader {
    /// Parses the header at the start of `bytes`, which may hold less than the whole batch, but not less than the
    /// header: 61 bytes are always enough; a magic-0 or -1 message shorter than that must be whole.
    pub fn parse(bytes: &[u8]) -> Result<Self, HeaderError> {
        if bytes.len() < HEADER_SIZE_UP_TO_MAGIC {
            return Err(HeaderError::Truncated);
        }
        let length = i32_at(bytes, 8);
        let magic = bytes[OFFSET_MAGIC] as i8;
        let overhead = match magic {
            0 => MESSAGE_OVERHEAD_V0,
            1 => MESSAGE_OVERHEAD_V1,
            2 => BATCH_OVERHEAD_V2,
            other => return Err(HeaderError::UnknownMagic(other)),
        };
        let size = usize::try_from(length).map_err(|_| HeaderError::TooSmall(length))? + LOG_OVERHEAD;
        if size < overhead {
            return Err(HeaderError::TooSmall(length));
        }
        if bytes.len() < overhead {
            return Err(HeaderError::Truncated);
        }
        Ok(if magic == 2 { Self::parse_v2(bytes, size) } else { Self::parse_legacy(bytes, size, magic) })
    }

    fn parse_v2(bytes: &[u8], size: usize) -> Self {
        Self {
            base_offset: i64_at(bytes, 0),
            size,
            leader_epoch: i32_at(bytes, OFFSET_LEADER_EPOCH),
            magic: 2,
            crc: i32_at(bytes, OFFSET_CRC) as u32,
            attributes: i16_at(bytes, OFFSET_ATTRIBUTES),
            last_offset_delta: i32_at(bytes, 23),
            base_timestamp: i64_at(bytes, 27),
            max_timestamp: i64_at(bytes, OFFSET_MAX_TIMESTAMP),
            producer_id: i64_at(bytes, 43),
            producer_epoch: i16_at(bytes, 51),
            base_sequence: i32_at(bytes, 53),
            record_count: i32_at(bytes, 57),
        }
    }

    fn parse_legacy(bytes: &[u8], size: usize, magic: i8) -> Self {
        let timestamp = if magic == 1 { i64_at(bytes, 18) } else { NO_TIMESTAMP };
        Self {
            base_offset: i64_at(bytes, 0),
            size,
            leader_epoch: NO_LEADER_EPOCH,
            magic,
            crc: i32_at(bytes, 12) as u32,
            attributes: i16::from(bytes[17]),
            last_offset_delta: 0,
            base_timestamp: timestamp,
            max_timestamp: timestamp,
            producer_id: NO_PRODUCER_ID,
            producer_epoch: NO_PRODUCER_EPOCH,
            base_sequence: NO_SEQUENCE,
            record_count: -1,
        }
    }

    #[must_use]
    pub const fn last_offset(&self) -> Offset {
        self.base_offset.wrapping_add(self.last_offset_delta as i64)
    }

    #[must_use]
    pub const fn next_offset(&self) -> Offset {
        self.last_offset().wrapping_add(1)
    }

    /// `None` for ids that no codec has.
    #[must_use]
    pub const fn compression(&self) -> Option<CompressionType> {
        CompressionType::from_id((self.attributes & 0x07) as u8)
    }

    #[must_use]
    pub const fn timestamp_type(&self) -> TimestampType {
        if self.attributes & 0x08 == 0 { TimestampType::CreateTime } else { TimestampType::LogAppendTime }
    }

    #[must_use]
    pub const fn is_transactional(&self) -> bool {
        self.magic == 2 && self.attributes & 0x10 != 0
    }

    #[must_use]
    pub const fn is_control(&self) -> bool {
        self.magic == 2 && self.attributes & 0x20 != 0
    }

    /// `base_timestamp` is then the tombstones' delete horizon (KIP-534).
    #[must_use]
    pub const fn has_delete_horizon(&self) -> bool {
        self.magic == 2 && self.attributes & 0x40 != 0
    }

    #[must_use]
    pub const fn has_producer_id(&self) -> bool {
        self.producer_id > NO_PRODUCER_ID
    }

    #[must_use]
    pub const fn is_compressed(&self) -> bool {
        self.attributes & 0x07 != 0
    }

    /// Sequence number of the last record, wrapping at 2³¹ as producers do.
    #[must_use]
    pub const fn last_sequence(&self) -> i32 {
        if self.base_sequence == NO_SEQUENCE {
            return NO_SEQUENCE;
        }
        let last = self.base_sequence as i64 + self.last_offset_delta as i64;
        if last > i32::MAX as i64 { (last - i32::MAX as i64 - 1) as i32 } else { last as i32 }
    }
}

/// Whether the checksum of a whole batch (`bytes.len() == header.size`) is right.
#[must_use]
pub fn is_crc_valid(header: &BatchHeader, bytes: &[u8]) -> bool {
    if bytes.len() != header.size {
        return false;
    }
    if header.magic == 2 {
        crc32c::crc32c(&bytes[OFFSET_ATTRIBUTES..]) == header.crc
    } else {
        crc32fast::hash(&bytes[OFFSET_MAGIC..]) == header.crc
    }
}

/// Writes the offset a magic-2 batch begins at (or a legacy message has). Outside the CRC.
pub fn set_base_offset(batch: &mut [u8], offset: Offset) {
    batch[..8].copy_from_slice(&offset.to_be_bytes());
}

/// Writes the epoch of the leader that appends a magic-2 batch. Outside the CRC.
pub fn set_leader_epoch(batch: &mut [u8], epoch: LeaderEpoch) {
    batch[OFFSET_LEADER_EPOCH..OFFSET_LEADER_EPOCH + 4].copy_from_slice(&epoch.to_be_bytes());
}

/// Rewrites timestamp type and maximum timestamp of a magic-2 batch, and its CRC (class `DefaultRecordBatch.setMaxTimestamp`).
pub fn set_max_timestamp(batch: &mut [u8], kind: TimestampType, max_timestamp: Timestamp) {
    // Java keeps only the bits it knows.
    let attributes = i16_at(batch, OFFSET_ATTRIBUTES) & 0x7f & !0x08;
    let bit = if kind == TimestampType::LogAppendTime { 0x08 } else { 0 };
    batch[OFFSET_ATTRIBUTES..OFFSET_ATTRIBUTES + 2].copy_from_slice(&(attributes | bit).to_be_bytes());
    batch[OFFSET_MAX_TIMESTAMP..OFFSET_MAX_TIMESTAMP + 8].copy_from_slice(&max_timestamp.to_be_bytes());
    update_crc(batch);
}

/// Writes the checksum of a whole magic-2 batch.
pub fn update_crc(batch: &mut [u8]) {
    let crc = crc32c::crc32c(&batch[OFFSET_ATTRIBUTES..]);
    batch[OFFSET_CRC..OFFSET_CRC + 4].copy_from_slice(&crc.to_be_bytes());
}
