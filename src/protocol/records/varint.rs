//! Variable-length integers of magic 2: base 128, low group first, zig-zag for signed ones (class `ByteUtils`).
//!
//! Readers take a slice and a position, never read past the slice, and answer `None` for one that ends early or does
//! not end after 5 (32 bits) or 10 (64 bits) bytes. Like Java's, they ignore bits above the width.

use bytes::BufMut;

/// Longest encoding of 32 bits.
pub const MAX_VARINT: usize = 5;
/// Longest encoding of 64 bits.
pub const MAX_VARLONG: usize = 10;

#[inline(always)]
pub fn read_varint(bytes: &[u8], at: &mut usize) -> Option<i32> {
    read_unsigned_varint(bytes, at).map(unzigzag)
}

#[inline(always)]
pub fn read_varlong(bytes: &[u8], at: &mut usize) -> Option<i64> {
    let first = *bytes.get(*at)?;
    if first < 0x80 {
        *at += 1;
        return Some(unzigzag_long(u64::from(first)));
    }
    read_unsigned_varlong(bytes, at).map(unzigzag_long)
}

/// One and two bytes inline: lengths of nearly all keys, values and deltas.
#[inline(always)]
pub fn read_unsigned_varint(bytes: &[u8], at: &mut usize) -> Option<u32> {
    let first = *bytes.get(*at)?;
    if first < 0x80 {
        *at += 1;
        return Some(u32::from(first));
    }
    let second = *bytes.get(*at + 1)?;
    if second < 0x80 {
        *at += 2;
        return Some(u32::from(first & 0x7f) | (u32::from(second) << 7));
    }
    read_long_form(bytes, at)
}

fn read_long_form(bytes: &[u8], at: &mut usize) -> Option<u32> {
    let mut value = 0u32;
    for index in 0..MAX_VARINT {
        let byte = *bytes.get(*at + index)?;
        value |= u32::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            *at += index + 1;
            return Some(value);
        }
    }
    None
}

pub fn read_unsigned_varlong(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut value = 0u64;
    for index in 0..MAX_VARLONG {
        let byte = *bytes.get(*at + index)?;
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            *at += index + 1;
            return Some(value);
        }
    }
    None
}

pub fn put_varint(out: &mut impl BufMut, value: i32) {
    put_unsigned_varint(out, zigzag(value));
}

pub fn put_varlong(out: &mut impl BufMut, value: i64) {
    put_unsigned_varlong(out, zigzag_long(value));
}

pub fn put_unsigned_varint(out: &mut impl BufMut, mut value: u32) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

pub fn put_unsigned_varlong(out: &mut impl BufMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// Bytes [`put_varint`] writes.
#[must_use]
pub const fn size_of_varint(value: i32) -> usize {
    size_of_unsigned_varlong(zigzag(value) as u64)
}

/// Bytes [`put_varlong`] writes.
#[must_use]
pub const fn size_of_varlong(value: i64) -> usize {
    size_of_unsigned_varlong(zigzag_long(value))
}

const fn size_of_unsigned_varlong(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

pub(super) const fn unzigzag(value: u32) -> i32 {
    (value >> 1) as i32 ^ -((value & 1) as i32)
}

pub(super) const fn unzigzag_long(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

const fn zigzag(value: i32) -> u32 {
    ((value << 1) ^ (value >> 31)) as u32
}

const fn zigzag_long(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signed_values_round_trip_in_the_size_foretold() {
        for value in [0, -1, 1, 63, -64, 64, -65, 8191, 8192, 1 << 20, i32::MAX, i32::MIN] {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            assert_eq!(out.len(), size_of_varint(value), "{value}");
            let mut at = 0;
            assert_eq!(read_varint(&out, &mut at), Some(value));
            assert_eq!(at, out.len());
            for cut in 0..out.len() {
                assert_eq!(read_varint(&out[..cut], &mut 0), None);
            }
        }
        for value in [0, -1, 1 << 33, i64::MAX, i64::MIN, -(1 << 40)] {
            let mut out = Vec::new();
            put_varlong(&mut out, value);
            assert_eq!(out.len(), size_of_varlong(value), "{value}");
            assert_eq!(read_varlong(&out, &mut 0), Some(value));
        }
    }

    #[test]
    fn an_encoding_without_an_end_is_refused() {
        assert_eq!(read_varint(&[0xff; 16], &mut 0), None);
        assert_eq!(read_varlong(&[0xff; 16], &mut 0), None);
        // Java drops the bits above 32 rather than refusing them.
        assert_eq!(read_unsigned_varint(&[0xff, 0xff, 0xff, 0xff, 0x7f], &mut 0), Some(u32::MAX));
    }
}
