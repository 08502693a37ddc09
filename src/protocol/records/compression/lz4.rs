//! LZ4 frames as Kafka reads and writes them (classes `Lz4BlockInputStream`, `Lz4BlockOutputStream`): independent
//! blocks only, content checksum not looked at, and KIP-57's two header checksums.

use std::hash::Hasher;

use bytes::{BufMut, BytesMut};
use twox_hash::XxHash32;

use super::{CompressionError, stream::reserve};

/// What a writer cuts its input into: block size 4 in the frame header.
pub(super) const BLOCK_BYTES: usize = 64 << 10;
const MAGIC: [u8; 4] = 0x184D_2204_u32.to_le_bytes();
/// Version 1, independent blocks; no sizes, no checksums.
const FLAGS: u8 = 0x60;
const BLOCK_64K: u8 = 0x40;
/// Highest bit of a block's size: stored as it is.
const STORED: u32 = 0x8000_0000;
/// A run-length byte of a match adds at most 255 bytes of output.
const MAX_EXPANSION: usize = 255;

pub(super) struct Blocks<'a> {
    rest: &'a [u8],
    block_bytes_max: usize,
    has_block_checksum: bool,
    ended: bool,
}

impl<'a> Blocks<'a> {
    pub(super) fn new(payload: &'a [u8], ignore_header_checksum: bool) -> Result<Self, CompressionError> {
        const EARLY: &str = "Stream ended prematurely";
        let (magic, rest) = payload.split_first_chunk::<4>().ok_or_else(|| CompressionError::corrupt(EARLY))?;
        if *magic != MAGIC {
            return Err(CompressionError::corrupt("Stream unsupported (invalid magic bytes)"));
        }
        let &[flags, size, ..] = rest else { return Err(CompressionError::corrupt(EARLY)) };
        if flags & 0x03 != 0 || flags >> 6 != 1 {
            return Err(CompressionError::corrupt("lz4 frame version or reserved bits"));
        }
        if flags & 0x20 == 0 {
            return Err(CompressionError::corrupt("Dependent block stream is unsupported"));
        }
        let block_size_id = size >> 4;
        if size & 0x8f != 0 || block_size_id < 4 {
            return Err(CompressionError::corrupt("lz4 block size value must be between 4 and 7"));
        }
        // The content size, when present, is passed over: nothing here depends on what it claims.
        let descriptor = if flags & 0x08 != 0 { 10 } else { 2 };
        let Some(&checksum) = rest.get(descriptor) else { return Err(CompressionError::corrupt(EARLY)) };
        if !ignore_header_checksum && checksum != header_checksum(&rest[..descriptor]) {
            return Err(CompressionError::corrupt("Stream frame descriptor corrupted"));
        }
        Ok(Self {
            rest: &rest[descriptor + 1..],
            block_bytes_max: 1 << (2 * u32::from(block_size_id) + 8),
            has_block_checksum: flags & 0x10 != 0,
            ended: false,
        })
    }

    /// Unpacks the next block that holds anything; 0 at the end mark.
    pub(super) fn next_into(&mut self, out: &mut Vec<u8>) -> Result<usize, CompressionError> {
        while !self.ended {
            let word = self.take(4)?;
            let word = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
            let size = (word & !STORED) as usize;
            if size == 0 {
                // Whatever follows the end mark is not read, as in Java.
                self.ended = true;
                break;
            }
            if size > self.block_bytes_max {
                return Err(CompressionError::corrupt(format!(
                    "Block size {size} exceeded max: {}",
                    self.block_bytes_max
                )));
            }
            let block = self.take(size)?;
            if self.has_block_checksum {
                let sum = self.take(4)?;
                if u32::from_le_bytes([sum[0], sum[1], sum[2], sum[3]]) != xxh32(block) {
                    return Err(CompressionError::corrupt("Block checksum mismatch"));
                }
            }
            let count = if word & STORED == 0 {
                // Room for what these bytes can make, not for what the header allows.
                let room = self.block_bytes_max.min(size.saturating_mul(MAX_EXPANSION));
                reserve(out, room);
                lz4_flex::block::decompress_into(block, &mut out[..room])
                    .map_err(|e| CompressionError::corrupt(e.to_string()))?
            } else {
                reserve(out, size);
                out[..size].copy_from_slice(block);
                size
            };
            if count > 0 {
                return Ok(count);
            }
        }
        Ok(0)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], CompressionError> {
        let (taken, rest) =
            self.rest.split_at_checked(count).ok_or_else(|| CompressionError::corrupt("Stream ended prematurely"))?;
        self.rest = rest;
        Ok(taken)
    }
}

/// Starts a frame. `broken_checksum` is what consumers of magic 0 expect: the sum also covers the four magic bytes.
pub(super) fn put_header(out: &mut BytesMut, broken_checksum: bool) {
    let mut header = [0; 7];
    header[..4].copy_from_slice(&MAGIC);
    header[4..6].copy_from_slice(&[FLAGS, BLOCK_64K]);
    header[6] = header_checksum(if broken_checksum { &header[..6] } else { &header[4..6] });
    out.put_slice(&header);
}

/// Appends one block; stored as it is when compression does not make it smaller.
pub(super) fn put_block(out: &mut BytesMut, block: &[u8]) {
    let start = out.len();
    out.put_u32_le(0);
    out.resize(start + 4 + lz4_flex::block::get_maximum_output_size(block.len()), 0);
    let compressed = lz4_flex::block::compress_into(block, &mut out[start + 4..]).ok().filter(|n| *n < block.len());
    let word = match compressed {
        Some(length) => {
            out.truncate(start + 4 + length);
            length as u32
        }
        None => {
            out.truncate(start + 4);
            out.extend_from_slice(block);
            block.len() as u32 | STORED
        }
    };
    out[start..start + 4].copy_from_slice(&word.to_le_bytes());
}

pub(super) fn put_end_mark(out: &mut BytesMut) {
    out.put_u32_le(0);
}

fn header_checksum(descriptor: &[u8]) -> u8 {
    (xxh32(descriptor) >> 8) as u8
}

fn xxh32(bytes: &[u8]) -> u32 {
    let mut hasher = XxHash32::with_seed(0);
    hasher.write(bytes);
    hasher.finish() as u32
}
