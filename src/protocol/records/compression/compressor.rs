//! Packing: what the builder writes records through.

use std::io::Write;

use bytes::{BufMut, BytesMut, buf::Writer};

use super::{lz4, snappy};
use crate::protocol::records::batch::CompressionType;

/// A codec and how hard it tries (class `Compression`). Levels out of a codec's range are brought into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compression {
    pub kind: CompressionType,
    /// `compression.gzip.level` (−1: zlib's default) or `compression.zstd.level`. lz4 has one level here.
    pub level: i32,
}

impl Compression {
    pub const NONE: Self = Self { kind: CompressionType::None, level: 0 };

    /// The codec at Kafka's default level.
    #[must_use]
    pub const fn of(kind: CompressionType) -> Self {
        let level = match kind {
            CompressionType::Gzip => -1,
            CompressionType::Lz4 => 9,
            CompressionType::Zstd => 3,
            CompressionType::None | CompressionType::Snappy => 0,
        };
        Self { kind, level }
    }

    #[must_use]
    pub const fn with_level(kind: CompressionType, level: i32) -> Self {
        Self { kind, level }
    }
}

enum Codec {
    Plain(BytesMut),
    Gzip(Box<flate2::write::GzEncoder<Writer<BytesMut>>>),
    Zstd(Box<zstd::stream::write::Encoder<'static, Writer<BytesMut>>>),
    Snappy { out: BytesMut, block: Vec<u8>, encoder: Box<snap::raw::Encoder> },
    Lz4 { out: BytesMut, block: Vec<u8> },
}

/// Appends to a buffer what is written into it, compressed.
pub struct Compressor {
    codec: Codec,
    uncompressed_bytes: usize,
}

impl Compressor {
    /// Goes on after what `out` holds. `magic` 0 gets the old lz4 header checksum.
    #[must_use]
    pub fn new(compression: Compression, mut out: BytesMut, magic: i8) -> Self {
        let level = compression.level;
        let codec = match compression.kind {
            CompressionType::None => Codec::Plain(out),
            CompressionType::Gzip => {
                let level = u32::try_from(level)
                    .map_or_else(|_| flate2::Compression::default(), |level| flate2::Compression::new(level.min(9)));
                Codec::Gzip(Box::new(flate2::write::GzEncoder::new(out.writer(), level)))
            }
            CompressionType::Zstd => match zstd::stream::write::Encoder::new(BytesMut::new().writer(), level) {
                Ok(mut encoder) => {
                    *encoder.get_mut() = out.writer();
                    Codec::Zstd(Box::new(encoder))
                }
                // Out of memory only. The batch is then written uncompressed: see `kind`.
                Err(_) => Codec::Plain(out),
            },
            CompressionType::Snappy => {
                out.extend_from_slice(&snappy::HEADER);
                Codec::Snappy {
                    out,
                    block: Vec::with_capacity(snappy::BLOCK_BYTES),
                    encoder: Box::new(snap::raw::Encoder::new()),
                }
            }
            CompressionType::Lz4 => {
                lz4::put_header(&mut out, magic == 0);
                Codec::Lz4 { out, block: Vec::with_capacity(lz4::BLOCK_BYTES) }
            }
        };
        Self { codec, uncompressed_bytes: 0 }
    }

    /// The codec that really writes.
    #[must_use]
    pub fn kind(&self) -> CompressionType {
        match self.codec {
            Codec::Plain(_) => CompressionType::None,
            Codec::Gzip(_) => CompressionType::Gzip,
            Codec::Zstd(_) => CompressionType::Zstd,
            Codec::Snappy { .. } => CompressionType::Snappy,
            Codec::Lz4 { .. } => CompressionType::Lz4,
        }
    }

    /// Bytes in the buffer so far; codecs hold back up to a block.
    #[must_use]
    pub fn compressed_len(&self) -> usize {
        match &self.codec {
            Codec::Plain(out) | Codec::Snappy { out, .. } | Codec::Lz4 { out, .. } => out.len(),
            Codec::Gzip(encoder) => encoder.get_ref().get_ref().len(),
            Codec::Zstd(encoder) => encoder.get_ref().get_ref().len(),
        }
    }

    /// Bytes written into the compressor.
    #[must_use]
    pub fn uncompressed_bytes(&self) -> usize {
        self.uncompressed_bytes
    }

    pub fn write(&mut self, bytes: &[u8]) {
        self.uncompressed_bytes += bytes.len();
        match &mut self.codec {
            Codec::Plain(out) => out.extend_from_slice(bytes),
            // Writing into memory does not fail.
            Codec::Gzip(encoder) => drop(encoder.write_all(bytes)),
            Codec::Zstd(encoder) => drop(encoder.write_all(bytes)),
            Codec::Snappy { out, block, encoder } => {
                in_blocks(bytes, block, snappy::BLOCK_BYTES, |block| snappy::put_block(out, encoder, block));
            }
            Codec::Lz4 { out, block } => {
                in_blocks(bytes, block, lz4::BLOCK_BYTES, |block| lz4::put_block(out, block));
            }
        }
    }

    /// Ends the stream and gives the buffer back.
    #[must_use]
    pub fn finish(self) -> BytesMut {
        match self.codec {
            Codec::Plain(out) => out,
            Codec::Gzip(encoder) => encoder.finish().map(Writer::into_inner).unwrap_or_default(),
            Codec::Zstd(encoder) => encoder.finish().map(Writer::into_inner).unwrap_or_default(),
            Codec::Snappy { mut out, block, mut encoder } => {
                if !block.is_empty() {
                    snappy::put_block(&mut out, &mut encoder, &block);
                }
                out
            }
            Codec::Lz4 { mut out, block } => {
                if !block.is_empty() {
                    lz4::put_block(&mut out, &block);
                }
                lz4::put_end_mark(&mut out);
                out
            }
        }
    }
}

/// Fills `block` from `bytes` and hands every full one on.
fn in_blocks(mut bytes: &[u8], block: &mut Vec<u8>, size: usize, mut put: impl FnMut(&[u8])) {
    while !bytes.is_empty() {
        let count = bytes.len().min(size - block.len());
        block.extend_from_slice(&bytes[..count]);
        bytes = &bytes[count..];
        if block.len() == size {
            put(block);
            block.clear();
        }
    }
}
