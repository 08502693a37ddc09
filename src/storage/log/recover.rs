//! Opening a log that exists: unfinished renames, recovery after a crash, producer state (class `LogLoader`).
//!
//! After a clean stop only the last index entry's neighbourhood is read. After a crash every segment from the recovery
//! point on is scanned, checksum by checksum, and cut at the first byte that is not a valid batch.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    AppendOrigin, UnifiedLog,
    append::aborted_entry,
    context::LogContext,
    file_records::{BatchAt, BatchScanner, CrcChecker, read_batch},
    leader_epochs::LeaderEpochs,
    producer_append::{CompletedTxn, parse_end_txn_marker},
    producer_state::{ProducerState, decode_snapshot},
    roll::write_snapshot,
    segment::{SNAPSHOT_SUFFIX, Segment, TXN_INDEX_SUFFIX, file_path, mark_deleted},
    segments::Segments,
    transaction_index,
    unified_log::Parts,
};
use crate::{
    common::{Offset, TopicPartition},
    config::topic::LogConfig,
    storage::{
        StorageError,
        checkpoint::{Durability, leader_epoch, partition_metadata},
        log::listing::{Listing, list},
    },
};

/// Control batches are tiny; a larger one is not a marker.
const MARKER_BYTES_MAX: usize = 64 << 10;

/// What the log dir's checkpoints say of one log.
#[derive(Debug, Clone, Copy)]
pub struct LoadParams {
    pub recovery_point: Offset,
    pub log_start_offset: Offset,
    pub high_watermark: Offset,
    pub clean_shutdown: bool,
}

impl UnifiedLog {
    /// Opens the log in `dir`.
    pub fn load(
        dir: PathBuf,
        topic_partition: TopicPartition,
        config: Arc<LogConfig>,
        params: LoadParams,
        context: Arc<LogContext>,
    ) -> Result<Self, StorageError> {
        let parent = dir.parent().unwrap_or(&dir).to_owned();
        let loader = Loader { dir: &dir, tp: &topic_partition, config: &config, params, context: &context };
        let loaded = loader.load().map_err(|source| StorageError::Io { dir: parent, source })?;
        Ok(Self::from_parts(Parts {
            topic_partition,
            dir,
            context,
            config,
            topic_id: loaded.topic_id,
            segments: Segments::new(loaded.segments),
            epochs: loaded.epochs,
            producers: loaded.producers,
            log_start_offset: loaded.log_start_offset,
            log_end_offset: loaded.log_end_offset,
            high_watermark: params.high_watermark.min(loaded.log_end_offset).max(loaded.log_start_offset),
            recovery_point: loaded.recovery_point,
        }))
    }
}

struct Loader<'a> {
    dir: &'a Path,
    tp: &'a TopicPartition,
    config: &'a LogConfig,
    params: LoadParams,
    context: &'a LogContext,
}

struct Loaded {
    segments: Vec<Arc<Segment>>,
    epochs: LeaderEpochs,
    producers: ProducerState,
    topic_id: Option<uuid::Uuid>,
    log_start_offset: Offset,
    log_end_offset: Offset,
    recovery_point: Offset,
}

impl Loader<'_> {
    fn load(&self) -> io::Result<Loaded> {
        let listing = list(self.dir)?;
        let now = self.context.clock.now_ms();
        let mut segments = Vec::with_capacity(listing.logs.len().max(1));
        for (&base_offset, &size) in &listing.logs {
            let has_txn_index = listing.txn_indexes.contains(&base_offset);
            segments.push(Arc::new(Segment::on_disk(base_offset, size, has_txn_index, self.config, now)));
        }
        let mut epochs = self.read_epochs(&segments)?;
        let known_epochs = epochs.entries().to_vec();
        let mut producers = ProducerState::default();
        producers.snapshots = listing.snapshots.clone();
        let mut log_end_offset = self.recover(&listing, &mut segments, &mut epochs, &mut producers)?;
        let start = self.params.log_start_offset;
        if log_end_offset < start && !segments.is_empty() {
            tracing::warn!(partition = %self.tp, log_end_offset, start, "log ends below its start offset, starting over there");
            self.remove(&mut segments, 0)?;
            epochs.clear();
        }
        if segments.is_empty() {
            segments.push(Segment::create(self.dir, start, self.config, now)?);
            log_end_offset = start;
        }
        let log_start_offset = start.max(segments[0].base_offset());
        let recovered = *epochs.entries() != *known_epochs;
        epochs.forget_from_end(log_end_offset);
        if epochs.truncate_from_start(log_start_offset) || recovered {
            epochs.write(self.dir, Durability::Synced)?;
        }
        remove_stray_snapshots(self.dir, &mut producers.snapshots, &segments)?;
        if producers.map_end_offset() != log_end_offset || self.params.clean_shutdown {
            rebuild_producers(
                self.dir,
                &segments,
                log_start_offset,
                log_end_offset,
                &mut producers,
                self.tp,
                self.context,
            )?;
        } else {
            drop_snapshots_outside(self.dir, &mut producers, log_start_offset, log_end_offset)?;
            write_snapshot(self.dir, &mut producers, true)?;
        }
        if let Some(active) = segments.last() {
            active.open_active(self.dir)?;
        }
        let flushed = if self.params.clean_shutdown { log_end_offset } else { self.params.recovery_point };
        Ok(Loaded {
            segments,
            epochs,
            producers,
            topic_id: self.read_topic_id(&listing),
            log_start_offset,
            log_end_offset,
            recovery_point: flushed.min(log_end_offset),
        })
    }

    /// Recovers what has to be and returns the log end offset.
    fn recover(
        &self,
        listing: &Listing,
        segments: &mut Vec<Arc<Segment>>,
        epochs: &mut LeaderEpochs,
        producers: &mut ProducerState,
    ) -> io::Result<Offset> {
        let Some(last) = segments.last() else { return Ok(self.params.log_start_offset) };
        let mut from = segments.len();
        if !self.params.clean_shutdown {
            let above = segments.partition_point(|one| one.base_offset() <= self.params.recovery_point);
            from = above.saturating_sub(1);
        }
        for segment in &segments[..from] {
            self.check_index_files(listing, segment)?;
        }
        // Aborted transactions are nowhere else but in the log itself.
        let damaged = segments[..from].iter().position(|segment| !self.has_sane_txn_index(segment));
        if let Some(at) = damaged {
            tracing::warn!(partition = %self.tp, segment = segments[at].base_offset(), "transaction index is damaged, recovering");
            from = at;
        }
        if from == segments.len() {
            let end = self.find_end(last)?;
            if let Some(end) = end {
                return Ok(end);
            }
            tracing::warn!(partition = %self.tp, "the last segment does not end with a whole batch, recovering it");
            from = segments.len() - 1;
        }
        self.recover_from(from, segments, epochs, producers)
    }

    fn has_sane_txn_index(&self, segment: &Segment) -> bool {
        let path = segment.path(self.dir, TXN_INDEX_SUFFIX);
        !segment.has_txn_index() || transaction_index::read(&path, segment.base_offset()).is_ok()
    }

    /// A segment that needs no recovery still needs its index files.
    fn check_index_files(&self, listing: &Listing, segment: &Arc<Segment>) -> io::Result<()> {
        let base_offset = segment.base_offset();
        if !listing.indexes.contains(&base_offset) || !listing.time_indexes.contains(&base_offset) {
            tracing::warn!(partition = %self.tp, base_offset, "index file is missing, rebuilding it");
            let file = segment.file(self.dir, self.context)?;
            segment.rebuild_indexes(self.dir, &file)?;
        }
        Ok(())
    }

    /// The log end offset of a segment that was closed properly; `None` if its bytes say that it was not.
    fn find_end(&self, segment: &Arc<Segment>) -> io::Result<Option<Offset>> {
        if segment.size() == 0 {
            return Ok(Some(segment.base_offset()));
        }
        let file = segment.open_active(self.dir)?;
        let from = segment.lookup(self.dir, &file, Offset::MAX)?;
        let mut batches = BatchScanner::new(&file, from.position, segment.size());
        let mut end = segment.base_offset();
        while let Some(batch) = batches.next_batch()? {
            end = batch.header.next_offset();
        }
        Ok((batches.position() == segment.size()).then_some(end))
    }

    fn recover_from(
        &self,
        from: usize,
        segments: &mut Vec<Arc<Segment>>,
        epochs: &mut LeaderEpochs,
        producers: &mut ProducerState,
    ) -> io::Result<Offset> {
        let first = segments[from].base_offset();
        let start = self.params.log_start_offset.max(segments[0].base_offset());
        rebuild_producers(self.dir, &segments[..from], start.min(first), first, producers, self.tp, self.context)?;
        let mut end = first;
        let mut at = from;
        while at < segments.len() {
            let segment = Arc::clone(&segments[at]);
            producers.set_map_end_offset(producers.map_end_offset().max(segment.base_offset()));
            write_snapshot(self.dir, producers, false)?;
            let (next_offset, cut) = self.recover_segment(&segment, end, epochs, producers)?;
            end = next_offset;
            at += 1;
            if cut > 0 {
                tracing::warn!(partition = %self.tp, segment = segment.base_offset(), bytes = cut, "cut off invalid bytes");
                self.remove(segments, at)?;
            }
        }
        producers.set_map_end_offset(end);
        Ok(end)
    }

    /// Scans one segment, cuts it where it stops being valid and writes its indexes anew. Gives its end offset and how
    /// many bytes were cut.
    fn recover_segment(
        &self,
        segment: &Arc<Segment>,
        at_least: Offset,
        epochs: &mut LeaderEpochs,
        producers: &mut ProducerState,
    ) -> io::Result<(Offset, u64)> {
        let file = segment.file(self.dir, self.context)?;
        let size = segment.size();
        let txn_path = segment.path(self.dir, TXN_INDEX_SUFFIX);
        transaction_index::remove(&txn_path)?;
        segment.set_has_txn_index(false);
        let mut next_offset = segment.base_offset().max(at_least);
        let valid = segment.with_rebuild(self.dir, |rebuild| {
            let mut batches = BatchScanner::new(&file, 0, size);
            let mut checksums = CrcChecker::default();
            let mut valid = 0;
            while let Some(batch) = batches.next_batch()? {
                let header = &batch.header;
                if header.base_offset < next_offset || !checksums.is_valid(&file, &batch, size)? {
                    break;
                }
                rebuild.add(&batch)?;
                if header.leader_epoch >= 0 && epochs.latest().is_none_or(|last| header.leader_epoch > last.epoch) {
                    epochs.assign(header.leader_epoch, header.base_offset);
                }
                if let Some((txn, last_stable_offset)) = replay(&file, &batch, producers, self.tp)?
                    && txn.aborted
                {
                    transaction_index::append(&txn_path, aborted_entry(&txn, last_stable_offset))?;
                    segment.set_has_txn_index(true);
                }
                next_offset = header.next_offset();
                producers.set_map_end_offset(next_offset);
                valid = batch.end();
            }
            Ok(valid)
        })?;
        if valid < size {
            file.set_len(valid)?;
            file.sync_all()?;
            segment.set_size(valid);
        }
        Ok((next_offset, size - valid))
    }

    /// Removes the segments from `from` on, and their files.
    fn remove(&self, segments: &mut Vec<Arc<Segment>>, from: usize) -> io::Result<()> {
        for segment in segments.drain(from..) {
            segment.close_file();
            for path in mark_deleted(self.dir, segment.base_offset(), true)? {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// The epochs of the checkpoint; of the log itself if the file is damaged or gone.
    fn read_epochs(&self, segments: &[Arc<Segment>]) -> io::Result<LeaderEpochs> {
        match leader_epoch::read(&self.dir.join(leader_epoch::FILE_NAME)) {
            Ok(Some(entries)) => return Ok(LeaderEpochs::new(entries)),
            Ok(None) if segments.iter().all(|segment| segment.size() == 0) => return Ok(LeaderEpochs::default()),
            Ok(None) => tracing::warn!(partition = %self.tp, "leader epoch checkpoint is missing, rebuilding it"),
            Err(error) => {
                tracing::warn!(partition = %self.tp, %error, "leader epoch checkpoint is unreadable, rebuilding it")
            }
        }
        let mut epochs = LeaderEpochs::default();
        for segment in segments {
            let file = segment.file(self.dir, self.context)?;
            let mut batches = BatchScanner::new(&file, 0, segment.size());
            while let Some(batch) = batches.next_batch()? {
                if epochs.latest().is_none_or(|last| batch.header.leader_epoch > last.epoch) {
                    epochs.assign(batch.header.leader_epoch, batch.header.base_offset);
                }
            }
        }
        epochs.write(self.dir, Durability::Synced)?;
        Ok(epochs)
    }

    fn read_topic_id(&self, listing: &Listing) -> Option<uuid::Uuid> {
        if !listing.has_partition_metadata {
            return None;
        }
        partition_metadata::read(&self.dir.join(partition_metadata::FILE_NAME)).unwrap_or_else(|error| {
            tracing::warn!(partition = %self.tp, %error, "partition.metadata is unreadable, the id will be assigned anew");
            None
        })
    }
}

/// Applies one batch to the producers; the transaction it completes, with the last stable offset after that.
fn replay(
    file: &File,
    batch: &BatchAt,
    producers: &mut ProducerState,
    tp: &TopicPartition,
) -> io::Result<Option<(CompletedTxn, Offset)>> {
    let header = &batch.header;
    if !header.has_producer_id() {
        return Ok(None);
    }
    let marker = if header.is_control() && header.size <= MARKER_BYTES_MAX {
        parse_end_txn_marker(header, &read_batch(file, batch)?)
    } else {
        None
    };
    let mut update = producers.prepare(header.producer_id, AppendOrigin::Replication);
    match update.append(header, marker, tp) {
        Ok(completed) => {
            producers.update(update);
            let completed = completed.map(|txn| (txn, producers.last_stable_offset_after(&txn)));
            if let Some((txn, _)) = &completed {
                producers.complete(txn);
            }
            Ok(completed)
        }
        Err(error) => {
            tracing::warn!(partition = %tp, %error, "ignoring a batch's producer state");
            Ok(None)
        }
    }
}

/// Brings the producers to where the log ends at `end`: from the newest usable snapshot, then from the batches.
pub(super) fn rebuild_producers(
    dir: &Path,
    segments: &[Arc<Segment>],
    start: Offset,
    end: Offset,
    producers: &mut ProducerState,
    tp: &TopicPartition,
    context: &LogContext,
) -> io::Result<()> {
    drop_snapshots_outside(dir, producers, start, end)?;
    producers.restart_at(start);
    load_newest_snapshot(dir, producers, tp, context)?;
    let newest: Vec<Offset> = segments.iter().rev().take(2).map(|segment| segment.base_offset()).collect();
    for (at, segment) in segments.iter().enumerate() {
        let segment_end = segments.get(at + 1).map_or(end, |next| next.base_offset());
        if segment_end <= producers.map_end_offset() || segment.base_offset() >= end {
            continue;
        }
        let from = producers.map_end_offset().max(segment.base_offset());
        producers.set_map_end_offset(from);
        if newest.contains(&segment.base_offset()) {
            write_snapshot(dir, producers, false)?;
        }
        let file = segment.file(dir, context)?;
        let first = segment.lookup(dir, &file, from)?;
        let mut batches = BatchScanner::new(&file, first.position, segment.size());
        while let Some(batch) = batches.next_batch()? {
            if batch.header.base_offset >= end {
                break;
            }
            if batch.header.last_offset() >= from {
                replay(&file, &batch, producers, tp)?;
            }
        }
    }
    producers.set_map_end_offset(end);
    write_snapshot(dir, producers, true)
}

fn load_newest_snapshot(
    dir: &Path,
    producers: &mut ProducerState,
    tp: &TopicPartition,
    context: &LogContext,
) -> io::Result<()> {
    while let Some(&offset) = producers.snapshots.last() {
        let path = file_path(dir, offset, SNAPSHOT_SUFFIX);
        let decoded = match fs::read(&path) {
            Ok(bytes) => decode_snapshot(&bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err("file is missing"),
            Err(error) => return Err(error),
        };
        match decoded {
            Ok(entries) => {
                producers.load(offset, entries, context.clock.now_ms(), context.producer_id_expiration_ms);
                return Ok(());
            }
            Err(what) => {
                tracing::warn!(partition = %tp, offset, what, "ignoring a producer snapshot");
                producers.snapshots.remove(&offset);
                transaction_index::remove(&path)?;
            }
        }
    }
    Ok(())
}

fn drop_snapshots_outside(dir: &Path, producers: &mut ProducerState, start: Offset, end: Offset) -> io::Result<()> {
    let outside: Vec<_> = producers.snapshots.iter().copied().filter(|&at| at > end || at <= start).collect();
    for offset in outside {
        producers.snapshots.remove(&offset);
        transaction_index::remove(&file_path(dir, offset, SNAPSHOT_SUFFIX))?;
    }
    Ok(())
}

/// Of the snapshots that no segment begins at, only the newest may stay, and only above the newest segment's begin.
fn remove_stray_snapshots(dir: &Path, snapshots: &mut BTreeSet<Offset>, segments: &[Arc<Segment>]) -> io::Result<()> {
    let bases: BTreeSet<Offset> = segments.iter().map(|segment| segment.base_offset()).collect();
    let newest_base = bases.last().copied().unwrap_or(0);
    let strays: Vec<Offset> = snapshots.iter().copied().filter(|offset| !bases.contains(offset)).collect();
    let newest_stray = strays.last().copied().filter(|&offset| offset >= newest_base);
    for offset in strays.into_iter().filter(|&offset| Some(offset) != newest_stray) {
        snapshots.remove(&offset);
        transaction_index::remove(&file_path(dir, offset, SNAPSHOT_SUFFIX))?;
    }
    Ok(())
}
