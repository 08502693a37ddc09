//! A decompressed payload, read piece by piece through one reused buffer.

use std::{cell::RefCell, io::Read};

use flate2::bufread::MultiGzDecoder;

use super::{CompressionError, lz4, output_budget, snappy, zstd_frames};
use crate::protocol::records::{batch::CompressionType, varint};

/// What gzip and zstd unpack into at a time, and the smallest buffer kept for the next batch.
const SCRATCH_BYTES: usize = 64 << 10;
/// A buffer that grew beyond this (a 4 MB lz4 block, one big raw snappy block) is given back.
const SCRATCH_BYTES_KEPT: usize = 1 << 20;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

enum Codec<'a> {
    /// The payload as it is.
    Plain(&'a [u8]),
    Gzip(Box<MultiGzDecoder<&'a [u8]>>),
    Snappy(snappy::Blocks<'a>),
    Lz4(lz4::Blocks<'a>),
    Zstd(zstd_frames::Frames<'a>),
}

/// Reads what a batch's payload decompresses to. Holds at most one block; forgets what was read.
pub struct RecordStream<'a> {
    codec: Codec<'a>,
    block: Vec<u8>,
    /// `block[at..end]` is unread.
    at: usize,
    end: usize,
    /// Bytes of earlier blocks: with `at`, the position in the decompressed payload.
    before: u64,
    budget: u64,
}

impl<'a> RecordStream<'a> {
    /// `magic` matters for lz4 alone: producers of magic 0 checksummed the frame header wrongly (KIP-57), so that
    /// checksum is not looked at there.
    pub fn new(kind: CompressionType, payload: &'a [u8], magic: i8) -> Result<Self, CompressionError> {
        Self::with_budget(kind, payload, magic, output_budget(payload.len()))
    }

    pub fn with_budget(
        kind: CompressionType,
        payload: &'a [u8],
        magic: i8,
        budget: u64,
    ) -> Result<Self, CompressionError> {
        let codec = match kind {
            CompressionType::None => Codec::Plain(payload),
            CompressionType::Gzip => Codec::Gzip(Box::new(MultiGzDecoder::new(payload))),
            CompressionType::Snappy => Codec::Snappy(snappy::Blocks::new(payload)?),
            CompressionType::Lz4 => Codec::Lz4(lz4::Blocks::new(payload, magic == 0)?),
            CompressionType::Zstd => Codec::Zstd(zstd_frames::Frames::new(payload)?),
        };
        let mut block = SCRATCH.with(RefCell::take);
        if block.len() < SCRATCH_BYTES {
            block.resize(SCRATCH_BYTES, 0);
        }
        Ok(Self { codec, block, at: 0, end: 0, before: 0, budget })
    }

    /// Bytes read so far.
    #[inline(always)]
    #[must_use]
    pub fn position(&self) -> u64 {
        self.before + self.at as u64
    }

    /// What is already decompressed and not read yet.
    #[inline(always)]
    #[must_use]
    pub fn buffered(&self) -> &[u8] {
        &self.block[self.at..self.end]
    }

    /// Marks `count` of the buffered bytes as read.
    #[inline(always)]
    pub fn consume(&mut self, count: usize) {
        self.at = (self.at + count).min(self.end);
    }

    /// Decompresses the next block, once the last one is read. `false` at the end.
    #[cold]
    fn refill(&mut self) -> Result<bool, CompressionError> {
        debug_assert_eq!(self.at, self.end);
        self.before += self.end as u64;
        (self.at, self.end) = (0, 0);
        let block = &mut self.block;
        self.end = match &mut self.codec {
            Codec::Plain(rest) => {
                let count = rest.len().min(block.len());
                block[..count].copy_from_slice(&rest[..count]);
                *rest = &rest[count..];
                count
            }
            Codec::Gzip(decoder) => decoder.read(block).map_err(|e| CompressionError::corrupt(e.to_string()))?,
            Codec::Snappy(blocks) => blocks.next_into(block)?,
            Codec::Lz4(blocks) => blocks.next_into(block)?,
            Codec::Zstd(frames) => frames.next_into(block)?,
        };
        if self.before + self.end as u64 > self.budget {
            return Err(CompressionError::OverBudget(self.budget));
        }
        Ok(self.end > 0)
    }

    /// Whether nothing is left.
    pub fn is_at_end(&mut self) -> Result<bool, CompressionError> {
        Ok(self.at == self.end && !self.refill()?)
    }

    /// The next byte, `None` at the end.
    pub fn read_byte(&mut self) -> Result<Option<u8>, CompressionError> {
        if self.is_at_end()? {
            return Ok(None);
        }
        self.at += 1;
        Ok(Some(self.block[self.at - 1]))
    }

    /// The next zig-zag 32-bit number, `None` if it does not end in time.
    #[inline]
    pub fn read_varint(&mut self) -> Result<Option<i32>, CompressionError> {
        let mut read = 0;
        if let Some(value) = varint::read_varint(&self.block[self.at..self.end], &mut read) {
            self.at += read;
            return Ok(Some(value));
        }
        Ok(self.read_slowly(varint::MAX_VARINT)?.map(|value| varint::unzigzag(value as u32)))
    }

    /// The next zig-zag 64-bit number, `None` if it does not end in time.
    #[inline]
    pub fn read_varlong(&mut self) -> Result<Option<i64>, CompressionError> {
        let mut read = 0;
        if let Some(value) = varint::read_varlong(&self.block[self.at..self.end], &mut read) {
            self.at += read;
            return Ok(Some(value));
        }
        Ok(self.read_slowly(varint::MAX_VARLONG)?.map(varint::unzigzag_long))
    }

    /// A number that crosses the end of a block.
    #[cold]
    fn read_slowly(&mut self, most: usize) -> Result<Option<u64>, CompressionError> {
        let mut value = 0u64;
        for index in 0..most {
            let Some(byte) = self.read_byte()? else { return Ok(None) };
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    /// Passes over `count` bytes; answers how many were missing.
    pub fn skip(&mut self, mut count: u64) -> Result<u64, CompressionError> {
        loop {
            let here = (self.end - self.at) as u64;
            if count <= here {
                self.at += count as usize;
                return Ok(0);
            }
            count -= here;
            self.at = self.end;
            if !self.refill()? {
                return Ok(count);
            }
        }
    }

    /// Appends the next `count` bytes to `out`, which grows only as bytes arrive; answers how many were missing.
    pub fn read_into(&mut self, out: &mut Vec<u8>, mut count: usize) -> Result<usize, CompressionError> {
        loop {
            let here = count.min(self.end - self.at);
            out.extend_from_slice(&self.block[self.at..self.at + here]);
            self.at += here;
            count -= here;
            if count == 0 || !self.refill()? {
                return Ok(count);
            }
        }
    }
}

impl Drop for RecordStream<'_> {
    fn drop(&mut self) {
        if self.block.len() <= SCRATCH_BYTES_KEPT {
            let block = std::mem::take(&mut self.block);
            // Gone while the thread ends: nobody to keep it for.
            let _ = SCRATCH.try_with(|kept| kept.replace(block));
        }
    }
}

/// Makes room for `needed` bytes without shrinking.
pub(super) fn reserve(block: &mut Vec<u8>, needed: usize) {
    if block.len() < needed {
        block.resize(needed, 0);
    }
}
