//! Snappy as Java's `SnappyOutputStream` frames it (xerial): a 16-byte header, then length-prefixed raw blocks.
//! Without the header the whole payload is one raw block, as librdkafka and Go clients send it.

use bytes::{BufMut, BytesMut};

use super::{CompressionError, stream::reserve};

/// What a writer cuts its input into.
pub(super) const BLOCK_BYTES: usize = 32 << 10;
const MAGIC: [u8; 8] = *b"\x82SNAPPY\0";
/// Magic, version 1, compatible version 1.
pub(super) const HEADER: [u8; 16] = *b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";
/// A copy element of 3 bytes makes at most 64: a block cannot honestly claim more than 22 times its size.
const MAX_EXPANSION: usize = 22;

pub(super) struct Blocks<'a> {
    rest: &'a [u8],
    framed: bool,
    decoder: snap::raw::Decoder,
}

impl<'a> Blocks<'a> {
    pub(super) fn new(payload: &'a [u8]) -> Result<Self, CompressionError> {
        if payload.is_empty() {
            return Err(CompressionError::corrupt("Cannot decompress empty stream"));
        }
        let framed = payload.len() >= HEADER.len() && payload.starts_with(&MAGIC);
        let rest = if framed { &payload[HEADER.len()..] } else { payload };
        if framed && payload[8..12] < [0, 0, 0, 1][..] {
            return Err(CompressionError::corrupt("Incompatible snappy stream version"));
        }
        Ok(Self { rest, framed, decoder: snap::raw::Decoder::new() })
    }

    /// Unpacks the next block that holds anything; 0 at the end.
    pub(super) fn next_into(&mut self, out: &mut Vec<u8>) -> Result<usize, CompressionError> {
        while let Some(block) = self.next_block()? {
            let promised = snap::raw::decompress_len(block).map_err(|e| CompressionError::corrupt(e.to_string()))?;
            if promised > block.len().saturating_mul(MAX_EXPANSION) {
                return Err(CompressionError::corrupt(format!("snappy block of {} claims {promised}", block.len())));
            }
            reserve(out, promised);
            let count = self
                .decoder
                .decompress(block, &mut out[..promised])
                .map_err(|e| CompressionError::corrupt(e.to_string()))?;
            if count > 0 {
                return Ok(count);
            }
        }
        Ok(0)
    }

    fn next_block(&mut self) -> Result<Option<&'a [u8]>, CompressionError> {
        if !self.framed {
            let block = std::mem::take(&mut self.rest);
            return Ok((!block.is_empty()).then_some(block));
        }
        loop {
            // Fewer than four bytes left: Java takes that for the end.
            let Some((length, rest)) = self.rest.split_first_chunk::<4>() else { return Ok(None) };
            if length[..] == MAGIC[..4] {
                // Another stream follows (concatenated by a log cleaner of old).
                if self.rest.len() < HEADER.len() || !self.rest.starts_with(&MAGIC) {
                    return Err(CompressionError::corrupt("Insufficient header size in a concatenated block"));
                }
                self.rest = &self.rest[HEADER.len()..];
                continue;
            }
            let length = u32::from_be_bytes(*length) as usize;
            if length > rest.len() {
                return Err(CompressionError::corrupt(format!("failed to read chunk of {length} bytes")));
            }
            let (block, rest) = rest.split_at(length);
            self.rest = rest;
            return Ok(Some(block));
        }
    }
}

/// Appends one block of a framed stream.
pub(super) fn put_block(out: &mut BytesMut, encoder: &mut snap::raw::Encoder, block: &[u8]) {
    let start = out.len();
    out.put_u32(0);
    out.resize(start + 4 + snap::raw::max_compress_len(block.len()), 0);
    // Fails only when the output is smaller than `max_compress_len`.
    let length = encoder.compress(block, &mut out[start + 4..]).unwrap_or(0);
    out.truncate(start + 4 + length);
    out[start..start + 4].copy_from_slice(&(length as u32).to_be_bytes());
}
