//! The log cleaner: compaction (class `LogCleaner` and its helpers).
//!
//! `retain` decides what stays, `choose` which log and which segments, `manager` who works on what and how far each log
//! is clean; none of them reads a log. `cleaner` copies what stays into new segments, `worker` is the threads.
//!
//! The log itself guards the swap: it refuses segments that were made from what a truncation, retention or a deletion
//! has changed meanwhile. So nobody has to wait for a cleaner to stop.

pub mod choose;
mod cleaned_segment;
#[allow(clippy::module_inception)]
pub mod cleaner;
pub mod filter;
pub mod manager;
pub mod offset_map;
pub mod retain;
mod sip;
pub mod stats;
pub mod throttler;
pub mod worker;

#[cfg(test)]
mod tests;

pub use worker::LogCleaner;

use std::{io, path::PathBuf};

use crate::protocol::records::RecordsError;

/// The broker's `log.cleaner.*` keys (class `CleanerConfig`).
#[derive(Debug, Clone, PartialEq)]
pub struct CleanerConfig {
    /// `log.cleaner.threads`
    pub threads: usize,
    /// `log.cleaner.dedupe.buffer.size`: for the maps of all threads, in bytes.
    pub dedupe_buffer_bytes: usize,
    /// `log.cleaner.io.buffer.load.factor`: how full a map may get.
    pub dedupe_buffer_load_factor: f64,
    /// `log.cleaner.io.buffer.size`: of all threads, in bytes.
    pub io_buffer_bytes: usize,
    /// `log.cleaner.io.max.bytes.per.second`: read and written by all threads.
    pub max_io_bytes_per_second: f64,
    /// `log.cleaner.backoff.ms`
    pub backoff_ms: i64,
}

impl Default for CleanerConfig {
    fn default() -> Self {
        Self {
            threads: 1,
            dedupe_buffer_bytes: 128 << 20,
            dedupe_buffer_load_factor: 0.9,
            io_buffer_bytes: 512 << 10,
            max_io_bytes_per_second: f64::MAX,
            backoff_ms: 15_000,
        }
    }
}

/// Why a log's cleaning ended early.
#[derive(Debug, thiserror::Error)]
pub enum CleanError {
    /// The log changed or went away, was paused, or the broker stops: to be tried again, or not.
    #[error("the cleaning was aborted")]
    Aborted,
    /// The disk failed.
    #[error("I/O error in {dir}: {source}")]
    Io { dir: PathBuf, source: io::Error },
    /// The log holds what no cleaner understands: it is left alone from now on.
    #[error("{0}")]
    Uncleanable(String),
}

/// An error inside one log, before anybody asked whose fault it is.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("aborted")]
    Aborted,
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Records(#[from] RecordsError),
    #[error("{0}")]
    Unfit(String),
}
