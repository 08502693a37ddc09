//! The coordinators' own batches: magic 2, uncompressed, create time (`offsets.topic.compression.codec` = none).

use bytes::{BufMut, BytesMut};

use crate::{
    common::{
        Offset, Timestamp,
        ids::{NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE},
    },
    coordinator::group::{command::TransactionalProducer, records::CoordinatorRecord},
    protocol::records::batch::{BATCH_OVERHEAD_V2, BatchHeader},
};

const ATTRIBUTES_TRANSACTIONAL: i16 = 0x10;

/// One batch of `records`, all stamped `now`. Offsets begin at 0; the log assigns the real ones.
pub(super) fn encode(
    records: &[CoordinatorRecord],
    now: Timestamp,
    transaction: Option<TransactionalProducer>,
) -> BytesMut {
    let payload: usize = records.iter().map(|record| record.size_bytes() + 16).sum();
    let count = i32::try_from(records.len()).unwrap_or(i32::MAX);
    let mut out = BytesMut::with_capacity(BATCH_OVERHEAD_V2 + payload);
    out.put_i64(0);
    out.put_i32(0);
    out.put_i32(-1);
    out.put_u8(2);
    out.put_u32(0);
    out.put_i16(if transaction.is_some() { ATTRIBUTES_TRANSACTIONAL } else { 0 });
    out.put_i32(count - 1);
    out.put_i64(now);
    out.put_i64(now);
    out.put_i64(transaction.map_or(NO_PRODUCER_ID, |producer| producer.id));
    out.put_i16(transaction.map_or(NO_PRODUCER_EPOCH, |producer| producer.epoch));
    out.put_i32(transaction.map_or(NO_SEQUENCE, |_| 0));
    out.put_i32(count);
    let mut body = BytesMut::new();
    for (delta, record) in (0i64..).zip(records) {
        body.clear();
        body.put_u8(0);
        put_varint(&mut body, 0);
        put_varint(&mut body, delta);
        put_nullable(&mut body, Some(&record.key));
        put_nullable(&mut body, record.value.as_deref());
        put_varint(&mut body, 0);
        put_varint(&mut out, i64::try_from(body.len()).unwrap_or(i64::MAX));
        out.put_slice(&body);
    }
    let length = u32::try_from(out.len() - 12).unwrap_or(u32::MAX);
    out[8..12].copy_from_slice(&length.to_be_bytes());
    let crc = crc32c::crc32c(&out[21..]);
    out[17..21].copy_from_slice(&crc.to_be_bytes());
    out
}

fn put_nullable(out: &mut BytesMut, bytes: Option<&[u8]>) {
    put_varint(out, bytes.map_or(-1, |bytes| i64::try_from(bytes.len()).unwrap_or(i64::MAX)));
    out.put_slice(bytes.unwrap_or_default());
}

/// Zigzag, as `ByteUtils.writeVarlong`.
fn put_varint(out: &mut BytesMut, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.put_u8((rest as u8 & 0x7f) | 0x80);
        rest >>= 7;
    }
    out.put_u8(rest as u8);
}

/// Calls `f` with offset, key and value of each record of a whole batch.
pub(super) fn for_each_record(
    header: &BatchHeader,
    batch: &[u8],
    f: &mut dyn FnMut(Offset, Option<&[u8]>, Option<&[u8]>),
) -> Result<(), String> {
    if header.magic != 2 {
        return Err(format!("batch of magic {} at {}", header.magic, header.base_offset));
    }
    if header.is_compressed() {
        return Err(format!("compressed batch at {}", header.base_offset));
    }
    let mut rest = batch.get(BATCH_OVERHEAD_V2..).unwrap_or_default();
    for _ in 0..header.record_count {
        let size = take_length(&mut rest)?.ok_or("record without length")?;
        let (mut record, after) = rest.split_at_checked(size).ok_or("record is cut short")?;
        rest = after;
        record = record.get(1..).ok_or("record is cut short")?;
        take_varint(&mut record)?;
        let delta = take_varint(&mut record)?;
        let key = take_nullable(&mut record)?;
        let value = take_nullable(&mut record)?;
        f(header.base_offset.wrapping_add(delta), key, value);
    }
    Ok(())
}

fn take_varint(rest: &mut &[u8]) -> Result<i64, String> {
    let mut value = 0u64;
    for shift in (0..70).step_by(7) {
        let (byte, after) = rest.split_first().ok_or("varint is cut short")?;
        *rest = after;
        value |= u64::from(byte & 0x7f).wrapping_shl(shift);
        if byte & 0x80 == 0 {
            return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    Err("varint is too long".into())
}

fn take_length(rest: &mut &[u8]) -> Result<Option<usize>, String> {
    match take_varint(rest)? {
        -1 => Ok(None),
        length => usize::try_from(length).map(Some).map_err(|_| format!("length {length}")),
    }
}

fn take_nullable<'a>(rest: &mut &'a [u8]) -> Result<Option<&'a [u8]>, String> {
    let Some(length) = take_length(rest)? else { return Ok(None) };
    let (bytes, after) = rest.split_at_checked(length).ok_or("field is cut short")?;
    *rest = after;
    Ok(Some(bytes))
}
