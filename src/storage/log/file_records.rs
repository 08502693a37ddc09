//! Walking over the batches of a segment file (class `FileRecords`).

use std::{fs::File, io, os::unix::fs::FileExt};

use crate::protocol::records::batch::{BATCH_OVERHEAD_V2, BatchHeader, HEADER_SIZE_UP_TO_MAGIC};

const CHUNK_MIN: usize = 4 << 10;
const CHUNK_MAX: usize = 64 << 10;
/// Bytes read at once while checksums are verified.
const CHECK_CHUNK: usize = 256 << 10;
/// Where the checksummed part of a magic-2 batch begins; in older messages it begins at the magic byte.
const CRC_START_V2: usize = 21;
const CRC_START_LEGACY: usize = 16;

/// A batch and where it lies.
#[derive(Debug, Clone, Copy)]
pub struct BatchAt {
    pub position: u64,
    pub header: BatchHeader,
}

impl BatchAt {
    #[must_use]
    pub fn end(&self) -> u64 {
        self.position + self.header.size as u64
    }
}

/// Reads headers only, in chunks that grow while batches turn out to be small.
pub struct BatchScanner<'a> {
    file: &'a File,
    position: u64,
    end: u64,
    buffer: Vec<u8>,
    buffer_start: u64,
    chunk: usize,
}

impl<'a> BatchScanner<'a> {
    /// Batches that lie wholly in `position..end`.
    #[must_use]
    pub fn new(file: &'a File, position: u64, end: u64) -> Self {
        Self { file, position, end, buffer: Vec::new(), buffer_start: position, chunk: CHUNK_MIN }
    }

    /// Where the next batch would begin; after `None` from [`next_batch`](Self::next_batch), where valid batches end.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The next batch; `None` at the end, and where bytes cannot be a whole batch.
    pub fn next_batch(&mut self) -> io::Result<Option<BatchAt>> {
        let left = self.end.saturating_sub(self.position);
        if left < HEADER_SIZE_UP_TO_MAGIC as u64 {
            return Ok(None);
        }
        let wanted = left.min(BATCH_OVERHEAD_V2 as u64) as usize;
        self.fill(wanted, left)?;
        let at = (self.position - self.buffer_start) as usize;
        let Ok(header) = BatchHeader::parse(&self.buffer[at..]) else { return Ok(None) };
        if header.size as u64 > left || header.last_offset_delta < 0 || header.base_offset < 0 {
            return Ok(None);
        }
        let found = BatchAt { position: self.position, header };
        self.position = found.end();
        Ok(Some(found))
    }

    fn fill(&mut self, wanted: usize, left: u64) -> io::Result<()> {
        let buffered_to = self.buffer_start + self.buffer.len() as u64;
        if self.position >= self.buffer_start && self.position + wanted as u64 <= buffered_to {
            return Ok(());
        }
        let length = left.min(self.chunk as u64) as usize;
        self.chunk = (self.chunk * 2).min(CHUNK_MAX);
        self.buffer.resize(length, 0);
        self.buffer_start = self.position;
        self.file.read_exact_at(&mut self.buffer, self.position)
    }
}

/// The whole bytes of a batch. Its size was bounded by the file's when its header was found.
pub fn read_batch(file: &File, batch: &BatchAt) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; batch.header.size];
    file.read_exact_at(&mut bytes, batch.position)?;
    Ok(bytes)
}

/// Verifies the checksum of one batch after the other without holding a whole one.
#[derive(Default)]
pub struct CrcChecker {
    buffer: Vec<u8>,
    buffer_start: u64,
}

impl CrcChecker {
    pub fn is_valid(&mut self, file: &File, batch: &BatchAt, file_end: u64) -> io::Result<bool> {
        let legacy = batch.header.magic < 2;
        let mut position = batch.position + if legacy { CRC_START_LEGACY } else { CRC_START_V2 } as u64;
        let (mut crc32c, mut crc32) = (0u32, crc32fast::Hasher::new());
        while position < batch.end() {
            let part = self.part(file, position, batch.end(), file_end)?;
            if legacy {
                crc32.update(part);
            } else {
                crc32c = crc32c::crc32c_append(crc32c, part);
            }
            position += part.len() as u64;
        }
        Ok(batch.header.crc == if legacy { crc32.finalize() } else { crc32c })
    }

    /// As much of `from..to` as the buffer holds, at least one byte.
    fn part(&mut self, file: &File, from: u64, to: u64, file_end: u64) -> io::Result<&[u8]> {
        let buffered_to = self.buffer_start + self.buffer.len() as u64;
        if from < self.buffer_start || from >= buffered_to {
            let length = file_end.saturating_sub(from).min(CHECK_CHUNK as u64) as usize;
            self.buffer.resize(length, 0);
            self.buffer_start = from;
            file.read_exact_at(&mut self.buffer, from)?;
        }
        let begin = (from - self.buffer_start) as usize;
        let end = ((to - self.buffer_start) as usize).min(self.buffer.len());
        if begin < end { Ok(&self.buffer[begin..end]) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}
