//! Two logs, and what it takes to make one of them the other's copy.

use proptest::prelude::*;

use super::*;
use crate::storage::log::leader_epochs::LeaderEpochs;

/// A log as the epochs of its records.
#[derive(Debug, Clone, PartialEq)]
struct Log(Vec<LeaderEpoch>);

impl Log {
    fn of(runs: &[(LeaderEpoch, usize)]) -> Self {
        Self(runs.iter().flat_map(|(epoch, count)| std::iter::repeat_n(*epoch, *count)).collect())
    }

    fn end(&self) -> Offset {
        self.0.len() as Offset
    }

    fn end_offset_for(&self, epoch: LeaderEpoch) -> Option<OffsetAndEpoch> {
        let mut epochs = LeaderEpochs::default();
        for (offset, epoch) in self.0.iter().enumerate() {
            epochs.assign(*epoch, offset as Offset);
        }
        epochs.end_offset_for(epoch, self.end())
    }

    /// What a leader answers to a fetch (`Partition.readRecords`). Its own epoch is newer than any record.
    fn diverging(&self, own_epoch: LeaderEpoch, last_epoch: LeaderEpoch, offset: Offset) -> Option<EpochEndOffset> {
        let mut epochs = LeaderEpochs::default();
        for (offset, epoch) in self.0.iter().enumerate() {
            epochs.assign(*epoch, offset as Offset);
        }
        epochs.assign(own_epoch, self.end());
        let end = epochs.end_offset_for(last_epoch, self.end()).expect("older than our own epoch");
        let diverges = end.leader_epoch < last_epoch || end.offset < offset;
        diverges.then_some(EpochEndOffset { leader_epoch: end.leader_epoch, end_offset: end.offset })
    }
}

/// Cuts until the leader agrees, then copies one record at a time; returns the offsets of the cuts.
fn follow(follower: &mut Log, leader: &Log, own_epoch: LeaderEpoch) -> Vec<Offset> {
    let mut cuts = Vec::new();
    for _ in 0..1000 {
        let diverging = follower.0.last().and_then(|last| leader.diverging(own_epoch, *last, follower.end()));
        if let Some(leaders) = diverging {
            let cut =
                truncation(leaders, follower.end_offset_for(leaders.leader_epoch), follower.end(), follower.end());
            assert!(cut.offset < follower.end() || !cut.is_final, "a cut that cuts nothing goes on for ever");
            cuts.push(cut.offset);
            follower.0.truncate(cut.offset as usize);
        } else if let Some(next) = leader.0.get(follower.0.len()) {
            follower.0.push(*next);
        } else {
            return cuts;
        }
    }
    panic!("does not end: {follower:?} after {leader:?}");
}

/// KIP-101: the follower's tail is of an epoch whose end the leader knows to be earlier.
#[test]
fn a_tail_that_was_never_committed_goes() {
    let mut follower = Log::of(&[(0, 5), (1, 4)]);
    let leader = Log::of(&[(0, 5), (1, 2), (2, 3)]);
    assert_eq!(follow(&mut follower, &leader, 3), [7]);
    assert_eq!(follower, leader);
}

/// KIP-279: leaders changed faster than records were copied; each log has epochs that the other never saw.
#[test]
fn fast_leader_changes_are_unwound_epoch_by_epoch() {
    let mut follower = Log::of(&[(0, 2), (1, 3), (3, 2), (5, 1)]);
    let leader = Log::of(&[(0, 2), (1, 1), (2, 4), (4, 2)]);
    let cuts = follow(&mut follower, &leader, 6);
    assert_eq!(cuts, [7, 5, 3]);
    assert_eq!(follower, leader);
}

#[test]
fn nothing_in_common_means_from_the_start() {
    let mut follower = Log::of(&[(1, 3)]);
    let leader = Log::of(&[(2, 2)]);
    follow(&mut follower, &leader, 3);
    assert_eq!(follower, leader);
}

#[test]
fn a_leader_that_cannot_say_sends_us_to_where_we_were() {
    let unknown = EpochEndOffset { leader_epoch: -1, end_offset: -1 };
    assert_eq!(truncation(unknown, None, 10, 6), Truncation { offset: 6, is_final: true });
    let no_epoch = EpochEndOffset { leader_epoch: -1, end_offset: 20 };
    assert_eq!(truncation(no_epoch, None, 10, 6), Truncation { offset: 10, is_final: true });
}

#[test]
fn out_of_range_is_one_of_three() {
    // An unclean leader with a shorter log.
    assert_eq!(offset_reset(5, None, 9), OffsetReset::TruncateTo(5));
    // We were away so long that all of ours is forgotten there.
    assert_eq!(offset_reset(100, Some(50), 9), OffsetReset::StartOver(50));
    // It was shorter and has grown meanwhile.
    assert_eq!(offset_reset(12, Some(0), 9), OffsetReset::Continue(9));
}

proptest! {
    /// Logs that came about by leaders of rising epochs writing behind a common prefix of any earlier log: whoever follows
    /// ends with the leader's log, and keeps what they had in common.
    #[test]
    fn followers_become_copies(
        common in prop::collection::vec((0i32..4, 1usize..4), 0..4),
        ours in prop::collection::vec((4i32..12, 1usize..4), 0..5),
        theirs in prop::collection::vec((4i32..12, 1usize..4), 0..5),
    ) {
        let sorted = |mut runs: Vec<(i32, usize)>, parity: Option<i32>| {
            // An epoch has one leader: the two sides never wrote in the same one.
            runs.iter_mut().for_each(|run| if let Some(parity) = parity { run.0 = run.0 * 2 + parity });
            runs.sort();
            runs.dedup_by_key(|run| run.0);
            runs
        };
        let common = sorted(common, None);
        let log = |tail: Vec<(i32, usize)>| Log::of(&[common.clone(), tail].concat());
        let mut follower = log(sorted(ours, Some(0)));
        let leader = log(sorted(theirs, Some(1)));
        let shared = Log::of(&common).end();
        let cuts = follow(&mut follower, &leader, 100);
        prop_assert!(cuts.iter().all(|cut| *cut >= shared), "{:?} below {}", cuts, shared);
        prop_assert_eq!(follower, leader);
    }
}
