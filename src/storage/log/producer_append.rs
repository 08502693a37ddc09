//! What one append changes about one producer, and whether it may (class `ProducerAppendInfo`).

use super::{
    AppendOrigin,
    producer_state::{BatchMetadata, ProducerEntry},
};
use crate::{
    common::{
        ErrorCode, Offset, ProducerId, Timestamp, TopicPartition,
        ids::{NO_PRODUCER_EPOCH, NO_SEQUENCE},
    },
    protocol::records::batch::{BATCH_OVERHEAD_V2, BatchHeader},
    storage::StorageError,
};

/// The end of a transaction, as a control batch says it (class `EndTransactionMarker`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndTxnMarker {
    pub commit: bool,
    pub coordinator_epoch: i32,
    pub timestamp: Timestamp,
}

/// A transaction that a marker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompletedTxn {
    pub producer_id: ProducerId,
    pub first_offset: Offset,
    /// The marker's offset.
    pub last_offset: Offset,
    pub aborted: bool,
}

/// One producer's state as it will be if the append succeeds.
#[derive(Debug)]
pub struct ProducerAppend {
    pub producer_id: ProducerId,
    origin: AppendOrigin,
    current: Option<ProducerEntry>,
    /// Of the verification under way.
    lowest_sequence: Option<i32>,
    pub updated: ProducerEntry,
    /// First offsets of the transactions that this append begins.
    pub started: Vec<Offset>,
}

impl ProducerAppend {
    #[must_use]
    pub fn new(
        producer_id: ProducerId,
        current: Option<&ProducerEntry>,
        origin: AppendOrigin,
        lowest_sequence: Option<i32>,
    ) -> Self {
        let updated = current.map_or_else(ProducerEntry::default, |entry| entry.without_batches());
        Self { producer_id, origin, current: current.cloned(), lowest_sequence, updated, started: Vec::new() }
    }

    /// Takes in a batch whose offsets are assigned; `marker` is what a control batch holds.
    pub fn append(
        &mut self,
        batch: &BatchHeader,
        marker: Option<EndTxnMarker>,
        tp: &TopicPartition,
    ) -> Result<Option<CompletedTxn>, StorageError> {
        if batch.is_control() {
            return marker.map_or(Ok(None), |marker| self.append_marker(batch, marker, tp));
        }
        self.append_data(batch, tp)?;
        Ok(None)
    }

    fn append_data(&mut self, batch: &BatchHeader, tp: &TopicPartition) -> Result<(), StorageError> {
        self.check_epoch(batch, tp)?;
        if self.origin == AppendOrigin::Client {
            self.check_sequence(batch, tp)?;
        }
        self.updated.add_batch(
            batch.producer_epoch,
            BatchMetadata {
                last_sequence: batch.last_sequence(),
                last_offset: batch.last_offset(),
                offset_delta: batch.last_offset_delta,
                timestamp: batch.max_timestamp,
            },
        );
        match (self.updated.current_txn_first_offset, batch.is_transactional()) {
            (Some(_), false) => Err(StorageError::refused(
                ErrorCode::InvalidTxnState,
                format!(
                    "Producer {} wrote outside its open transaction to {tp} at {}",
                    self.producer_id, batch.base_offset
                ),
            )),
            (None, true) => {
                self.updated.current_txn_first_offset = Some(batch.base_offset);
                self.started.push(batch.base_offset);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn append_marker(
        &mut self,
        batch: &BatchHeader,
        marker: EndTxnMarker,
        tp: &TopicPartition,
    ) -> Result<Option<CompletedTxn>, StorageError> {
        self.check_epoch(batch, tp)?;
        if self.updated.coordinator_epoch > marker.coordinator_epoch && self.origin != AppendOrigin::Replication {
            return Err(StorageError::refused(
                ErrorCode::TransactionCoordinatorFenced,
                format!(
                    "Marker of producer {} for {tp} has coordinator epoch {}, but {} was seen",
                    self.producer_id, marker.coordinator_epoch, self.updated.coordinator_epoch
                ),
            ));
        }
        let completed = self.updated.current_txn_first_offset.map(|first_offset| CompletedTxn {
            producer_id: self.producer_id,
            first_offset,
            last_offset: batch.base_offset,
            aborted: !marker.commit,
        });
        self.updated.set_epoch(batch.producer_epoch);
        self.updated.coordinator_epoch = marker.coordinator_epoch;
        self.updated.last_timestamp = marker.timestamp;
        self.updated.current_txn_first_offset = None;
        Ok(completed)
    }

    fn check_epoch(&self, batch: &BatchHeader, tp: &TopicPartition) -> Result<(), StorageError> {
        if batch.producer_epoch >= self.updated.epoch || self.origin == AppendOrigin::Replication {
            return Ok(());
        }
        Err(StorageError::refused(
            ErrorCode::InvalidProducerEpoch,
            format!(
                "Epoch {} of producer {} at offset {} in {tp} is older than the last seen epoch {}",
                batch.producer_epoch, self.producer_id, batch.base_offset, self.updated.epoch
            ),
        ))
    }

    /// A producer nobody knows may begin anywhere (KIP-360); a known one continues, or begins a new epoch at 0.
    fn check_sequence(&self, batch: &BatchHeader, tp: &TopicPartition) -> Result<(), StorageError> {
        let first = batch.base_sequence;
        if let Some(lowest) = self.lowest_sequence
            && first > lowest
        {
            return Err(StorageError::refused(
                ErrorCode::OutOfOrderSequenceNumber,
                format!(
                    "Out of order sequence number for producer {} at offset {} in partition {tp}: {first} (incoming \
                     seq. number), {lowest} (earliest seen sequence)",
                    self.producer_id, batch.base_offset
                ),
            ));
        }
        let (in_order, last) = if batch.producer_epoch != self.updated.epoch {
            (first == 0 || self.updated.epoch == NO_PRODUCER_EPOCH, NO_SEQUENCE)
        } else {
            let current = self.current.as_ref();
            let last = match self.updated.last_sequence() {
                NO_SEQUENCE if current.is_some_and(|entry| entry.epoch == batch.producer_epoch) => {
                    current.map_or(NO_SEQUENCE, ProducerEntry::last_sequence)
                }
                last => last,
            };
            let unknown = current.is_none_or(|entry| entry.epoch == NO_PRODUCER_EPOCH);
            (unknown || follows(last, first), last)
        };
        if in_order {
            return Ok(());
        }
        Err(StorageError::refused(
            ErrorCode::OutOfOrderSequenceNumber,
            format!(
                "Out of order sequence number for producer {} at offset {} in partition {tp}: {first} (incoming seq. number), \
                 {last} (current end sequence number), epoch {} after {}",
                self.producer_id, batch.base_offset, batch.producer_epoch, self.updated.epoch
            ),
        ))
    }
}

fn follows(last: i32, next: i32) -> bool {
    i64::from(next) == i64::from(last) + 1 || (next == 0 && last == i32::MAX)
}

/// What a control batch (`batch.len()` is its whole size) says; `None` if it is not a transaction marker.
#[must_use]
pub fn parse_end_txn_marker(header: &BatchHeader, batch: &[u8]) -> Option<EndTxnMarker> {
    if !header.is_control() || header.is_compressed() {
        return None;
    }
    let mut rest = batch.get(BATCH_OVERHEAD_V2..header.size)?;
    varlong(&mut rest)?;
    take(&mut rest, 1)?;
    let timestamp = header.base_timestamp.wrapping_add(varlong(&mut rest)?);
    varlong(&mut rest)?;
    let key = bytes(&mut rest)?;
    let value = bytes(&mut rest)?;
    let commit = match key.get(2..4)? {
        [0, 0] => false,
        [0, 1] => true,
        _ => return None,
    };
    let coordinator_epoch = i32::from_be_bytes(value.get(2..6)?.try_into().ok()?);
    Some(EndTxnMarker { commit, coordinator_epoch, timestamp })
}

fn bytes<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(varlong(rest)?).ok()?;
    take(rest, length)
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}

fn varlong(rest: &mut &[u8]) -> Option<i64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = take(rest, 1)?[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    None
}
