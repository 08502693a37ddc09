//! The few bytes of Kafka's protocol the generator speaks: Produce v9, Fetch v12 and record batches of magic 2.

use bytes::{BufMut, BytesMut};

/// Where the correlation id lies in a frame made here: after the length, key and version.
pub const CORRELATION_AT: usize = 8;
/// Where the first record's value begins in a batch made here, for a value of 64 to 8 191 bytes: header, the record's
/// length (2), attributes, timestamp delta, offset delta, key length, value's length (2).
pub const FIRST_VALUE_AT: usize = 61 + 8;
const CRC_AT: usize = 17;
const ATTRIBUTES_AT: usize = 21;

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
    let mut records = BytesMut::new();
    let mut count = 0;
    // Values that don't all look alike, without a random generator's cost or dependence on a seed.
    let value: Vec<u8> = (0..record_size).map(|i| (i * 31 % 251) as u8).collect();
    while count == 0 || records.len() + record_size + 80 <= bytes {
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

fn header(out: &mut BytesMut, key: i16, version: i16) {
    out.put_i32(0);
    out.put_i16(key);
    out.put_i16(version);
    out.put_i32(0);
    out.put_i16(5);
    out.put_slice(b"blast");
    out.put_u8(0);
}

fn finish(mut out: BytesMut) -> BytesMut {
    let size = out.len() as i32 - 4;
    out[..4].copy_from_slice(&size.to_be_bytes());
    out
}

/// A Produce v9 frame for one partition, and where in it the batch begins.
pub fn produce(topic: &str, partition: i32, acks: i16, batch: &[u8]) -> (BytesMut, usize) {
    let mut out = BytesMut::with_capacity(batch.len() + topic.len() + 64);
    header(&mut out, 0, 9);
    uvarint(&mut out, 0);
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
