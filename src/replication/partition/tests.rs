//! The partition against a tiny model: who has what, and what may therefore be called committed.

use proptest::prelude::*;

use super::*;

const LAG_MS: i64 = 30_000;

fn leader_of(replicas: &[BrokerId], isr: &[BrokerId]) -> PartitionState {
    let mut state = PartitionState::new(1, LAG_MS);
    let decision =
        Leadership { leader: 1, leader_epoch: 0, partition_epoch: 0, isr: isr.to_vec(), replicas: replicas.to_vec() };
    assert_eq!(state.apply(0, &decision, 0), Some(true));
    state
}

fn log(high_watermark: Offset, log_end_offset: Offset) -> LogOffsets {
    LogOffsets { log_start_offset: 0, high_watermark, log_end_offset }
}

#[test]
fn a_lone_leader_commits_at_once() {
    let state = leader_of(&[1], &[1]);
    assert_eq!(state.high_watermark_after(0, log(0, 10), 1), Some(10));
    assert_eq!(state.high_watermark_after(0, log(10, 10), 1), None);
    // min.insync.replicas is never more than the replication factor.
    assert_eq!(state.high_watermark_after(0, log(0, 10), 2), Some(10));
    assert!(!state.is_under_min_isr(2));
}

#[test]
fn nothing_is_committed_below_min_isr() {
    let state = leader_of(&[1, 2, 3], &[1]);
    assert!(state.is_under_min_isr(2));
    assert_eq!(state.high_watermark_after(LAG_MS * 2, log(0, 10), 2), None);
}

#[test]
fn waits_for_a_follower_in_the_isr() {
    let mut state = leader_of(&[1, 2], &[1, 2]);
    assert_eq!(state.high_watermark_after(0, log(0, 10), 1), None);
    let effects = state.follower_fetched(5, FollowerFetch::new(2, 7, 0), log(0, 10), 1);
    assert!(effects.contains(&PartitionEffect::HighWatermarkAdvanced(7)), "{effects:?}");
}

/// A follower that stops is dropped after the lag time; the proposal changes nothing until it is confirmed.
#[test]
fn a_stuck_follower_leaves_the_isr() {
    let mut state = leader_of(&[1, 2], &[1, 2]);
    assert_eq!(state.shrink_isr(LAG_MS, log(0, 10)), None);
    let proposal = state.shrink_isr(LAG_MS + 1, log(0, 10)).expect("lags");
    assert_eq!(proposal.isr, [1]);
    assert_eq!(state.shrink_isr(LAG_MS + 2, log(0, 10)), None, "one proposal at a time");
    assert_eq!(state.high_watermark_after(LAG_MS + 2, log(0, 10), 1), None, "still the old ISR");
    let written = AlterPartitionAnswer { leader_epoch: 0, partition_epoch: 1, isr: vec![1] };
    assert_eq!(state.isr_altered(&proposal, Ok(written)), Altered::Committed);
    assert_eq!(state.high_watermark_after(LAG_MS + 2, log(0, 10), 1), Some(10));
}

/// A follower that has just left in order was caught up a moment ago: it would hold the high watermark back for as long as it may
/// lag if nobody looked whether its broker lives.
#[test]
fn nobody_waits_for_a_broker_that_is_away() {
    let mut state = leader_of(&[1, 2, 3], &[1, 3]);
    state.follower_fetched(5, FollowerFetch::new(2, 7, 0), log(0, 7), 1);
    state.follower_fetched(6, FollowerFetch::new(3, 10, 0), log(0, 10), 1);
    let refused = state.isr().is_inflight();
    if refused {
        let proposal =
            AlterPartition { leader_epoch: 0, partition_epoch: 0, isr: vec![1, 3, 2], broker_epochs: vec![-1, -1, -1] };
        assert_eq!(state.isr_altered(&proposal, Err(ErrorCode::IneligibleReplica)), Altered::Refused);
    }
    assert_eq!(state.high_watermark_after(7, log(0, 10), 1), Some(7), "it is about to return");
    state.brokers_seen(|id| id != 2);
    assert_eq!(state.high_watermark_after(7, log(0, 10), 1), Some(10));
    assert!(state.follower_fetched(8, FollowerFetch::new(2, 10, 0), log(10, 10), 1).is_empty(), "nor is it proposed");
    state.brokers_seen(|_| true);
    assert!(!state.follower_fetched(9, FollowerFetch::new(2, 10, 0), log(10, 10), 1).is_empty());
}

/// The answers of `Partition.handleAlterPartitionError`: which ones settle it, which leave it to the next LeaderAndIsr.
#[test]
fn refused_proposals_are_taken_back_only_when_nothing_can_have_been_written() {
    let proposed = || {
        let mut state = leader_of(&[1, 2], &[1, 2]);
        let proposal = state.shrink_isr(LAG_MS + 1, log(0, 10)).expect("lags");
        (state, proposal)
    };
    for code in [ErrorCode::IneligibleReplica, ErrorCode::OperationNotAttempted] {
        let (mut state, proposal) = proposed();
        assert_eq!(state.isr_altered(&proposal, Err(code)), Altered::Refused);
        assert!(!state.isr().is_inflight(), "{code}");
    }
    for code in [ErrorCode::FencedLeaderEpoch, ErrorCode::InvalidUpdateVersion, ErrorCode::UnknownTopicId] {
        let (mut state, proposal) = proposed();
        assert_eq!(state.isr_altered(&proposal, Err(code)), Altered::Unchanged);
        assert!(state.isr().is_inflight(), "{code}: it may have been written");
    }
    let (mut state, proposal) = proposed();
    assert_eq!(state.isr_altered(&proposal, Err(ErrorCode::UnknownServerError)), Altered::TryAgain);
    let older = AlterPartitionAnswer { leader_epoch: 0, partition_epoch: -1, isr: vec![1] };
    assert_eq!(state.isr_altered(&proposal, Ok(older)), Altered::Unchanged);

    // A LeaderAndIsr came first: the late answer is to a question nobody asks.
    let decision = Leadership { leader: 1, leader_epoch: 1, partition_epoch: 1, isr: vec![1, 2], replicas: vec![1, 2] };
    assert_eq!(state.apply(0, &decision, 10), Some(true));
    let late = AlterPartitionAnswer { leader_epoch: 0, partition_epoch: 1, isr: vec![1] };
    assert_eq!(state.isr_altered(&proposal, Ok(late)), Altered::Unchanged);
    assert_eq!(state.isr().members(), [1, 2]);
}

/// KIP-903: a fetch from before the follower was started again says nothing of what it has now.
#[test]
fn a_fetch_of_an_earlier_life_does_not_count() {
    let mut state = leader_of(&[1, 2], &[1, 2]);
    let fetch = |offset, broker_epoch| FollowerFetch { broker_epoch, ..FollowerFetch::new(2, offset, 0) };
    state.follower_fetched(5, fetch(3, 20), log(0, 10), 1);
    assert!(state.follower_fetched(6, fetch(10, 19), log(3, 10), 1).is_empty());
    assert_eq!(state.remote(2).map(Replica::log_end_offset), Some(3));
    let proposal = state.shrink_isr(LAG_MS * 2, log(3, 10)).expect("lags");
    assert_eq!((proposal.isr, proposal.broker_epochs), (vec![1], vec![-1]));
}

#[test]
fn a_follower_that_caught_up_returns() {
    let mut state = leader_of(&[1, 2], &[1]);
    let effects = state.follower_fetched(50_000, FollowerFetch::new(2, 10, 0), log(10, 10), 1);
    let proposed = AlterPartition { leader_epoch: 0, partition_epoch: 0, isr: vec![1, 2], broker_epochs: vec![-1, -1] };
    assert!(effects.contains(&PartitionEffect::AlterPartition(proposed)), "{effects:?}");
    assert_eq!(state.isr().members(), [1]);
    assert!(state.isr().maximal_contains(2), "commits wait for it from now on");
}

#[test]
fn strangers_are_not_followers() {
    let mut state = leader_of(&[1, 2], &[1, 2]);
    assert_eq!(state.check_follower(9, NO_LEADER_EPOCH), Err(ErrorCode::NotLeaderOrFollower));
    assert_eq!(state.check_follower(9, 0), Err(ErrorCode::UnknownLeaderEpoch));
    assert!(state.follower_fetched(1, FollowerFetch::new(9, 100, 0), log(0, 10), 1).is_empty());
    assert_eq!(state.high_watermark_after(1, log(0, 10), 1), None);
}

#[test]
fn epochs_fence() {
    let mut state = leader_of(&[1], &[1]);
    let decision = Leadership { leader: 1, leader_epoch: 5, partition_epoch: 3, isr: vec![1], replicas: vec![1] };
    assert_eq!(state.apply(0, &decision, 42), Some(true));
    assert_eq!(state.epoch_start_offset(), 42);
    assert_eq!(state.check_leader(NO_LEADER_EPOCH), Ok(5));
    assert_eq!(state.check_leader(4), Err(ErrorCode::FencedLeaderEpoch));
    assert_eq!(state.check_leader(6), Err(ErrorCode::UnknownLeaderEpoch));
    assert_eq!(state.apply(0, &Leadership { partition_epoch: 2, ..decision.clone() }, 50), None);
    assert_eq!(state.apply(0, &Leadership { leader: 2, leader_epoch: 6, ..decision }, 50), Some(true));
    assert_eq!(state.check_leader(6), Err(ErrorCode::NotLeaderOrFollower));
}

#[derive(Debug, Clone)]
enum Step {
    Append { records: i64 },
    Fetch { replica: BrokerId, behind: i64 },
    Wait { ms: i64 },
    Shrink,
    Answer { granted: bool },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1i64..20).prop_map(|records| Step::Append { records }),
        (2i32..5, 0i64..30).prop_map(|(replica, behind)| Step::Fetch { replica, behind }),
        (0i64..LAG_MS).prop_map(|ms| Step::Wait { ms }),
        Just(Step::Shrink),
        any::<bool>().prop_map(|granted| Step::Answer { granted }),
    ]
}

proptest! {
    /// Within one epoch the high watermark never goes back, never passes what a member of the maximal ISR has, and the
    /// ISR always holds the leader and only replicas.
    #[test]
    fn what_is_committed_is_everywhere(steps in proptest::collection::vec(step(), 1..120), min_isr in 1i32..4) {
        let mut state = leader_of(&[1, 2, 3, 4], &[1, 2, 3]);
        let (mut now, mut end, mut committed, mut epoch) = (0i64, 0i64, 0i64, 0i32);
        let mut has = std::collections::BTreeMap::from([(2, 0i64), (3, 0), (4, 0)]);
        let mut proposal: Option<AlterPartition> = None;
        for step in steps {
            let mut advanced = None;
            match step {
                Step::Append { records } => {
                    end += records;
                    advanced = state.high_watermark_after(now, log(committed, end), min_isr);
                }
                Step::Fetch { replica, behind } => {
                    // A follower never gives up what it has within an epoch.
                    let offset = (end - behind).max(has[&replica]);
                    has.insert(replica, offset);
                    for effect in state.follower_fetched(now, FollowerFetch::new(replica, offset, 0), log(committed, end), min_isr) {
                        match effect {
                            PartitionEffect::HighWatermarkAdvanced(offset) => advanced = Some(offset),
                            PartitionEffect::AlterPartition(asked) => proposal = Some(asked),
                            PartitionEffect::LowWatermarkAdvanced => {}
                        }
                    }
                }
                Step::Wait { ms } => now += ms,
                Step::Shrink => {
                    if let Some(asked) = state.shrink_isr(now, log(committed, end)) {
                        proposal = Some(asked);
                    }
                }
                Step::Answer { granted } => {
                    if let Some(asked) = proposal.take() {
                        epoch += 1;
                        let isr = asked.isr.clone();
                        let written = AlterPartitionAnswer { leader_epoch: 0, partition_epoch: epoch, isr };
                        state.isr_altered(&asked, if granted { Ok(written) } else { Err(ErrorCode::IneligibleReplica) });
                        advanced = state.high_watermark_after(now, log(committed, end), min_isr);
                    }
                }
            }
            if let Some(offset) = advanced {
                prop_assert!(offset > committed, "went back");
                prop_assert!(offset <= end);
                for (replica, offset_of_replica) in &has {
                    if state.isr().maximal_contains(*replica) {
                        prop_assert!(offset <= *offset_of_replica, "{replica} lacks committed records");
                    }
                }
                prop_assert!(state.isr().members().len() as i32 >= min_isr);
                committed = offset;
            }
            prop_assert!(state.isr().members().contains(&1));
            prop_assert!(state.isr().members().iter().all(|id| state.replicas().contains(id)));
            prop_assert_eq!(state.isr().is_inflight(), proposal.is_some());
        }
    }
}
