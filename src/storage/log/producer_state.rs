//! Which producer wrote what last, and which transactions are open (class `ProducerStateManager`, KIP-98).
//!
//! Decisions and the snapshot's bytes; the files are read and written by its callers in this room.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use smallvec::SmallVec;

use super::{
    AppendOrigin, ProducerSnapshot, Verification,
    producer_append::{CompletedTxn, ProducerAppend},
};
use crate::{
    common::{
        Offset, ProducerEpoch, ProducerId, Timestamp,
        ids::{NO_OFFSET, NO_PRODUCER_EPOCH, NO_SEQUENCE, NO_TIMESTAMP},
    },
    protocol::records::batch::BatchHeader,
};

/// Batches per producer that a retry is compared with.
const BATCHES_RETAINED: usize = 5;
const SNAPSHOT_VERSION: i16 = 1;
const SNAPSHOT_HEADER: usize = 10;
const SNAPSHOT_ENTRY: usize = 46;

/// One batch a producer wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchMetadata {
    pub last_sequence: i32,
    pub last_offset: Offset,
    pub offset_delta: i32,
    pub timestamp: Timestamp,
}

impl BatchMetadata {
    #[must_use]
    pub fn first_offset(&self) -> Offset {
        self.last_offset - i64::from(self.offset_delta)
    }

    /// Sequence numbers wrap at 2³¹.
    #[must_use]
    pub fn first_sequence(&self) -> i32 {
        let first = i64::from(self.last_sequence) - i64::from(self.offset_delta);
        if first < 0 && self.last_sequence >= 0 { (first + (1 << 31)) as i32 } else { first as i32 }
    }
}

/// What is known of one producer id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerEntry {
    pub epoch: ProducerEpoch,
    pub coordinator_epoch: i32,
    pub last_timestamp: Timestamp,
    pub current_txn_first_offset: Option<Offset>,
    batches: SmallVec<[BatchMetadata; BATCHES_RETAINED]>,
}

impl Default for ProducerEntry {
    fn default() -> Self {
        Self {
            epoch: NO_PRODUCER_EPOCH,
            coordinator_epoch: -1,
            last_timestamp: NO_TIMESTAMP,
            current_txn_first_offset: None,
            batches: SmallVec::new(),
        }
    }
}

impl ProducerEntry {
    #[must_use]
    pub fn without_batches(&self) -> Self {
        Self { batches: SmallVec::new(), ..*self }
    }

    #[must_use]
    pub fn last_sequence(&self) -> i32 {
        self.batches.last().map_or(NO_SEQUENCE, |batch| batch.last_sequence)
    }

    #[must_use]
    pub fn last_batch(&self) -> Option<BatchMetadata> {
        self.batches.last().copied()
    }

    pub fn add_batch(&mut self, epoch: ProducerEpoch, batch: BatchMetadata) {
        self.set_epoch(epoch);
        self.push(batch);
        self.last_timestamp = batch.timestamp;
    }

    pub fn set_epoch(&mut self, epoch: ProducerEpoch) {
        if self.epoch != epoch {
            self.batches.clear();
            self.epoch = epoch;
        }
    }

    fn push(&mut self, batch: BatchMetadata) {
        if self.batches.len() == BATCHES_RETAINED {
            self.batches.remove(0);
        }
        self.batches.push(batch);
    }

    fn merge(&mut self, next: ProducerEntry) {
        self.set_epoch(next.epoch);
        next.batches.into_iter().for_each(|batch| self.push(batch));
        self.coordinator_epoch = next.coordinator_epoch;
        self.current_txn_first_offset = next.current_txn_first_offset;
        self.last_timestamp = next.last_timestamp;
    }

    #[must_use]
    pub fn find_duplicate(&self, batch: &BatchHeader) -> Option<BatchMetadata> {
        if batch.producer_epoch != self.epoch {
            return None;
        }
        let (first, last) = (batch.base_sequence, batch.last_sequence());
        self.batches.iter().find(|known| known.first_sequence() == first && known.last_sequence == last).copied()
    }
}

/// All producers of one log.
#[derive(Debug, Default)]
pub struct ProducerState {
    producers: HashMap<ProducerId, ProducerEntry, ahash::RandomState>,
    /// Open transactions by first offset.
    ongoing: BTreeMap<Offset, ProducerId>,
    /// Ended ones by first offset, with the marker's offset, until the high watermark passes it.
    unreplicated: BTreeMap<Offset, Offset>,
    /// The state covers the log below this offset.
    map_end_offset: Offset,
    last_snapshot_offset: Offset,
    /// Offsets of the snapshot files.
    pub snapshots: BTreeSet<Offset>,
    /// Producers whose first write into a transaction is being verified.
    verifications: HashMap<ProducerId, VerificationEntry, ahash::RandomState>,
    last_guard: u64,
}

/// A verification under way (class `VerificationStateEntry`).
#[derive(Debug, Clone, Copy)]
struct VerificationEntry {
    guard: u64,
    since: Timestamp,
    /// Lowest sequence number that waits: a later one may not overtake it.
    lowest_sequence: i32,
    epoch: ProducerEpoch,
}

impl ProducerState {
    #[must_use]
    pub fn len(&self) -> usize {
        self.producers.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.producers.is_empty()
    }

    #[must_use]
    pub fn entry(&self, producer_id: ProducerId) -> Option<&ProducerEntry> {
        self.producers.get(&producer_id)
    }

    #[must_use]
    pub fn map_end_offset(&self) -> Offset {
        self.map_end_offset
    }

    pub fn set_map_end_offset(&mut self, offset: Offset) {
        self.map_end_offset = offset;
    }

    #[must_use]
    pub fn prepare(&self, producer_id: ProducerId, origin: AppendOrigin) -> ProducerAppend {
        let lowest_sequence = self.verifications.get(&producer_id).map(|entry| entry.lowest_sequence);
        ProducerAppend::new(producer_id, self.producers.get(&producer_id), origin, lowest_sequence)
    }

    #[must_use]
    pub fn has_ongoing_transaction(&self, producer_id: ProducerId) -> bool {
        self.producers.get(&producer_id).is_some_and(|entry| entry.current_txn_first_offset.is_some())
    }

    /// Begins or joins the verification of a producer, unless its transaction is ongoing.
    pub fn start_verification(
        &mut self,
        producer_id: ProducerId,
        sequence: i32,
        epoch: ProducerEpoch,
        now: Timestamp,
    ) -> Verification {
        if self.has_ongoing_transaction(producer_id) {
            return Verification::Ongoing;
        }
        let next_guard = self.last_guard + 1;
        let fresh = VerificationEntry { guard: next_guard, since: now, lowest_sequence: sequence, epoch };
        let entry = self.verifications.entry(producer_id).or_insert(fresh);
        if epoch > entry.epoch {
            (entry.epoch, entry.lowest_sequence) = (epoch, sequence);
        } else if epoch == entry.epoch {
            entry.lowest_sequence = entry.lowest_sequence.min(sequence);
        }
        self.last_guard = self.last_guard.max(entry.guard);
        Verification::Guard(entry.guard)
    }

    /// Whether a transactional write may be appended.
    #[must_use]
    pub fn is_verified(&self, producer_id: ProducerId, verification: Verification) -> bool {
        self.has_ongoing_transaction(producer_id)
            || match verification {
                Verification::NotRequired => true,
                Verification::Ongoing => false,
                Verification::Guard(guard) => {
                    self.verifications.get(&producer_id).is_some_and(|entry| entry.guard == guard)
                }
            }
    }

    /// The transaction has begun or ended.
    pub fn end_verification(&mut self, producer_id: ProducerId) {
        self.verifications.remove(&producer_id);
    }

    pub fn update(&mut self, append: ProducerAppend) {
        for first_offset in &append.started {
            self.ongoing.insert(*first_offset, append.producer_id);
        }
        match self.producers.get_mut(&append.producer_id) {
            Some(entry) => entry.merge(append.updated),
            None => drop(self.producers.insert(append.producer_id, append.updated)),
        }
    }

    /// Where the last stable offset will be once `txn` is complete: at the next open transaction, else behind it.
    #[must_use]
    pub fn last_stable_offset_after(&self, txn: &CompletedTxn) -> Offset {
        let next = self.ongoing.iter().find(|(_, producer_id)| **producer_id != txn.producer_id);
        next.map_or(txn.last_offset + 1, |(first_offset, _)| *first_offset)
    }

    pub fn complete(&mut self, txn: &CompletedTxn) {
        if self.ongoing.remove(&txn.first_offset).is_some() {
            self.unreplicated.insert(txn.first_offset, txn.last_offset);
        }
    }

    /// Where the log stops being stable: the first transaction that is open or not yet below the high watermark.
    #[must_use]
    pub fn first_unstable_offset(&self) -> Option<Offset> {
        let ongoing = self.ongoing.keys().next().copied();
        let unreplicated = self.unreplicated.keys().next().copied();
        ongoing.into_iter().chain(unreplicated).min()
    }

    #[must_use]
    pub fn has_unreplicated(&self) -> bool {
        !self.unreplicated.is_empty()
    }

    /// Ended transactions wholly below `offset` (the high watermark, or the log start) hold nobody back any more.
    pub fn release_transactions_below(&mut self, offset: Offset) {
        self.unreplicated.retain(|_, last_offset| *last_offset >= offset);
    }

    pub fn on_log_start_incremented(&mut self, log_start_offset: Offset) {
        self.release_transactions_below(log_start_offset);
        self.map_end_offset = self.map_end_offset.max(log_start_offset);
        self.last_snapshot_offset = self.snapshots.last().copied().unwrap_or(log_start_offset);
    }

    pub fn expire(&mut self, now: Timestamp, expiration_ms: i64) {
        self.producers.retain(|_, entry| !is_expired(entry, now, expiration_ms));
        self.verifications.retain(|_, entry| now.saturating_sub(entry.since) < expiration_ms);
    }

    /// Forgets everything; the log is empty below `offset`.
    pub fn restart_at(&mut self, offset: Offset) {
        self.verifications.clear();
        self.producers.clear();
        self.ongoing.clear();
        self.unreplicated.clear();
        self.map_end_offset = offset;
        self.last_snapshot_offset = offset;
    }

    /// Takes a snapshot's entries as the state below `offset`.
    pub fn load(
        &mut self,
        offset: Offset,
        entries: Vec<(ProducerId, ProducerEntry)>,
        now: Timestamp,
        expiration_ms: i64,
    ) {
        self.restart_at(offset);
        for (producer_id, entry) in entries {
            if is_expired(&entry, now, expiration_ms) {
                continue;
            }
            if let Some(first_offset) = entry.current_txn_first_offset {
                self.ongoing.insert(first_offset, producer_id);
            }
            self.producers.insert(producer_id, entry);
        }
    }

    /// Offset of the snapshot that is due, if the state moved since the last one.
    #[must_use]
    pub fn due_snapshot(&self) -> Option<Offset> {
        (self.map_end_offset > self.last_snapshot_offset).then_some(self.map_end_offset)
    }

    pub fn snapshot_written(&mut self, offset: Offset) {
        self.snapshots.insert(offset);
        self.last_snapshot_offset = offset;
    }

    #[must_use]
    pub fn active(&self) -> Vec<ProducerSnapshot> {
        let mut all: Vec<_> = self.producers.iter().map(|(&producer_id, entry)| describe(producer_id, entry)).collect();
        all.sort_unstable_by_key(|producer| producer.producer_id);
        all
    }

    /// Each producer's epoch and the offset of its last data batch, if it wrote one in that epoch.
    pub fn last_data_offsets(&self) -> impl Iterator<Item = (ProducerId, ProducerEpoch, Option<Offset>)> + '_ {
        let last = |entry: &ProducerEntry| entry.last_batch().map(|batch| batch.last_offset).filter(|last| *last >= 0);
        self.producers.iter().map(move |(&producer_id, entry)| (producer_id, entry.epoch, last(entry)))
    }

    /// The bytes of a snapshot file. Only the last batch of each producer survives a restart.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SNAPSHOT_HEADER + self.producers.len() * SNAPSHOT_ENTRY);
        bytes.extend_from_slice(&SNAPSHOT_VERSION.to_be_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&u32::try_from(self.producers.len()).unwrap_or(u32::MAX).to_be_bytes());
        let mut ids: Vec<_> = self.producers.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            if let Some(entry) = self.producers.get(&id) {
                encode_entry(&mut bytes, id, entry);
            }
        }
        let crc = crc32c::crc32c(&bytes[6..]);
        bytes[2..6].copy_from_slice(&crc.to_be_bytes());
        bytes
    }
}

fn is_expired(entry: &ProducerEntry, now: Timestamp, expiration_ms: i64) -> bool {
    entry.current_txn_first_offset.is_none() && now.saturating_sub(entry.last_timestamp) >= expiration_ms
}

fn describe(producer_id: ProducerId, entry: &ProducerEntry) -> ProducerSnapshot {
    ProducerSnapshot {
        producer_id,
        producer_epoch: entry.epoch,
        last_sequence: entry.last_sequence(),
        last_timestamp: entry.last_timestamp,
        coordinator_epoch: entry.coordinator_epoch,
        current_txn_start_offset: entry.current_txn_first_offset.unwrap_or(NO_OFFSET),
    }
}

fn encode_entry(bytes: &mut Vec<u8>, producer_id: ProducerId, entry: &ProducerEntry) {
    let last = entry.last_batch();
    bytes.extend_from_slice(&producer_id.to_be_bytes());
    bytes.extend_from_slice(&entry.epoch.to_be_bytes());
    bytes.extend_from_slice(&entry.last_sequence().to_be_bytes());
    bytes.extend_from_slice(&last.map_or(NO_OFFSET, |batch| batch.last_offset).to_be_bytes());
    bytes.extend_from_slice(&last.map_or(0, |batch| batch.offset_delta).to_be_bytes());
    bytes.extend_from_slice(&entry.last_timestamp.to_be_bytes());
    bytes.extend_from_slice(&entry.coordinator_epoch.to_be_bytes());
    bytes.extend_from_slice(&entry.current_txn_first_offset.unwrap_or(NO_OFFSET).to_be_bytes());
}

/// The entries of a snapshot file, or why it is not one.
pub fn decode_snapshot(bytes: &[u8]) -> Result<Vec<(ProducerId, ProducerEntry)>, &'static str> {
    let (header, body) = bytes.split_at_checked(SNAPSHOT_HEADER).ok_or("too short")?;
    if header[..2] != SNAPSHOT_VERSION.to_be_bytes() {
        return Err("unknown version");
    }
    if header[2..6] != crc32c::crc32c(&bytes[6..]).to_be_bytes() {
        return Err("checksum mismatch");
    }
    let count = u32::from_be_bytes([header[6], header[7], header[8], header[9]]);
    let (entries, rest) = body.as_chunks::<SNAPSHOT_ENTRY>();
    if !rest.is_empty() || entries.len() != count as usize {
        return Err("size does not match the number of entries");
    }
    Ok(entries.iter().map(decode_entry).collect())
}

fn decode_entry(bytes: &[u8; SNAPSHOT_ENTRY]) -> (ProducerId, ProducerEntry) {
    let long = |at: usize| {
        let mut field = [0; 8];
        field.copy_from_slice(&bytes[at..at + 8]);
        i64::from_be_bytes(field)
    };
    let int = |at: usize| i32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let last =
        BatchMetadata { last_sequence: int(10), last_offset: long(14), offset_delta: int(22), timestamp: long(26) };
    let txn = long(38);
    let entry = ProducerEntry {
        epoch: i16::from_be_bytes([bytes[8], bytes[9]]),
        coordinator_epoch: int(34),
        last_timestamp: last.timestamp,
        current_txn_first_offset: (txn >= 0).then_some(txn),
        batches: if last.last_offset >= 0 { SmallVec::from_slice(&[last]) } else { SmallVec::new() },
    };
    (long(0), entry)
}
