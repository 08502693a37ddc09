//! The few bytes of Kafka's protocol the generator speaks: Produce v9, Fetch v12 and record batches of magic 2.

use bytes::{BufMut, BytesMut};

/// Where the correlation id lies in a frame made here: after the length, key and version.
pub const CORRELATION_AT: usize = 8;
/// Where the first record's value begins in a batch made here, for a value of 64 to 8 191 bytes: header, the record's
/// length (2), attributes, timestamp delta, offset delta, key length, value's length (2).
pub const FIRST_VALUE_AT: usize = 61 + 8;
const CRC_AT: usize = 17;
const ATTRIBUTES_AT: usize = 21;
const PRODUCER_ID_AT: usize = 43;
const SEQUENCE_AT: usize = 53;
const TRANSACTIONAL: u8 = 0x10;

fn uvarint(out: &mut BytesMut, mut n: u64) {
    while n >= 0x80 {
        out.put_u8((n & 0x7f) as u8 | 0x80);
        n >>= 7;
    }
    out.put_u8(n as u8);
}

fn varint(out: &mut BytesMut, n: i64) {
    uvarint(out, ((n << 1) ^ (n >> 63)) as u64);
}

fn compact_string(out: &mut BytesMut, text: &str) {
    uvarint(out, text.len() as u64 + 1);
    out.put_slice(text.as_bytes());
}

/// A batch of equal records of which the whole is about `bytes` long; at least one record.
pub fn batch(record_size: usize, bytes: usize, timestamp_ms: i64) -> BytesMut {
    batch_while(record_size, timestamp_ms, |count, length| count == 0 || length + record_size + 80 <= bytes)
}

/// A batch of so many equal records.
pub fn batch_of(record_size: usize, records: i64, timestamp_ms: i64) -> BytesMut {
    batch_while(record_size, timestamp_ms, |count, _| count < records)
}

/// `has_room` is asked with the number of records and their bytes before each record.
fn batch_while(record_size: usize, timestamp_ms: i64, has_room: impl Fn(i64, usize) -> bool) -> BytesMut {
    let mut records = BytesMut::new();
    let mut count = 0;
    // Values that don't all look alike, without a random generator's cost or dependence on a seed.
    let value: Vec<u8> = (0..record_size).map(|i| (i * 31 % 251) as u8).collect();
    while has_room(count, records.len()) {
        let mut body = BytesMut::with_capacity(record_size + 16);
        body.put_u8(0);
        varint(&mut body, 0);
        varint(&mut body, count);
        varint(&mut body, -1);
        varint(&mut body, record_size as i64);
        body.put_slice(&value);
        varint(&mut body, 0);
        varint(&mut records, body.len() as i64);
        records.put_slice(&body);
        count += 1;
    }
    let mut out = BytesMut::with_capacity(records.len() + 61);
    out.put_i64(0);
    out.put_i32(49 + records.len() as i32);
    out.put_i32(-1);
    out.put_u8(2);
    out.put_u32(0);
    out.put_i16(0);
    out.put_i32(count as i32 - 1);
    out.put_i64(timestamp_ms);
    out.put_i64(timestamp_ms);
    out.put_i64(-1);
    out.put_i16(-1);
    out.put_i32(-1);
    out.put_i32(count as i32);
    out.put_slice(&records);
    seal(&mut out);
    out
}

/// Writes the checksum of a batch whose bytes were changed.
pub fn seal(batch: &mut [u8]) {
    let crc = crc32c::crc32c(&batch[ATTRIBUTES_AT..]);
    batch[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_be_bytes());
}

/// Makes a batch a transactional one of a producer. Its checksum is that of the next [`stamp_sequence`].
pub fn stamp_producer(batch: &mut [u8], producer_id: i64, epoch: i16) {
    batch[ATTRIBUTES_AT + 1] |= TRANSACTIONAL;
    batch[PRODUCER_ID_AT..PRODUCER_ID_AT + 8].copy_from_slice(&producer_id.to_be_bytes());
    batch[PRODUCER_ID_AT + 8..SEQUENCE_AT].copy_from_slice(&epoch.to_be_bytes());
}

/// Writes a batch's base sequence and checksum.
pub fn stamp_sequence(batch: &mut [u8], sequence: i32) {
    batch[SEQUENCE_AT..SEQUENCE_AT + 4].copy_from_slice(&sequence.to_be_bytes());
    seal(batch);
}

fn header(out: &mut BytesMut, key: i16, version: i16) {
    out.put_i32(0);
    out.put_i16(key);
    out.put_i16(version);
    out.put_i32(0);
    out.put_i16(5);
    out.put_slice(b"blast");
    out.put_u8(0);
}

/// Writes a frame's length.
pub fn finish(mut out: BytesMut) -> BytesMut {
    let size = out.len() as i32 - 4;
    out[..4].copy_from_slice(&size.to_be_bytes());
    out
}

/// A Produce v9 frame for one partition, and where in it the batch begins.
pub fn produce(topic: &str, partition: i32, acks: i16, batch: &[u8]) -> (BytesMut, usize) {
    produce_in(None, topic, partition, acks, batch)
}

/// As [`produce`], in a transaction.
pub fn produce_in(
    transactional_id: Option<&str>,
    topic: &str,
    partition: i32,
    acks: i16,
    batch: &[u8],
) -> (BytesMut, usize) {
    let mut out = BytesMut::with_capacity(batch.len() + topic.len() + 128);
    header(&mut out, 0, 9);
    match transactional_id {
        Some(id) => compact_string(&mut out, id),
        None => uvarint(&mut out, 0),
    }
    out.put_i16(acks);
    out.put_i32(30_000);
    uvarint(&mut out, 2);
    compact_string(&mut out, topic);
    uvarint(&mut out, 2);
    out.put_i32(partition);
    uvarint(&mut out, batch.len() as u64 + 1);
    let at = out.len();
    out.put_slice(batch);
    out.put_slice(&[0, 0, 0]);
    (finish(out), at)
}

/// The error code in the body of a Produce v9 answer to a frame of `produce`; `None` when it is not one.
pub fn produce_error(frame: &[u8], topic: &str) -> Option<i16> {
    // correlation id, header tags, one topic, its name, one partition, index
    let at = 4 + 1 + 1 + 1 + topic.len() + 1 + 4;
    frame.get(at..at + 2).map(|b| i16::from_be_bytes([b[0], b[1]]))
}

/// What a Fetch asks for.
pub struct FetchLimits {
    pub max_wait_ms: i32,
    pub partition_bytes: i32,
    pub total_bytes: i32,
}

/// A Fetch v12 frame without a session.
pub fn fetch(topic: &str, positions: &[(i32, i64)], limits: &FetchLimits) -> BytesMut {
    let mut out = BytesMut::with_capacity(128 + positions.len() * 34);
    header(&mut out, 1, 12);
    out.put_i32(-1);
    out.put_i32(limits.max_wait_ms);
    out.put_i32(1);
    out.put_i32(limits.total_bytes);
    out.put_i8(0);
    out.put_i32(0);
    out.put_i32(-1);
    uvarint(&mut out, 2);
    compact_string(&mut out, topic);
    uvarint(&mut out, positions.len() as u64 + 1);
    for (partition, offset) in positions {
        out.put_i32(*partition);
        out.put_i32(-1);
        out.put_i64(*offset);
        out.put_i32(-1);
        out.put_i64(-1);
        out.put_i32(limits.partition_bytes);
        out.put_u8(0);
    }
    // topic's tags, forgotten topics, rack id, tags
    out.put_slice(&[0, 1, 1, 0]);
    finish(out)
}
