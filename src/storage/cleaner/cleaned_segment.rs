//! The segment compaction writes into, and the chunks it reads from.

use std::{fs::File, os::unix::fs::FileExt, sync::Arc};

use bytes::BytesMut;

use super::Fault;
use crate::{
    protocol::records::{batch::LOG_OVERHEAD, iter::batches},
    storage::log::{file_records::BatchAt, index_rebuild::IndexRebuild, segment::Segment},
};

/// Batches go in at the end; the indexes learn of each.
pub struct CleanedSegment<'a, 'b> {
    pub segment: &'a Segment,
    pub file: Arc<File>,
    pub rebuild: &'a mut IndexRebuild<'b>,
    pub position: u64,
}

impl CleanedSegment<'_, '_> {
    /// Appends whole batches and empties `out`.
    pub fn append(&mut self, out: &mut BytesMut) -> Result<(), Fault> {
        let mut position = self.position;
        for batch in batches(out) {
            let header = batch?.header;
            if !self.segment.can_hold(header.last_offset()) {
                let base_offset = self.segment.base_offset();
                return Err(Fault::Unfit(format!(
                    "offset {} does not fit into the segment that begins at {base_offset}",
                    header.last_offset()
                )));
            }
            self.rebuild.add(&BatchAt { position, header })?;
            position += header.size as u64;
        }
        self.file.write_all_at(out, self.position)?;
        self.position = position;
        out.clear();
        Ok(())
    }
}

/// Hands the bytes `from..end` of `file` to `take` in chunks; `take` answers how many of them were whole batches. The
/// buffer grows only for a batch that is larger, and only if the file holds that much.
pub fn read_chunks(
    file: &File,
    from: u64,
    end: u64,
    chunk_bytes: usize,
    take: &mut dyn FnMut(&[u8]) -> Result<Taken, Fault>,
) -> Result<(), Fault> {
    let mut position = from;
    let mut buffer = Vec::new();
    let mut wanted = chunk_bytes;
    while position < end {
        let left = end - position;
        buffer.resize(left.min(wanted as u64) as usize, 0);
        file.read_exact_at(&mut buffer, position)?;
        match take(&buffer)? {
            Taken::Enough => return Ok(()),
            Taken::Bytes(0) => wanted = size_of_first(&buffer, left, position)?,
            Taken::Bytes(count) => {
                position += count as u64;
                if wanted > chunk_bytes {
                    (wanted, buffer) = (chunk_bytes, Vec::new());
                }
            }
        }
    }
    Ok(())
}

/// What became of a chunk.
pub enum Taken {
    Bytes(usize),
    /// No more is wanted.
    Enough,
}

fn size_of_first(chunk: &[u8], left: u64, position: u64) -> Result<usize, Fault> {
    let size = chunk
        .get(8..LOG_OVERHEAD)
        .and_then(|length| length.first_chunk::<4>())
        .and_then(|length| usize::try_from(i32::from_be_bytes(*length)).ok())
        .map(|length| length + LOG_OVERHEAD)
        .filter(|size| *size > chunk.len() && *size as u64 <= left);
    size.ok_or_else(|| Fault::Unfit(format!("no whole batch at position {position}, {left} bytes before the end")))
}
