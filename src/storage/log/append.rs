//! Appending (class `UnifiedLog.append`). The received bytes go to the file with one `pwrite`.

use std::sync::atomic::Ordering;

use bytes::BytesMut;
use smallvec::SmallVec;

use super::{
    AppendInfo, AppendOrigin, UnifiedLog, Verification,
    producer_append::{CompletedTxn, ProducerAppend, parse_end_txn_marker},
    producer_state::ProducerState,
    roll::Extent,
    segment::TXN_INDEX_SUFFIX,
    time_index::TimestampOffset,
    transaction_index::{self, AbortedEntry},
    validate::{ValidationParams, validate_and_assign},
};
use crate::{
    common::{ErrorCode, LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp, ids::NO_TIMESTAMP},
    config::topic::LogConfig,
    protocol::records::batch::{BatchHeader, HEADER_SIZE_UP_TO_MAGIC, HeaderError, is_crc_valid},
    storage::StorageError,
};

/// Almost always one: a produce request has one batch per partition.
type Batches = SmallVec<[BatchHeader; 1]>;

/// What an append changes about producers, and the transactions it ends.
type ProducerChanges = (SmallVec<[ProducerAppend; 1]>, SmallVec<[CompletedTxn; 1]>);

/// What the headers of a record set say.
struct Analysis {
    batches: Batches,
    valid_bytes: usize,
    max: TimestampOffset,
    monotonic: bool,
}

impl UnifiedLog {
    /// As [`Self::append_verified`], where nothing is to be verified.
    pub fn append_as_leader(
        &self,
        records: BytesMut,
        leader_epoch: LeaderEpoch,
        origin: AppendOrigin,
        now: Timestamp,
    ) -> Result<AppendInfo, StorageError> {
        self.append_verified(records, leader_epoch, origin, Verification::NotRequired, now)
    }

    /// Before a producer's transactional write: whether its coordinator has to be asked (KIP-890).
    pub fn start_verification(
        &self,
        producer_id: ProducerId,
        sequence: i32,
        epoch: ProducerEpoch,
        now: Timestamp,
    ) -> Verification {
        self.state.lock().start_verification(producer_id, sequence, epoch, now)
    }

    /// Validates, assigns offsets, appends. `records` is the produce request's record set, still unshared, so that
    /// base offset and leader epoch are patched in place. The high watermark is not moved: that is the leader's job.
    pub fn append_verified(
        &self,
        mut records: BytesMut,
        leader_epoch: LeaderEpoch,
        origin: AppendOrigin,
        verification: Verification,
        now: Timestamp,
    ) -> Result<AppendInfo, StorageError> {
        let config = self.config.load_full();
        let received = self.analyze(&records, origin, Some(config.max_message_bytes))?;
        if received.batches.is_empty() {
            return Ok(self.nothing_appended());
        }
        records.truncate(received.valid_bytes);
        let mut producers = self.state.lock();
        self.check_usable()?;
        if origin == AppendOrigin::Client {
            self.check_duplicate(&received.batches, &producers)?;
        }
        check_verified(&received.batches, verification, &producers)?;
        let first_offset = self.log_end_offset();
        let params = ValidationParams {
            topic_partition: &self.topic_partition,
            config: &config,
            origin,
            leader_epoch,
            now,
            first_offset,
        };
        let validated = validate_and_assign(records, &params)?;
        let batches = self.assigned_batches(&validated.records)?;
        if validated.converted {
            self.check_sizes(&batches, config.max_message_bytes)?;
        }
        let info = AppendInfo {
            first_offset,
            last_offset: validated.last_offset,
            log_append_time: validated.log_append_time,
            log_start_offset: self.log_start_offset(),
            record_count: validated.record_count,
            bytes: validated.records.len(),
            converted: validated.converted,
        };
        let max = TimestampOffset { timestamp: validated.max_timestamp, offset: validated.offset_of_max_timestamp };
        self.commit(&validated.records, &batches, &info, max, origin, now, &config, &mut producers)?;
        drop(producers);
        self.flush_if_due(&config)?;
        Ok(info)
    }

    /// Appends batches that already have offsets (replication).
    pub fn append_as_follower(&self, mut records: BytesMut, now: Timestamp) -> Result<AppendInfo, StorageError> {
        let config = self.config.load_full();
        let received = self.analyze(&records, AppendOrigin::Replication, None)?;
        let (Some(first), Some(last)) = (received.batches.first(), received.batches.last()) else {
            return Ok(self.nothing_appended());
        };
        if !received.monotonic {
            let message = format!("Out of order offsets found in append to {}", self.topic_partition);
            return Err(StorageError::refused(ErrorCode::UnknownServerError, message));
        }
        records.truncate(received.valid_bytes);
        let mut producers = self.state.lock();
        self.check_usable()?;
        if first.base_offset < self.log_end_offset() {
            let message = format!(
                "Unexpected offset in append to {}: {} is below the next offset {}",
                self.topic_partition,
                first.base_offset,
                self.log_end_offset()
            );
            return Err(StorageError::refused(ErrorCode::UnknownServerError, message));
        }
        let info = AppendInfo {
            first_offset: first.base_offset,
            last_offset: last.last_offset(),
            log_append_time: NO_TIMESTAMP,
            log_start_offset: self.log_start_offset(),
            record_count: received.batches.iter().map(|batch| batch.record_count.max(0)).sum(),
            bytes: records.len(),
            converted: false,
        };
        let origin = AppendOrigin::Replication;
        self.commit(&records, &received.batches, &info, received.max, origin, now, &config, &mut producers)?;
        drop(producers);
        self.flush_if_due(&config)?;
        Ok(info)
    }

    fn nothing_appended(&self) -> AppendInfo {
        AppendInfo {
            first_offset: -1,
            last_offset: -1,
            log_append_time: NO_TIMESTAMP,
            log_start_offset: self.log_start_offset(),
            record_count: 0,
            bytes: 0,
            converted: false,
        }
    }

    /// Header checks and checksums, before the lock. A partial batch at the end is ignored, as Kafka does.
    fn analyze(&self, records: &[u8], origin: AppendOrigin, max_bytes: Option<i32>) -> Result<Analysis, StorageError> {
        let mut found = Analysis {
            batches: Batches::new(),
            valid_bytes: 0,
            max: TimestampOffset { timestamp: NO_TIMESTAMP, offset: -1 },
            monotonic: true,
        };
        let mut last_offset = -1;
        while records.len() - found.valid_bytes >= HEADER_SIZE_UP_TO_MAGIC {
            let rest = &records[found.valid_bytes..];
            let header = match BatchHeader::parse(rest) {
                Ok(header) if header.size <= rest.len() => header,
                Ok(_) | Err(HeaderError::Truncated) => break,
                Err(error) => return Err(self.corrupt_batch(&error.to_string())),
            };
            if header.magic == 2 && origin == AppendOrigin::Client && header.base_offset != 0 {
                let message = format!(
                    "The base offset of a produced batch must be 0, but it is {} in {}",
                    header.base_offset, self.topic_partition
                );
                return Err(StorageError::refused(ErrorCode::InvalidRecord, message));
            }
            if let Some(max_bytes) = max_bytes {
                self.check_sizes(std::slice::from_ref(&header), max_bytes)?;
            }
            if !is_crc_valid(&header, &rest[..header.size]) {
                return Err(self.corrupt_batch(&format!("stored crc = {}", header.crc)));
            }
            // A client's batch is held to its counts by the validation.
            if header.last_offset_delta < 0 && origin != AppendOrigin::Client {
                return Err(self.corrupt_batch("negative last offset delta"));
            }
            found.monotonic &= header.last_offset() > last_offset;
            last_offset = header.last_offset();
            if header.max_timestamp > found.max.timestamp {
                found.max = TimestampOffset { timestamp: header.max_timestamp, offset: last_offset };
            }
            found.valid_bytes += header.size;
            found.batches.push(header);
        }
        Ok(found)
    }

    fn corrupt_batch(&self, what: &str) -> StorageError {
        let message = format!("Record is corrupt ({what}) in topic partition {}.", self.topic_partition);
        StorageError::refused(ErrorCode::CorruptMessage, message)
    }

    fn check_sizes(&self, batches: &[BatchHeader], max_bytes: i32) -> Result<(), StorageError> {
        let limit = usize::try_from(max_bytes).unwrap_or(0);
        match batches.iter().find(|batch| batch.size > limit) {
            None => Ok(()),
            Some(batch) => Err(StorageError::refused(
                ErrorCode::MessageTooLarge,
                format!(
                    "The record batch size in the append to {} is {} bytes which exceeds the maximum configured value of {max_bytes}.",
                    self.topic_partition, batch.size
                ),
            )),
        }
    }

    /// A retry of one of the last five batches is answered as the first time.
    fn check_duplicate(&self, batches: &[BatchHeader], producers: &ProducerState) -> Result<(), StorageError> {
        for batch in batches.iter().filter(|batch| batch.has_producer_id()) {
            let known = producers.entry(batch.producer_id).and_then(|entry| entry.find_duplicate(batch));
            if let Some(known) = known {
                return Err(StorageError::DuplicateSequence {
                    base_offset: known.first_offset(),
                    last_offset: known.last_offset,
                    append_time: known.timestamp,
                    log_start_offset: self.log_start_offset(),
                });
            }
        }
        Ok(())
    }

    /// The headers once more, now with their offsets.
    fn assigned_batches(&self, records: &[u8]) -> Result<Batches, StorageError> {
        let mut batches = Batches::new();
        let mut at = 0;
        while at < records.len() {
            match BatchHeader::parse(&records[at..]) {
                Ok(header) if at + header.size <= records.len() => {
                    at += header.size;
                    batches.push(header);
                }
                _ => return Err(self.corrupt_batch("not a batch after validation")),
            }
        }
        Ok(batches)
    }

    /// Checks producers, rolls if need be, writes, and only then changes what memory knows.
    #[allow(clippy::too_many_arguments)]
    fn commit(
        &self,
        records: &[u8],
        batches: &[BatchHeader],
        info: &AppendInfo,
        max: TimestampOffset,
        origin: AppendOrigin,
        now: Timestamp,
        config: &LogConfig,
        producers: &mut ProducerState,
    ) -> Result<(), StorageError> {
        if records.len() > usize::try_from(config.segment_bytes).unwrap_or(0) {
            let message = format!(
                "Message batch size is {} bytes in append to partition {}, which exceeds the maximum configured segment size of {}.",
                records.len(),
                self.topic_partition,
                config.segment_bytes
            );
            return Err(StorageError::refused(ErrorCode::RecordListTooLarge, message));
        }
        let (updates, completed) = self.prepare_producers(records, batches, origin, producers)?;
        for batch in batches {
            if batch.magic == 2 {
                self.assign_epoch(batch.leader_epoch, batch.base_offset)?;
            }
        }
        let extent = Extent {
            first_offset: info.first_offset,
            last_offset: info.last_offset,
            max_timestamp: max.timestamp,
            bytes: records.len(),
        };
        let segment = self.maybe_roll(&extent, now, config, producers)?;
        let dir = self.dir.load();
        segment.append(&dir, records, info.last_offset, max, config.index_interval_bytes).map_err(|error| {
            if error.kind() == std::io::ErrorKind::Other { self.fatal(error) } else { self.io(error) }
        })?;
        self.publish_append(batches, info.last_offset);
        for batch in batches.iter().filter(|batch| batch.is_transactional()) {
            producers.end_verification(batch.producer_id);
        }
        for update in updates {
            producers.update(update);
        }
        for txn in &completed {
            let last_stable_offset = producers.last_stable_offset_after(txn);
            if txn.aborted {
                let path = segment.path(&dir, TXN_INDEX_SUFFIX);
                transaction_index::append(&path, aborted_entry(txn, last_stable_offset))
                    .map_err(|error| self.fatal(error))?;
                segment.set_has_txn_index(true);
            }
            producers.complete(txn);
        }
        producers.set_map_end_offset(info.last_offset + 1);
        self.publish_unstable(producers);
        Ok(())
    }

    fn publish_append(&self, batches: &[BatchHeader], last_offset: Offset) {
        let mut tail = self.tail.lock();
        tail.appended(batches);
        self.log_end_offset.store(last_offset + 1, Ordering::Release);
    }

    fn prepare_producers(
        &self,
        records: &[u8],
        batches: &[BatchHeader],
        origin: AppendOrigin,
        producers: &ProducerState,
    ) -> Result<ProducerChanges, StorageError> {
        let mut updates: SmallVec<[ProducerAppend; 1]> = SmallVec::new();
        let mut completed = SmallVec::new();
        let mut at = 0;
        for batch in batches {
            let bytes = &records[at..at + batch.size];
            at += batch.size;
            if !batch.has_producer_id() {
                continue;
            }
            let known = updates.iter().position(|update| update.producer_id == batch.producer_id);
            let known = known.unwrap_or_else(|| {
                updates.push(producers.prepare(batch.producer_id, origin));
                updates.len() - 1
            });
            let marker = parse_end_txn_marker(batch, bytes);
            completed.extend(updates[known].append(batch, marker, &self.topic_partition)?);
        }
        Ok((updates, completed))
    }

    /// `flush.messages`
    fn flush_if_due(&self, config: &LogConfig) -> Result<(), StorageError> {
        let unflushed = self.log_end_offset() - self.recovery_point();
        if unflushed >= config.flush_messages { self.flush() } else { Ok(()) }
    }
}

/// Transactional records may only go where the transaction's coordinator knows of them.
fn check_verified(
    batches: &[BatchHeader],
    verification: Verification,
    producers: &ProducerState,
) -> Result<(), StorageError> {
    let is_missing = |batch: &&BatchHeader| {
        batch.has_producer_id()
            && batch.is_transactional()
            && !batch.is_control()
            && !producers.is_verified(batch.producer_id, verification)
    };
    match batches.iter().find(is_missing) {
        None => Ok(()),
        Some(batch) => Err(StorageError::refused(
            ErrorCode::InvalidTxnState,
            format!("Record of producer {} was not part of an ongoing transaction", batch.producer_id),
        )),
    }
}

pub(super) fn aborted_entry(txn: &CompletedTxn, last_stable_offset: Offset) -> AbortedEntry {
    AbortedEntry {
        producer_id: txn.producer_id,
        first_offset: txn.first_offset,
        last_offset: txn.last_offset,
        last_stable_offset,
    }
}
