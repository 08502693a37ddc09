//! Which leader epoch begins at which offset (class `LeaderEpochFileCache`, KIP-101).

use std::{io, path::Path};

pub use crate::storage::checkpoint::leader_epoch::EpochEntry;
use crate::{
    common::{LeaderEpoch, Offset},
    storage::checkpoint::{Durability, leader_epoch},
};

use super::OffsetAndEpoch;

/// Epochs in rising order, with rising start offsets.
#[derive(Debug, Default, Clone)]
pub struct LeaderEpochs {
    entries: Vec<EpochEntry>,
    /// Epochs without records that the file still ends with, though they are forgotten here: the next load forgets them
    /// again, and the next leadership mostly brings them back, so that thousands of empty logs start without a write.
    left_in_file: Vec<EpochEntry>,
    /// The newest epoch has no record yet and the file does not know it.
    unwritten: bool,
}

impl LeaderEpochs {
    /// Keeps the longest sensible run if the file's order is not.
    #[must_use]
    pub fn new(entries: Vec<EpochEntry>) -> Self {
        let mut epochs = Self::default();
        for entry in entries {
            epochs.assign(entry.epoch, entry.start_offset);
        }
        epochs
    }

    /// Notes that `epoch` begins at `start_offset`; true if something changed and the file must be written.
    pub fn assign(&mut self, epoch: LeaderEpoch, start_offset: Offset) -> bool {
        if epoch < 0 || start_offset < 0 {
            return false;
        }
        if let Some(last) = self.entries.last()
            && last.epoch == epoch
            && start_offset >= last.start_offset
        {
            return self.is_file_behind();
        }
        let known = self.entries.len();
        while self.entries.last().is_some_and(|last| last.epoch >= epoch || last.start_offset >= start_offset) {
            self.entries.pop();
        }
        let entry = EpochEntry { epoch, start_offset };
        let is_in_file = !self.unwritten && self.entries.len() == known && self.left_in_file == [entry];
        self.entries.push(entry);
        if is_in_file {
            self.left_in_file.clear();
        }
        !is_in_file
    }

    /// As [`assign`](Self::assign) for an epoch that has no records yet. The file learns of it with the first one: until
    /// then a load would only forget it again.
    pub fn begin(&mut self, epoch: LeaderEpoch, start_offset: Offset) {
        self.unwritten = self.assign(epoch, start_offset);
    }

    /// Forgets epochs that begin at or after `end_offset`, and leaves them in the file for now.
    pub fn forget_from_end(&mut self, end_offset: Offset) {
        let keep = self.entries.partition_point(|entry| entry.start_offset < end_offset);
        self.left_in_file = self.entries.split_off(keep);
    }

    const fn is_file_behind(&self) -> bool {
        self.unwritten || !self.left_in_file.is_empty()
    }

    #[must_use]
    pub fn entries(&self) -> &[EpochEntry] {
        &self.entries
    }

    #[must_use]
    pub fn latest(&self) -> Option<EpochEntry> {
        self.entries.last().copied()
    }

    #[must_use]
    pub fn earliest(&self) -> Option<EpochEntry> {
        self.entries.first().copied()
    }

    #[must_use]
    pub fn epoch_for_offset(&self, offset: Offset) -> Option<LeaderEpoch> {
        let after = self.entries.partition_point(|entry| entry.start_offset <= offset);
        after.checked_sub(1).map(|at| self.entries[at].epoch)
    }

    /// Largest epoch ≤ `epoch` and where the next one begins; the log's end for the latest.
    #[must_use]
    pub fn end_offset_for(&self, epoch: LeaderEpoch, log_end_offset: Offset) -> Option<OffsetAndEpoch> {
        if epoch < 0 {
            return None;
        }
        if self.latest().is_some_and(|last| last.epoch == epoch) {
            return Some(OffsetAndEpoch { offset: log_end_offset, leader_epoch: epoch });
        }
        let higher = self.entries.partition_point(|entry| entry.epoch <= epoch);
        let next = self.entries.get(higher)?;
        let floor = higher.checked_sub(1).map_or(epoch, |at| self.entries[at].epoch);
        Some(OffsetAndEpoch { offset: next.start_offset, leader_epoch: floor })
    }

    /// Forgets epochs that begin at or after `end_offset`.
    pub fn truncate_from_end(&mut self, end_offset: Offset) -> bool {
        let keep = self.entries.partition_point(|entry| entry.start_offset < end_offset);
        let changed = keep < self.entries.len() || self.is_file_behind();
        self.entries.truncate(keep);
        changed
    }

    /// Forgets epochs that end at or before `start_offset`; the one that covers it now begins there.
    pub fn truncate_from_start(&mut self, start_offset: Offset) -> bool {
        let passed = self.entries.partition_point(|entry| entry.start_offset <= start_offset);
        let Some(covering) = passed.checked_sub(1) else { return false };
        if covering == 0 && self.entries[0].start_offset == start_offset {
            return false;
        }
        self.entries.drain(..covering);
        self.entries[0].start_offset = start_offset;
        true
    }

    pub fn clear(&mut self) -> bool {
        let changed = !self.entries.is_empty() || self.is_file_behind();
        self.entries.clear();
        changed
    }

    pub fn write(&mut self, dir: &Path, durability: Durability) -> io::Result<()> {
        leader_epoch::write(&dir.join(leader_epoch::FILE_NAME), &self.entries, durability)?;
        self.left_in_file = Vec::new();
        self.unwritten = false;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epochs(entries: &[(i32, i64)]) -> LeaderEpochs {
        LeaderEpochs::new(entries.iter().map(|&(epoch, start_offset)| EpochEntry { epoch, start_offset }).collect())
    }

    fn end(of: &LeaderEpochs, epoch: i32) -> Option<(i32, i64)> {
        of.end_offset_for(epoch, 100).map(|found| (found.leader_epoch, found.offset))
    }

    #[test]
    fn end_offsets_as_offset_for_leader_epoch_answers_them() {
        let some = epochs(&[(2, 10), (4, 20), (7, 50)]);
        assert_eq!(end(&some, -1), None);
        assert_eq!(end(&some, 1), Some((1, 10)));
        assert_eq!(end(&some, 2), Some((2, 20)));
        assert_eq!(end(&some, 3), Some((2, 20)));
        assert_eq!(end(&some, 6), Some((4, 50)));
        assert_eq!(end(&some, 7), Some((7, 100)));
        assert_eq!(end(&some, 8), None);
        assert_eq!(end(&epochs(&[]), 0), None);
    }

    #[test]
    fn a_new_epoch_drops_what_contradicts_it() {
        let mut some = epochs(&[(2, 10), (4, 20), (7, 50)]);
        assert!(!some.assign(7, 60));
        assert!(some.assign(5, 20));
        assert_eq!(some.entries(), epochs(&[(2, 10), (5, 20)]).entries());
        assert!(some.assign(5, 15));
        assert_eq!(some.latest().unwrap().start_offset, 15);
        assert!(!some.assign(-1, 3));
    }

    #[test]
    fn an_empty_epoch_that_comes_back_needs_no_write() {
        let mut some = epochs(&[(2, 10), (4, 20)]);
        some.forget_from_end(20);
        assert_eq!(some.latest().unwrap().epoch, 2);
        assert!(!some.assign(4, 20), "the file says so already");
        assert!(!some.assign(4, 30));
        assert_eq!(some.entries(), epochs(&[(2, 10), (4, 20)]).entries());
    }

    #[test]
    fn what_the_file_wrongly_holds_is_written_over_with_the_next_assignment() {
        for (epoch, start_offset) in [(2, 20), (5, 20), (4, 15)] {
            let mut some = epochs(&[(2, 10), (4, 20)]);
            some.forget_from_end(12);
            assert!(some.assign(epoch, start_offset), "{epoch} from {start_offset}");
            let dir = tempfile::tempdir().unwrap();
            some.write(dir.path(), Durability::Later).unwrap();
            assert!(!some.assign(epoch, start_offset), "written once");
        }
        let mut some = epochs(&[(4, 20)]);
        some.forget_from_end(20);
        assert!(some.clear());
    }

    #[test]
    fn a_leadership_is_written_with_its_first_record() {
        let dir = tempfile::tempdir().unwrap();
        let mut some = epochs(&[(2, 10)]);
        some.begin(3, 20);
        assert_eq!(some.latest().unwrap().epoch, 3);
        some.begin(4, 20);
        assert!(some.assign(4, 20), "the first record");
        some.write(dir.path(), Durability::Later).unwrap();
        assert!(!some.assign(4, 25));
        let on_disk = leader_epoch::read(&dir.path().join(leader_epoch::FILE_NAME)).unwrap().unwrap();
        assert_eq!(on_disk, epochs(&[(2, 10), (4, 20)]).entries());
        some.begin(4, 30);
        assert!(!some.assign(4, 30), "the same leadership again");
    }

    #[test]
    fn truncates_at_both_ends() {
        let mut some = epochs(&[(2, 10), (4, 20), (7, 50)]);
        assert!(some.truncate_from_end(50));
        assert!(!some.truncate_from_end(50));
        assert!(some.truncate_from_start(30));
        assert_eq!(some.entries(), epochs(&[(4, 30)]).entries());
        assert!(!some.truncate_from_start(30));
        assert_eq!(some.epoch_for_offset(29), None);
        assert_eq!(some.epoch_for_offset(31), Some(4));
    }
}
