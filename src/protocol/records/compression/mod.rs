//! The four codecs as streams with a budget: reading never holds more than a block, whatever the bytes promise.
//!
//! Kafka streams too, but believes the sizes it finds (CVE-2023-34455, CVE-2023-43642: a chunk that claims 2 GB).
//! Here every buffer is bounded by the input that must fill it or by a constant, and the sum of what a batch unpacks
//! to is capped by [`output_budget`].

pub mod compressor;
mod lz4;
mod snappy;
mod stream;
mod zstd_frames;

pub use compressor::{Compression, Compressor};
pub use stream::RecordStream;

/// Why a compressed payload is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompressionError {
    #[error("{0}")]
    Corrupt(String),
    #[error("more than {0} bytes after decompression")]
    OverBudget(u64),
}

impl CompressionError {
    #[cold]
    pub(crate) fn corrupt(what: impl Into<String>) -> Self {
        Self::Corrupt(what.into())
    }
}

/// Output any batch may have, however small it arrives.
const BUDGET_FLOOR: u64 = 64 << 20;
/// Output allowed per compressed byte beyond the floor: above what text or zeroed padding reaches in real batches,
/// below gzip's ceiling of 1032 and far below zstd's.
const BUDGET_RATIO: u64 = 256;
/// Output no batch may have.
const BUDGET_CEILING: u64 = 1 << 30;

/// How many bytes a payload of `compressed_len` bytes may unpack to.
#[must_use]
pub fn output_budget(compressed_len: usize) -> u64 {
    BUDGET_FLOOR.saturating_add((compressed_len as u64).saturating_mul(BUDGET_RATIO)).min(BUDGET_CEILING)
}
