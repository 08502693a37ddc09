//! What answers mean, told as what happened to a partition.

use super::*;

const BACKOFF: i64 = 1000;

fn tp() -> TopicPartition {
    TopicPartition::new("t", 0)
}

fn following(leader_epoch: LeaderEpoch, offset: Offset) -> FetchStates {
    let mut states = FetchStates::default();
    let last_fetched_epoch = Some(leader_epoch - 1);
    states.add(&tp(), &InitialFetchState { topic_id: Uuid::from_u128(1), leader_epoch, offset, last_fetched_epoch });
    states
}

fn asked(leader_epoch: LeaderEpoch, fetch_offset: Offset) -> Asked {
    Asked { fetch_offset, leader_epoch }
}

#[test]
fn records_move_the_offset_and_the_epoch() {
    let mut states = following(3, 10);
    assert_eq!(states.react(&tp(), asked(3, 10), ErrorCode::None, None, 0), Reaction::Append);
    states.fetched(&tp(), 15, 2, Some(3));
    let state = states.get(&tp()).unwrap();
    assert_eq!((state.fetch_offset, state.last_fetched_epoch, state.lag), (15, Some(3), Some(2)));
    assert_eq!(states.react(&tp(), asked(3, 10), ErrorCode::None, None, 0), Reaction::Ignore, "answered already");
    states.fetched(&tp(), 15, -3, None);
    assert_eq!(states.get(&tp()).unwrap().last_fetched_epoch, Some(3), "an empty answer says nothing of epochs");
    assert_eq!(states.max_lag(), 0);
}

/// The answer of the old leader arrives after the controller has named a new one (KIP-320: no append across epochs).
#[test]
fn an_answer_from_before_the_leader_changed_is_dropped() {
    let mut states = following(3, 10);
    states.remove(&tp());
    assert_eq!(states.react(&tp(), asked(3, 10), ErrorCode::None, None, 0), Reaction::Ignore);
    states.add(
        &tp(),
        &InitialFetchState { topic_id: Uuid::nil(), leader_epoch: 4, offset: 10, last_fetched_epoch: Some(3) },
    );
    assert_eq!(states.react(&tp(), asked(3, 10), ErrorCode::None, None, 0), Reaction::Ignore);
    assert_eq!(states.react(&tp(), asked(4, 10), ErrorCode::None, None, 0), Reaction::Append);
}

/// A zombie leader is asked with the newer epoch and does not know it; we are asked to wait until it does or is replaced.
#[test]
fn a_leader_that_is_behind_is_asked_again_later() {
    let mut states = following(5, 10);
    assert_eq!(states.react(&tp(), asked(5, 10), ErrorCode::UnknownLeaderEpoch, None, 100), Reaction::Delay);
    states.delay(&tp(), 100, BACKOFF);
    states.delay(&tp(), 600, BACKOFF);
    assert_eq!(states.next_due_ms(), Some(100 + BACKOFF), "a second error does not make the wait longer");
    assert!(!states.get(&tp()).unwrap().is_ready(1099));
    assert!(states.get(&tp()).unwrap().is_ready(1100));
}

#[test]
fn a_follower_that_is_fenced_waits_for_the_controller() {
    let mut states = following(5, 10);
    assert_eq!(states.fenced(&tp(), 4), Reaction::Delay, "we have moved on meanwhile");
    let reaction = states.react(&tp(), asked(5, 10), ErrorCode::FencedLeaderEpoch, None, 0);
    assert_eq!(reaction, Reaction::AwaitLeaderAndIsr);
    assert!(states.is_failed(&tp()) && states.get(&tp()).is_none());
    states.add(
        &tp(),
        &InitialFetchState { topic_id: Uuid::nil(), leader_epoch: 6, offset: 10, last_fetched_epoch: Some(4) },
    );
    assert_eq!((states.failed_count(), states.get(&tp()).is_some()), (0, true));
}

#[test]
fn a_divergence_is_cut_before_anything_is_appended() {
    let mut states = following(3, 10);
    let end = EpochEndOffset { leader_epoch: 1, end_offset: 7 };
    assert_eq!(states.react(&tp(), asked(3, 10), ErrorCode::None, Some(end), 0), Reaction::Truncate(end));
    states.moved(&tp(), 7, Some(1), None);
    let state = states.get(&tp()).unwrap();
    assert_eq!((state.fetch_offset, state.last_fetched_epoch, state.phase), (7, Some(1), Phase::Fetching));
    assert_eq!(states.react(&tp(), asked(3, 7), ErrorCode::OffsetOutOfRange, None, 0), Reaction::FindOffset);
}

#[test]
fn a_log_without_epochs_is_cut_to_its_high_watermark_first() {
    let mut states = FetchStates::default();
    let initial = InitialFetchState { topic_id: Uuid::nil(), leader_epoch: 1, offset: 4, last_fetched_epoch: None };
    states.add(&tp(), &initial);
    assert!(!states.get(&tp()).unwrap().is_ready(0));
    assert_eq!(states.truncating(0), [(tp(), 4)]);
    states.moved(&tp(), 4, None, None);
    assert!(states.get(&tp()).unwrap().is_ready(0) && states.truncating(0).is_empty());
}

/// The controller repeats itself: what is under way goes on.
#[test]
fn the_same_epoch_again_changes_nothing() {
    let mut states = following(3, 10);
    states.fetched(&tp(), 20, 0, Some(3));
    let again = InitialFetchState { topic_id: Uuid::nil(), leader_epoch: 3, offset: 10, last_fetched_epoch: None };
    states.add(&tp(), &again);
    assert_eq!(states.get(&tp()).unwrap().fetch_offset, 20);
}
