//! Cleaning one log: reads the dirty part to learn the last offset of each key, then writes all of it anew, segment by
//! segment, without what the rules drop (class `Cleaner`).

use std::{fs::File, ops::ControlFlow, path::Path, sync::Arc};

use bytes::BytesMut;

use super::{
    CleanError, Fault,
    choose::{SegmentSize, group_segments},
    cleaned_segment::{CleanedSegment, Taken, read_chunks},
    filter::{filter_batch, marker_kind},
    offset_map::OffsetMap,
    retain::{CleanedTransactions, Rules},
    stats::CleanerStats,
};
use crate::{
    common::{Clock, Offset, Timestamp},
    protocol::records::iter::{Batch, batches, try_for_each_view},
    storage::{
        StorageError, UnifiedLog,
        log::{
            segment::{Segment, TXN_INDEX_SUFFIX},
            segment_files::Stage,
            transaction_index,
        },
    },
};

/// What is to be cleaned of a log.
#[derive(Clone)]
pub struct LogToClean {
    pub log: Arc<UnifiedLog>,
    pub first_dirty: Offset,
    /// Where the first segment begins that must stay as it is.
    pub first_uncleanable: Offset,
    /// Where the log's first segment began then: retention is the other thing that takes files away.
    pub first_segment: Offset,
    /// As counted when the rest was looked up: the log must not have been truncated since.
    pub truncations: u64,
}

/// What a cleaning may use, and whom it must ask.
pub struct Cleaner<'a> {
    pub clock: &'a dyn Clock,
    /// For the map of keys.
    pub map_bytes: usize,
    pub map_load_factor: f64,
    /// Read at a time.
    pub chunk_bytes: usize,
    /// Hears of every read and write, and may pause. False: stop now.
    pub io: &'a dyn Fn(u64) -> bool,
}

/// What stays the same while one log is cleaned.
struct Job<'a> {
    cleaner: &'a Cleaner<'a>,
    task: &'a LogToClean,
    map: OffsetMap,
    now: Timestamp,
    legacy_delete_horizon: Timestamp,
    stats: CleanerStats,
    transactions: CleanedTransactions,
}

impl Cleaner<'_> {
    /// Cleans; gives the first offset that is not clean.
    pub fn clean(&self, task: &LogToClean) -> Result<(Offset, CleanerStats), CleanError> {
        let started = self.clock.monotonic_ms();
        let mut job = Job {
            cleaner: self,
            task,
            map: OffsetMap::new(self.map_bytes, self.map_load_factor),
            now: self.clock.now_ms(),
            legacy_delete_horizon: 0,
            stats: CleanerStats::default(),
            transactions: CleanedTransactions::default(),
        };
        let end = job.run(started).map_err(|fault| blame(task, fault))?;
        job.stats.elapsed_ms = self.clock.monotonic_ms() - started;
        Ok((end, job.stats))
    }
}

/// Whose fault a failure is: the log's that changed under our hands, the disk's, or the data's.
fn blame(task: &LogToClean, fault: Fault) -> CleanError {
    let log = &task.log;
    if !log.is_usable() || log.truncations() != task.truncations || log.first_segment_offset() != task.first_segment {
        return CleanError::Aborted;
    }
    match fault {
        Fault::Aborted => CleanError::Aborted,
        Fault::Io(source) => CleanError::Io { dir: log.parent_dir().to_owned(), source },
        Fault::Records(error) => CleanError::Uncleanable(error.to_string()),
        Fault::Unfit(what) => CleanError::Uncleanable(what),
    }
}

impl Job<'_> {
    fn run(&mut self, started: i64) -> Result<Offset, Fault> {
        let task = self.task;
        let log = &task.log;
        let config = log.config();
        let dir = log.dir();
        if let Some(last_clean) = log.segments_between(0, task.first_dirty).last() {
            self.legacy_delete_horizon = last_clean.last_modified(&dir)? - config.delete_retention_ms;
        }
        self.build_map()?;
        self.stats.index_ms = self.cleaner.clock.monotonic_ms() - started;
        let end = self.map.latest_offset() + 1;
        let segments = log.segments_between(0, end);
        let bytes_max = u64::try_from(config.segment_bytes).unwrap_or(0);
        let index_bytes_max = u64::try_from(config.segment_index_bytes).unwrap_or(0);
        let groups = group_segments(&sizes(&segments, &dir)?, bytes_max, index_bytes_max, task.first_uncleanable);
        for group in groups {
            let next = segments.get(group.end).map_or(task.first_uncleanable, |next| next.base_offset());
            self.clean_group(&segments[group], next)?;
        }
        self.stats.buffer_utilization = self.map.utilization();
        Ok(end)
    }

    /// Reads the dirty part, as much of it as the map can hold.
    fn build_map(&mut self) -> Result<(), Fault> {
        let (start, end) = (self.task.first_dirty, self.task.first_uncleanable);
        let dirty = self.task.log.segments_between(start, end);
        let mut transactions = CleanedTransactions::default();
        transactions.add_aborted(self.task.log.collect_aborted(start, end)?);
        for (at, segment) in dirty.iter().enumerate() {
            let segment_end = dirty.get(at + 1).map_or(end, |next| next.base_offset());
            if !self.map_segment(segment, start, &mut transactions)? {
                tracing::debug!(log = %self.task.log.name(), segments = at, "the offset map is full");
                break;
            }
            // Behind the last batch there may be a gap: it counts as read.
            self.map.update_latest_offset(segment_end - 1);
        }
        Ok(())
    }

    /// False once the map is full.
    fn map_segment(
        &mut self,
        segment: &Arc<Segment>,
        start: Offset,
        transactions: &mut CleanedTransactions,
    ) -> Result<bool, Fault> {
        let file = self.task.log.open_segment(segment)?;
        let from = segment.lookup(&self.task.log.dir(), &file, start)?.position;
        let mut has_room = true;
        read_chunks(&file, from, segment.size(), self.cleaner.chunk_bytes, &mut |chunk| {
            check(self.cleaner, self.task, chunk.len() as u64)?;
            let mut whole = batches(chunk);
            for batch in whole.by_ref() {
                has_room = self.map_batch(&batch?, start, transactions)?;
                if !has_room {
                    return Ok(Taken::Enough);
                }
            }
            let taken = chunk.len() - whole.rest().len();
            self.stats.map_bytes_read += taken as u64;
            Ok(Taken::Bytes(taken))
        })?;
        Ok(has_room)
    }

    fn map_batch(
        &mut self,
        batch: &Batch<'_>,
        start: Offset,
        transactions: &mut CleanedTransactions,
    ) -> Result<bool, Fault> {
        let header = &batch.header;
        let map = &mut self.map;
        let mut has_room = true;
        if header.is_control() {
            transactions.on_control_batch(header, marker_kind(batch)?);
            self.stats.map_messages_read += 1;
        } else if transactions.on_batch(header) {
            self.stats.map_messages_read += u64::try_from(header.record_count).unwrap_or(0);
        } else {
            let messages = &mut self.stats.map_messages_read;
            try_for_each_view(batch.bytes, &mut |record| {
                if let Some(key) = record.key.filter(|_| record.offset >= start)
                    && !map.put(key, record.offset)
                {
                    has_room = false;
                    return Ok(ControlFlow::Break(()));
                }
                *messages += 1;
                Ok(ControlFlow::Continue(()))
            })?;
        }
        if has_room && header.last_offset() >= start {
            map.update_latest_offset(header.last_offset());
        }
        Ok(has_room)
    }

    /// Makes one segment of `group`, which ends where `next` begins, and swaps it in.
    fn clean_group(&mut self, group: &[Arc<Segment>], next: Offset) -> Result<(), Fault> {
        let log = &self.task.log;
        let dir = log.dir();
        let config = log.config();
        let cleaned = Segment::create_cleaned(&dir, group[0].base_offset(), &config, self.now)?;
        let done = self.fill_and_swap(group, next, &cleaned, &dir);
        // What has become `.swap` belongs to the log, whatever happened then.
        if done.is_err()
            && cleaned.stage() == Stage::Cleaned
            && let Err(error) = cleaned.remove_files(&dir)
        {
            tracing::debug!(log = %log.name(), %error, "an unfinished cleaning's files stay until the next one");
        }
        done
    }

    fn fill_and_swap(
        &mut self,
        group: &[Arc<Segment>],
        next: Offset,
        cleaned: &Arc<Segment>,
        dir: &Path,
    ) -> Result<(), Fault> {
        let file = cleaned.open_active(dir)?;
        self.fill(group, next, cleaned, &file, dir)?;
        for entry in self.transactions.take_retained() {
            transaction_index::append(&cleaned.path(dir, TXN_INDEX_SUFFIX), entry)?;
            cleaned.set_has_txn_index(true);
        }
        if let Some(last) = group.last() {
            // Retention of records without timestamps goes by the file's.
            let modified = u64::try_from(last.last_modified(dir)?).unwrap_or(0);
            file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_millis(modified))?;
        }
        cleaned.sync_all_files(dir)?;
        let swapped = self.task.log.replace_segments(&[Arc::clone(cleaned)], group, self.task.truncations);
        match swapped {
            Ok(true) => Ok(()),
            Ok(false) => Err(Fault::Aborted),
            Err(StorageError::Io { source, .. }) => Err(Fault::Io(source)),
            Err(_) => Err(Fault::Aborted),
        }
    }

    fn fill(
        &mut self,
        group: &[Arc<Segment>],
        next: Offset,
        cleaned: &Arc<Segment>,
        file: &Arc<File>,
        dir: &Path,
    ) -> Result<(), Fault> {
        let last_records = self.task.log.last_records_of_active_producers();
        let size = cleaned.fill(dir, |rebuild| {
            let mut output = CleanedSegment { segment: cleaned, file: Arc::clone(file), rebuild, position: 0 };
            for (at, segment) in group.iter().enumerate() {
                // From whole segments, because the new one needs a whole transaction index.
                let segment_end = group.get(at + 1).map_or(next, |next| next.base_offset());
                let aborted = self.task.log.collect_aborted(segment.base_offset(), segment_end)?;
                self.transactions.add_aborted(aborted);
                let retain_legacy_deletes = segment.last_modified(dir)? > self.legacy_delete_horizon;
                let rules = Rules {
                    map: &self.map,
                    now: self.now,
                    delete_retention_ms: self.task.log.config().delete_retention_ms,
                    retain_legacy_deletes,
                    last_records: &last_records,
                };
                let source = self.task.log.open_segment(segment)?;
                let (transactions, stats) = (&mut self.transactions, &mut self.stats);
                let pass = Pass { cleaner: self.cleaner, task: self.task, rules, transactions, stats };
                pass.copy(&source, segment.size(), &mut output)?;
            }
            Ok::<u64, Fault>(output.position)
        })?;
        cleaned.set_size(size);
        Ok(())
    }
}

/// One segment's way into the new one.
struct Pass<'a> {
    cleaner: &'a Cleaner<'a>,
    task: &'a LogToClean,
    rules: Rules<'a>,
    transactions: &'a mut CleanedTransactions,
    stats: &'a mut CleanerStats,
}

impl Pass<'_> {
    /// Copies what stays of the first `size` bytes of `source`.
    fn copy(self, source: &File, size: u64, output: &mut CleanedSegment<'_, '_>) -> Result<(), Fault> {
        let mut out = BytesMut::new();
        read_chunks(source, 0, size, self.cleaner.chunk_bytes, &mut |chunk| {
            check(self.cleaner, self.task, chunk.len() as u64)?;
            let mut whole = batches(chunk);
            for batch in whole.by_ref() {
                filter_batch(&batch?, &self.rules, self.transactions, &mut out, self.stats)?;
            }
            if !out.is_empty() {
                let bytes = out.len() as u64;
                output.append(&mut out)?;
                check(self.cleaner, self.task, bytes)?;
            }
            Ok(Taken::Bytes(chunk.len() - whole.rest().len()))
        })
    }
}

/// Goes on, if nobody minds.
fn check(cleaner: &Cleaner<'_>, task: &LogToClean, bytes: u64) -> Result<(), Fault> {
    let goes_on = (cleaner.io)(bytes) && task.log.is_usable() && task.log.truncations() == task.truncations;
    if goes_on { Ok(()) } else { Err(Fault::Aborted) }
}

fn sizes(segments: &[Arc<Segment>], dir: &Path) -> Result<Vec<SegmentSize>, Fault> {
    let size = |segment: &Arc<Segment>| {
        let (index_bytes, time_index_bytes) = segment.index_bytes(dir)?;
        Ok(SegmentSize { base_offset: segment.base_offset(), bytes: segment.size(), index_bytes, time_index_bytes })
    };
    segments.iter().map(size).collect()
}
