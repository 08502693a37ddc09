//! Reading: which bytes of which file answer a fetch (classes `LocalLog.read`, `LogSegment.read`).

use std::{io, sync::Arc};

use super::{
    AbortedTxn, FetchData, FetchIsolation, UnifiedLog,
    offsets::{OffsetMetadata, Place, TailBatch},
    segment::Segment,
};
use crate::{common::Offset, protocol::chunk::FileRegion, storage::StorageError};

/// The log as one reader saw it at one moment.
struct View {
    bound: OffsetMetadata,
    high_watermark: Offset,
    last_stable_offset: Offset,
    log_start_offset: Offset,
    log_end_offset: Offset,
    /// The batch to begin with, if it is a recent one, and its segment.
    recent: Option<(TailBatch, Offset)>,
}

impl UnifiedLog {
    /// Region of whole batches from the one that holds `start_offset`, at most `max_bytes` long, never past what
    /// `isolation` allows. With `min_one_message` the first batch is returned whole even if larger than `max_bytes`.
    /// As in Kafka the region's last batch may be cut.
    pub fn read(
        &self,
        start_offset: Offset,
        max_bytes: usize,
        isolation: FetchIsolation,
        min_one_message: bool,
    ) -> Result<FetchData, StorageError> {
        self.check_usable()?;
        let mut view = self.view(start_offset, isolation);
        if start_offset < view.log_start_offset || start_offset > view.log_end_offset {
            return Err(StorageError::OffsetOutOfRange {
                requested: start_offset,
                log_start: view.log_start_offset,
                log_end: view.log_end_offset,
            });
        }
        let committed = isolation == FetchIsolation::TxnCommitted;
        if start_offset >= view.bound.offset {
            return Ok(view.empty(start_offset, committed));
        }
        let found = loop {
            let swaps = self.rewrites.swaps();
            let found = self.read_at(start_offset, max_bytes, min_one_message, committed, &view);
            // Segments that were swapped meanwhile may have been looked at half before and half after.
            if self.rewrites.swaps() == swaps {
                break found;
            }
            view = self.view(start_offset, isolation);
        };
        match found {
            Ok(data) => Ok(data),
            // Retention or a truncation removed the segment while it was being read.
            Err(error) if error.kind() == io::ErrorKind::NotFound && start_offset < self.log_start_offset() => {
                Err(StorageError::OffsetOutOfRange {
                    requested: start_offset,
                    log_start: self.log_start_offset(),
                    log_end: self.log_end_offset(),
                })
            }
            Err(error) => Err(self.io(error)),
        }
    }

    fn view(&self, start_offset: Offset, isolation: FetchIsolation) -> View {
        let tail = self.tail.lock();
        let stable = match tail.first_unstable {
            Some(first) if first.offset < tail.high_watermark.offset => first,
            _ => tail.high_watermark,
        };
        let bound = match isolation {
            FetchIsolation::LogEnd => tail.end,
            FetchIsolation::HighWatermark => tail.high_watermark,
            FetchIsolation::TxnCommitted => stable,
        };
        View {
            bound,
            high_watermark: tail.high_watermark.offset,
            last_stable_offset: stable.offset,
            log_start_offset: self.log_start_offset(),
            log_end_offset: tail.end.offset,
            recent: if start_offset < bound.offset {
                tail.find(start_offset).map(|found| (found, tail.active()))
            } else {
                None
            },
        }
    }

    fn read_at(
        &self,
        start_offset: Offset,
        max_bytes: usize,
        min_one_message: bool,
        committed: bool,
        view: &View,
    ) -> io::Result<FetchData> {
        let Some((segment, batch)) = self.find_batch(start_offset, view)? else {
            return Ok(view.empty(start_offset, committed));
        };
        let available = match self.bound_place(view.bound)? {
            Some(place) if place.segment == segment.base_offset() => place.position.min(segment.size()),
            Some(place) if place.segment < segment.base_offset() => 0,
            _ => segment.size(),
        }
        .saturating_sub(batch.position);
        let wanted = if min_one_message { (max_bytes as u64).max(batch.size) } else { max_bytes as u64 };
        let length = wanted.min(available);
        if length == 0 || wanted < batch.size {
            let mut nothing = view.empty(start_offset, committed);
            nothing.first_entry_incomplete = available > 0 && wanted < batch.size;
            return Ok(nothing);
        }
        let file = segment.file(&self.dir.load(), &self.context)?;
        let aborted =
            if committed { Some(self.aborted(start_offset, &segment, batch.position + length)?) } else { None };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        Ok(FetchData {
            region: Some(FileRegion { file, position: batch.position, length }),
            base_offset: batch.base_offset,
            aborted,
            ..view.empty(start_offset, committed)
        })
    }

    /// The first batch that ends at or beyond `offset`: among the recent ones without I/O, else through the index.
    fn find_batch(&self, offset: Offset, view: &View) -> io::Result<Option<(Arc<Segment>, TailBatch)>> {
        let dir = self.dir.load();
        if let Some((batch, active)) = view.recent {
            let segments = self.segments.read();
            if let Some(segment) = segments.floor(active).filter(|one| one.base_offset() == active) {
                return Ok(Some((Arc::clone(segment), batch)));
            }
        }
        let mut segment = self.segments.read().floor(offset).cloned();
        while let Some(one) = segment {
            let file = one.file(&dir, &self.context)?;
            if let Some(found) = one.locate(&dir, &file, offset, one.size())? {
                let (base_offset, size) = (found.header.base_offset, found.header.size as u64);
                return Ok(Some((one, TailBatch { base_offset, position: found.position, size })));
            }
            segment = self.segments.read().higher(one.base_offset()).cloned();
        }
        Ok(None)
    }

    /// Where the batch with the bounding offset begins; found once, then remembered.
    fn bound_place(&self, bound: OffsetMetadata) -> io::Result<Option<Place>> {
        if let Some(place) = bound.place {
            return Ok(Some(place));
        }
        let dir = self.dir.load();
        let Some(segment) = self.segments.read().floor(bound.offset).cloned() else { return Ok(None) };
        let file = segment.file(&dir, &self.context)?;
        let size = segment.size();
        let found = segment.locate(&dir, &file, bound.offset, size)?;
        let position = found.map_or(size, |batch| batch.position);
        let place = Some(Place { segment: segment.base_offset(), position });
        let mut tail = self.tail.lock();
        if tail.high_watermark == bound {
            tail.high_watermark.place = place;
        }
        if tail.first_unstable == Some(bound) {
            tail.first_unstable = Some(OffsetMetadata { place, ..bound });
        }
        Ok(place)
    }

    /// Aborted transactions that overlap the region that ends at `end_position` of `segment`.
    fn aborted(&self, start_offset: Offset, segment: &Arc<Segment>, end_position: u64) -> io::Result<Vec<AbortedTxn>> {
        let later: Vec<Arc<Segment>> = self.segments.read().from_offset(segment.base_offset()).to_vec();
        if !later.iter().any(|one| one.has_txn_index()) {
            return Ok(Vec::new());
        }
        let dir = self.dir.load();
        let upper_bound = match segment.upper_bound_offset(&dir, end_position)? {
            Some(offset) => offset,
            None => later.get(1).map_or_else(|| self.log_end_offset(), |next| next.base_offset()),
        };
        let mut aborted = Vec::new();
        for one in later.iter().filter(|one| one.has_txn_index()) {
            for entry in one.aborted_entries(&dir)? {
                if entry.last_offset >= start_offset && entry.first_offset < upper_bound {
                    aborted.push(AbortedTxn { producer_id: entry.producer_id, first_offset: entry.first_offset });
                }
                if entry.last_stable_offset >= upper_bound {
                    return Ok(aborted);
                }
            }
        }
        Ok(aborted)
    }
}

impl View {
    fn empty(&self, start_offset: Offset, committed: bool) -> FetchData {
        FetchData {
            region: None,
            base_offset: start_offset,
            aborted: committed.then(Vec::new),
            first_entry_incomplete: false,
            high_watermark: self.high_watermark,
            last_stable_offset: self.last_stable_offset,
            log_start_offset: self.log_start_offset,
            log_end_offset: self.log_end_offset,
        }
    }
}
