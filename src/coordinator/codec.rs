//! Primitive fields of Kafka's generated record schemas, read with bounds and written big-endian. Both string forms:
//! `string` (int16 length) of the classic versions, compact (unsigned varint of length + 1) of the flexible ones.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

/// Why a key or value of a coordinator's topic cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    #[error("record is cut short")]
    Truncated,
    #[error("length {0} makes no sense")]
    Length(i64),
    #[error("text is not UTF-8")]
    Utf8,
    #[error("null where the schema allows none")]
    Null,
    #[error("unknown value version {0}")]
    UnknownVersion(i16),
}

/// Takes fields off the front of a record. Never allocates more than the record holds.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    /// Compact lengths and tagged fields (KIP-482).
    pub flexible: bool,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, flexible: false }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], RecordError> {
        let (head, rest) = self.rest.split_at_checked(count).ok_or(RecordError::Truncated)?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        self.take(N)?.try_into().map_err(|_| RecordError::Truncated)
    }

    pub fn i16(&mut self) -> Result<i16, RecordError> {
        self.array().map(i16::from_be_bytes)
    }

    pub fn i32(&mut self) -> Result<i32, RecordError> {
        self.array().map(i32::from_be_bytes)
    }

    pub fn i64(&mut self) -> Result<i64, RecordError> {
        self.array().map(i64::from_be_bytes)
    }

    fn unsigned_varint(&mut self) -> Result<u32, RecordError> {
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array::<1>()?;
            value |= u32::from(byte & 0x7f).wrapping_shl(shift);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(RecordError::Length(i64::from(value)))
    }

    /// `None` for null.
    fn length(&mut self, wide: bool) -> Result<Option<usize>, RecordError> {
        let length = if self.flexible {
            i64::from(self.unsigned_varint()?) - 1
        } else if wide {
            i64::from(self.i32()?)
        } else {
            i64::from(self.i16()?)
        };
        match length {
            -1 => Ok(None),
            length => usize::try_from(length).map(Some).map_err(|_| RecordError::Length(length)),
        }
    }

    pub fn nullable_string(&mut self) -> Result<Option<Arc<str>>, RecordError> {
        let Some(length) = self.length(false)? else { return Ok(None) };
        let text = std::str::from_utf8(self.take(length)?).map_err(|_| RecordError::Utf8)?;
        Ok(Some(Arc::from(text)))
    }

    pub fn string(&mut self) -> Result<Arc<str>, RecordError> {
        self.nullable_string()?.ok_or(RecordError::Null)
    }

    pub fn bytes(&mut self) -> Result<Bytes, RecordError> {
        let length = self.length(true)?.ok_or(RecordError::Null)?;
        Ok(Bytes::copy_from_slice(self.take(length)?))
    }

    pub fn i8(&mut self) -> Result<i8, RecordError> {
        self.array().map(i8::from_be_bytes)
    }

    /// As [`Self::count`]; null counts as empty.
    pub fn nullable_count(&mut self) -> Result<usize, RecordError> {
        match self.length(true)? {
            Some(count) if count > self.rest.len() => Err(RecordError::Truncated),
            count => Ok(count.unwrap_or(0)),
        }
    }

    /// An array's count, refused if the rest cannot hold that many elements of at least one byte.
    pub fn count(&mut self) -> Result<usize, RecordError> {
        let count = self.length(true)?.ok_or(RecordError::Null)?;
        if count > self.rest.len() {
            return Err(RecordError::Truncated);
        }
        Ok(count)
    }

    /// Skips the tagged fields at the end of a flexible struct.
    pub fn tagged_fields(&mut self) -> Result<(), RecordError> {
        if !self.flexible {
            return Ok(());
        }
        for _ in 0..self.unsigned_varint()? {
            self.unsigned_varint()?;
            let size = self.unsigned_varint()? as usize;
            self.take(size)?;
        }
        Ok(())
    }
}

/// `string`: callers keep what they store under [`STRING_BYTES_MAX`]; anything longer is cut rather than written with a
/// length that lies.
pub(super) fn put_string(out: &mut BytesMut, text: &str) {
    let end = text.floor_char_boundary(STRING_BYTES_MAX.min(text.len()));
    debug_assert_eq!(end, text.len());
    out.put_i16(i16::try_from(end).unwrap_or(i16::MAX));
    out.put_slice(&text.as_bytes()[..end]);
}

pub(super) fn put_nullable_string(out: &mut BytesMut, text: Option<&str>) {
    match text {
        Some(text) => put_string(out, text),
        None => out.put_i16(-1),
    }
}

pub(super) fn put_bytes(out: &mut BytesMut, bytes: &[u8]) {
    out.put_i32(i32::try_from(bytes.len()).unwrap_or(i32::MAX));
    out.put_slice(bytes);
}

/// Longest `string` Kafka's schemas can hold.
pub const STRING_BYTES_MAX: usize = i16::MAX as usize;
