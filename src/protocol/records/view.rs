//! One record of any magic, seen where it lies (classes `DefaultRecord`, `PartialDefaultRecord`).

use super::{
    RecordsError,
    varint::{read_varint, read_varlong, unzigzag},
};
use crate::common::{Offset, Timestamp};

/// A record whose key, value and headers are slices of the batch or of the buffer it was decompressed into.
#[derive(Debug, Clone, Copy)]
pub struct RecordView<'a> {
    pub offset: Offset,
    /// −1 where there is none (magic 0). The append time where the batch says LogAppendTime.
    pub timestamp: Timestamp,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    /// Checked when the view was made.
    pub(super) headers: &'a [u8],
    pub(super) header_count: usize,
}

impl<'a> RecordView<'a> {
    /// Headers in order, duplicates kept (KIP-82): name, which Kafka takes for UTF-8 but does not check, and value.
    #[must_use]
    pub fn headers(&self) -> Headers<'a> {
        Headers { bytes: self.headers, at: 0, left: self.header_count }
    }

    #[must_use]
    pub const fn header_count(&self) -> usize {
        self.header_count
    }
}

/// Name and value of a record's header.
pub type Header<'a> = (&'a [u8], Option<&'a [u8]>);

#[derive(Debug, Clone)]
pub struct Headers<'a> {
    bytes: &'a [u8],
    at: usize,
    left: usize,
}

impl<'a> Iterator for Headers<'a> {
    type Item = Header<'a>;

    fn next(&mut self) -> Option<Header<'a>> {
        self.left = self.left.checked_sub(1)?;
        let name = read_bytes(self.bytes, &mut self.at)??;
        let value = read_bytes(self.bytes, &mut self.at)?;
        Some((name, value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

/// What validation needs of a magic-2 record: no slices.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecordMeta {
    pub(crate) timestamp_delta: i64,
    pub(crate) offset_delta: i32,
    /// Negative: null.
    pub(crate) key_len: i32,
    pub(crate) value_len: i32,
}

/// Walks the body of a magic-2 record (what follows its length) and checks that its fields fill it exactly.
/// `None`: they do not; [`RecordsError::structure`] is what Kafka says then.
#[inline(always)]
pub(crate) fn scan_body(body: &[u8]) -> Option<RecordMeta> {
    match scan_usual(body) {
        Some(meta) => Some(meta),
        None => scan_any(body),
    }
}

/// A record without headers whose numbers are small: the fields before the key come from one load. `None` says
/// only that this is not such a record.
#[inline(always)]
fn scan_usual(body: &[u8]) -> Option<RecordMeta> {
    // The first byte holds attributes nobody uses.
    let mut word = u64::from_le_bytes(*body.get(1..9)?.first_chunk()?);
    let mut at = 1;
    let timestamp_delta = i64::from(take_three(&mut word, &mut at)?);
    let offset_delta = take_three(&mut word, &mut at)?;
    let key_len = take_two(&mut word, &mut at)?;
    skip(body, &mut at, key_len)?;
    let value_len = read_varint(body, &mut at)?;
    skip(body, &mut at, value_len)?;
    // The count of headers, and nothing after it.
    (body.len() - at == 1 && body[at] == 0).then_some(RecordMeta { timestamp_delta, offset_delta, key_len, value_len })
}

/// A number of at most two bytes off the low end of `word`.
#[inline(always)]
fn take_two(word: &mut u64, at: &mut usize) -> Option<i32> {
    let bits = *word;
    if bits & 0x80 == 0 {
        *word = bits >> 8;
        *at += 1;
        return Some(unzigzag((bits & 0x7f) as u32));
    }
    if bits & 0x8000 == 0 {
        *word = bits >> 16;
        *at += 2;
        return Some(unzigzag((bits & 0x7f | (bits >> 1) & 0x3f80) as u32));
    }
    None
}

/// A number of at most three bytes off the low end of `word`. Two of these and one of two fill a word.
#[inline(always)]
fn take_three(word: &mut u64, at: &mut usize) -> Option<i32> {
    let bits = *word;
    if let Some(value) = take_two(word, at) {
        return Some(value);
    }
    if bits & 0x80_0000 == 0 {
        *word = bits >> 24;
        *at += 3;
        return Some(unzigzag((bits & 0x7f | (bits >> 1) & 0x3f80 | (bits >> 2) & 0x1f_c000) as u32));
    }
    None
}

/// Any record, right or wrong.
#[inline(never)]
fn scan_any(body: &[u8]) -> Option<RecordMeta> {
    let mut at = 1;
    let timestamp_delta = read_varlong(body, &mut at)?;
    let offset_delta = read_varint(body, &mut at)?;
    let key_len = read_varint(body, &mut at)?;
    skip(body, &mut at, key_len)?;
    let value_len = read_varint(body, &mut at)?;
    skip(body, &mut at, value_len)?;
    let header_count = read_varint(body, &mut at)?;
    scan_headers(body, &mut at, header_count)?;
    (at == body.len()).then_some(RecordMeta { timestamp_delta, offset_delta, key_len, value_len })
}

#[inline(always)]
fn skip(body: &[u8], at: &mut usize, length: i32) -> Option<()> {
    let length = length.max(0) as usize;
    if length > body.len() - *at {
        return None;
    }
    *at += length;
    Some(())
}

#[inline(never)]
fn scan_headers(body: &[u8], at: &mut usize, count: i32) -> Option<()> {
    // Each header has two bytes at least, and Kafka refuses a count beyond the bytes left.
    if count < 0 || count as usize > body.len() - *at {
        return None;
    }
    for _ in 0..count {
        let name_len = read_varint(body, at)?;
        if name_len < 0 {
            return None;
        }
        skip(body, at, name_len)?;
        let value_len = read_varint(body, at)?;
        skip(body, at, value_len)?;
    }
    Some(())
}

/// Base values of a magic-2 batch that its records' deltas count from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Base {
    pub(crate) offset: Offset,
    pub(crate) timestamp: Timestamp,
    /// Overrides every record's own timestamp (LogAppendTime).
    pub(crate) append_time: Option<Timestamp>,
}

impl Base {
    #[inline(always)]
    pub(crate) fn timestamp(&self, delta: i64) -> Timestamp {
        match self.append_time {
            Some(time) => time,
            None => self.timestamp.wrapping_add(delta),
        }
    }

    #[inline(always)]
    pub(crate) fn offset(&self, delta: i32) -> Offset {
        self.offset.wrapping_add(i64::from(delta))
    }
}

/// The body of a magic-2 record as a view.
pub(crate) fn view_body<'a>(body: &'a [u8], base: &Base) -> Result<RecordView<'a>, RecordsError> {
    parse_view(body, base).ok_or_else(RecordsError::structure)
}

fn parse_view<'a>(body: &'a [u8], base: &Base) -> Option<RecordView<'a>> {
    let mut at = 1;
    let timestamp_delta = read_varlong(body, &mut at)?;
    let offset_delta = read_varint(body, &mut at)?;
    let key = read_bytes(body, &mut at)?;
    let value = read_bytes(body, &mut at)?;
    let header_count = read_varint(body, &mut at)?;
    let start = at;
    scan_headers(body, &mut at, header_count)?;
    (at == body.len()).then_some(RecordView {
        offset: base.offset(offset_delta),
        timestamp: base.timestamp(timestamp_delta),
        key,
        value,
        headers: &body[start..],
        header_count: header_count as usize,
    })
}

/// Length-prefixed bytes; any negative length is null, as in Java.
fn read_bytes<'a>(body: &'a [u8], at: &mut usize) -> Option<Option<&'a [u8]>> {
    let length = read_varint(body, at)?;
    let start = *at;
    skip(body, at, length)?;
    Some((length >= 0).then(|| &body[start..*at]))
}
