//! What compaction keeps: the rules, without I/O (classes `Cleaner.shouldRetainRecord`, `CleanedTransactionMetadata`,
//! `MemoryRecords.RecordFilter`).

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, HashSet},
};

use super::offset_map::OffsetMap;
use crate::{
    common::{Offset, ProducerId, Timestamp},
    protocol::records::{batch::BatchHeader, control::ControlRecordType},
    storage::log::{
        replace_segments::{LastRecord, LastRecords},
        transaction_index::AbortedEntry,
    },
};

/// What happens to a batch before its records are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchRetention {
    /// Goes unseen.
    Delete,
    /// Its header stays even if no record does.
    RetainEmpty,
    /// Goes if no record stays.
    DeleteEmpty,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchDecision {
    pub retention: BatchRetention,
    /// No record stays, whatever its key.
    pub discard_records: bool,
    /// A transaction marker with no data left before it: it may go once a delete horizon has passed.
    pub marker_of_empty_txn: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Keep,
    Drop,
    /// Has no key, which compaction cannot keep.
    Invalid,
}

/// What one pass over a segment goes by.
pub struct Rules<'a> {
    /// Last offsets of the keys in the dirty part.
    pub map: &'a OffsetMap,
    /// When the cleaning began.
    pub now: Timestamp,
    /// `delete.retention.ms`
    pub delete_retention_ms: i64,
    /// Tombstones of magic 0 and 1, which have no horizon, stay in this segment.
    pub retain_legacy_deletes: bool,
    /// Where active producers' sequence numbers stand.
    pub last_records: &'a LastRecords,
}

impl Rules<'_> {
    /// `can_discard` is what the transactions say of the batch: [`CleanedTransactions`].
    ///
    /// Control batches stay until their horizon has passed. The last batch of an active producer stays as an empty
    /// header, so that a restart, or a new follower, still knows the sequence number (or, of a marker, the epoch).
    #[must_use]
    pub fn decide_batch(&self, batch: &BatchHeader, can_discard: bool) -> BatchDecision {
        let horizon_passed = batch.has_delete_horizon() && batch.base_timestamp <= self.now;
        let discard_records = can_discard && (!batch.is_control() || horizon_passed);
        let retention = if batch.has_producer_id() && self.is_last_of_producer(batch) {
            BatchRetention::RetainEmpty
        } else if discard_records {
            BatchRetention::Delete
        } else {
            BatchRetention::DeleteEmpty
        };
        BatchDecision { retention, discard_records, marker_of_empty_txn: can_discard && batch.is_control() }
    }

    fn is_last_of_producer(&self, batch: &BatchHeader) -> bool {
        match self.last_records.get(&batch.producer_id) {
            Some(LastRecord { last_data_offset: Some(last), .. }) => batch.last_offset() == *last,
            Some(LastRecord { producer_epoch, .. }) => batch.is_control() && batch.producer_epoch == *producer_epoch,
            None => false,
        }
    }

    /// Whether one record stays: the last of its key, and if it is a tombstone, not yet past its horizon.
    #[must_use]
    pub fn should_retain(
        &self,
        batch: &BatchHeader,
        decision: &BatchDecision,
        offset: Offset,
        key: Option<&[u8]>,
        has_value: bool,
    ) -> Verdict {
        if decision.discard_records {
            return Verdict::Drop;
        }
        // Beyond the map nothing is known.
        if batch.is_control() || offset > self.map.latest_offset() {
            return Verdict::Keep;
        }
        let Some(key) = key else { return Verdict::Invalid };
        let is_latest = self.map.get(key).is_none_or(|latest| offset >= latest);
        let keeps_deletes = if batch.magic >= 2 {
            !batch.has_delete_horizon() || self.now < batch.base_timestamp
        } else {
            self.retain_legacy_deletes
        };
        if is_latest && (has_value || keeps_deletes) { Verdict::Keep } else { Verdict::Drop }
    }
}

/// Follows transactions through the log, to know which batches were aborted and which markers still have data before
/// them. Knows only what is decided: nothing beyond the last stable offset is cleaned.
#[derive(Debug, Default)]
pub struct CleanedTransactions {
    committed: HashSet<ProducerId, ahash::RandomState>,
    /// Aborted ones the walk is in, with whether data of theirs was met.
    aborted: HashMap<ProducerId, (AbortedEntry, bool), ahash::RandomState>,
    /// Aborted ones whose first offset is still ahead.
    ahead: BinaryHeap<Reverse<ByFirstOffset>>,
    /// Entries the cleaned segment's transaction index must have.
    retained: Vec<AbortedEntry>,
}

#[derive(Debug, PartialEq, Eq)]
struct ByFirstOffset(AbortedEntry);

impl Ord for ByFirstOffset {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let key = |it: &Self| (it.0.first_offset, it.0.last_offset, it.0.producer_id);
        key(self).cmp(&key(other))
    }
}

impl PartialOrd for ByFirstOffset {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl CleanedTransactions {
    /// Aborted transactions of the range that comes next; those that were told before may come again.
    pub fn add_aborted(&mut self, entries: impl IntoIterator<Item = AbortedEntry>) {
        self.ahead.extend(entries.into_iter().map(|entry| Reverse(ByFirstOffset(entry))));
    }

    /// A data batch: true if it belongs to an aborted transaction, and so may go.
    pub fn on_batch(&mut self, batch: &BatchHeader) -> bool {
        self.begin_up_to(batch.last_offset());
        if !batch.is_transactional() {
            return false;
        }
        if let Some((_, met_data)) = self.aborted.get_mut(&batch.producer_id) {
            *met_data = true;
            return true;
        }
        self.committed.insert(batch.producer_id);
        false
    }

    /// A control batch whose first record is `kind`, `None` if it has none left: true if it may go once its horizon
    /// has passed, because no data of its transaction is left.
    pub fn on_control_batch(&mut self, batch: &BatchHeader, kind: Option<ControlRecordType>) -> bool {
        self.begin_up_to(batch.last_offset());
        match kind {
            Some(ControlRecordType::Abort) => match self.aborted.remove(&batch.producer_id) {
                Some((entry, true)) => {
                    self.retained.push(entry);
                    false
                }
                _ => true,
            },
            Some(ControlRecordType::Commit) => !self.committed.remove(&batch.producer_id),
            Some(ControlRecordType::Unknown(_)) => false,
            None => true,
        }
    }

    /// Takes the index entries that came due since the last call.
    pub fn take_retained(&mut self) -> Vec<AbortedEntry> {
        std::mem::take(&mut self.retained)
    }

    fn begin_up_to(&mut self, offset: Offset) {
        while self.ahead.peek().is_some_and(|Reverse(next)| next.0.first_offset <= offset) {
            if let Some(Reverse(ByFirstOffset(entry))) = self.ahead.pop() {
                self.aborted.entry(entry.producer_id).or_insert((entry, false));
            }
        }
    }
}
