//! Sessions as Kafka's own tests of `FetchSession` see them.

use super::*;
use crate::{api::data::fetch_session::context::Verdict, common::ErrorCode};

const EVICTION_MS: i64 = 120_000;

fn sessions(slots: usize) -> FetchSessions {
    FetchSessions::new(slots, EVICTION_MS)
}

fn wants(topic: &str, partition: i32, fetch_offset: Offset) -> Requested {
    Requested {
        topic: Some(topic.into()),
        topic_id: Uuid::nil(),
        partition,
        fetch_offset,
        log_start_offset: -1,
        max_bytes: 1 << 20,
        current_leader_epoch: -1,
        last_fetched_epoch: -1,
    }
}

fn fetch(session_id: i32, epoch: i32, partitions: Vec<Requested>) -> SessionRequest {
    SessionRequest { session_id, epoch, uses_topic_ids: false, from_follower: false, partitions, forgotten: Vec::new() }
}

fn quiet(high_watermark: Offset) -> Outcome {
    Outcome { bytes: 0, high_watermark, log_start_offset: 0, is_error: false, is_notice: false }
}

fn records(bytes: usize, high_watermark: Offset) -> Outcome {
    Outcome { bytes, ..quiet(high_watermark) }
}

const FAILED: Outcome =
    Outcome { bytes: 0, high_watermark: -1, log_start_offset: -1, is_error: true, is_notice: false };

fn order(context: &FetchContext) -> Vec<(String, i32)> {
    let mut seen = Vec::new();
    context.for_each(
        |_| None,
        |requested| {
            seen.push((requested.topic.as_deref().unwrap_or("?").to_owned(), requested.partition));
        },
    );
    seen
}

/// Answers every partition in order; returns the verdict and which were sent.
fn answer(context: FetchContext, now: i64, sessions: &FetchSessions, outcomes: &[Outcome]) -> (Verdict, Vec<usize>) {
    let mut sent = Vec::new();
    let mut next = 100;
    let random = || {
        next += 1;
        next
    };
    let outcomes = outcomes.iter().copied().enumerate();
    let verdict = context.answer(now, sessions, random, outcomes, |place| sent.push(place));
    (verdict, sent)
}

fn open(sessions: &FetchSessions, now: i64, partitions: usize) -> i32 {
    let wanted = (0..partitions).map(|partition| wants("t", partition as i32, 0)).collect();
    let context = sessions.new_context(now, fetch(0, INITIAL_EPOCH, wanted));
    let mut id = 1_000 + now as i32;
    let outcomes = vec![quiet(0); partitions];
    let random = || {
        id += 1;
        id
    };
    context.answer(now, sessions, random, outcomes.iter().copied().enumerate(), |_| {}).session_id
}

#[test]
fn an_idle_session_answers_nothing_until_something_changes() {
    let sessions = sessions(10);
    let full = sessions.new_context(0, fetch(0, INITIAL_EPOCH, vec![wants("a", 0, 10), wants("b", 0, 5)]));
    let (verdict, sent) = answer(full, 0, &sessions, &[quiet(10), quiet(5)]);
    assert_eq!(sent, [0, 1], "the first answer is whole");
    let id = verdict.session_id;
    assert_ne!(id, INVALID_SESSION_ID);

    let idle = sessions.new_context(1, fetch(id, 1, vec![]));
    assert_eq!(order(&idle), [("a".to_owned(), 0), ("b".to_owned(), 0)]);
    let (verdict, sent) = answer(idle, 1, &sessions, &[quiet(10), quiet(5)]);
    assert_eq!((verdict.session_id, sent.len()), (id, 0));

    let busy = sessions.new_context(2, fetch(id, 2, vec![]));
    assert_eq!(answer(busy, 2, &sessions, &[records(100, 12), quiet(5)]).1, [0]);

    let fair = sessions.new_context(3, fetch(id, 3, vec![wants("a", 0, 12)]));
    assert_eq!(order(&fair), [("b".to_owned(), 0), ("a".to_owned(), 0)], "who got records is read last");
    assert_eq!(answer(fair, 3, &sessions, &[FAILED, quiet(12)]).1, [0], "errors are always sent");

    let healed = sessions.new_context(4, fetch(id, 4, vec![]));
    assert_eq!(answer(healed, 4, &sessions, &[quiet(5), quiet(12)]).1, [0], "and so is the first answer after one");
}

/// A follower that cuts its log, or has come into another epoch meanwhile, has not taken the mark over.
#[test]
fn a_high_watermark_that_was_not_heard_is_sent_again() {
    let sessions = sessions(10);
    let parts = Outcome { is_notice: true, ..quiet(7) };
    let full = sessions.new_context(0, fetch(0, INITIAL_EPOCH, vec![wants("a", 0, 7), wants("b", 0, 7)]));
    let id = answer(full, 0, &sessions, &[parts, quiet(7)]).0.session_id;
    let cut = sessions.new_context(1, fetch(id, 1, vec![wants("a", 0, 6)]));
    assert_eq!(answer(cut, 1, &sessions, &[quiet(7), quiet(7)]).1, [0]);
    let again = sessions.new_context(2, fetch(id, 2, vec![]));
    assert_eq!(answer(again, 2, &sessions, &[quiet(7), parts]).1, [1]);
    let heard = sessions.new_context(3, fetch(id, 3, vec![]));
    assert_eq!(answer(heard, 3, &sessions, &[quiet(7), quiet(7)]).1, [1]);

    let newer = Requested { current_leader_epoch: 3, ..wants("a", 0, 7) };
    let in_epoch = sessions.new_context(4, fetch(id, 4, vec![newer.clone()]));
    assert_eq!(answer(in_epoch, 4, &sessions, &[quiet(7), quiet(7)]).1, [0]);
    let in_the_same = sessions.new_context(5, fetch(id, 5, vec![Requested { max_bytes: 1, ..newer }]));
    assert!(answer(in_the_same, 5, &sessions, &[quiet(7), quiet(7)]).1.is_empty());
}

#[test]
fn wrong_epochs_and_unknown_sessions_are_refused() {
    let sessions = sessions(10);
    let id = open(&sessions, 0, 1);
    let refused = |request| match sessions.new_context(0, request) {
        FetchContext::Error(code) => code,
        _ => ErrorCode::None,
    };
    assert_eq!(refused(fetch(id + 1, 1, vec![])), ErrorCode::FetchSessionIdNotFound);
    assert_eq!(refused(fetch(id, 2, vec![])), ErrorCode::InvalidFetchSessionEpoch);
    let by_id = SessionRequest { uses_topic_ids: true, ..fetch(id, 1, vec![]) };
    assert_eq!(refused(by_id), ErrorCode::FetchSessionTopicIdError);
    assert_eq!(refused(fetch(id, 1, vec![])), ErrorCode::None);
    assert_eq!(refused(fetch(id, 1, vec![])), ErrorCode::InvalidFetchSessionEpoch, "each epoch is used once");
}

/// The client timed out and sent its next fetch while the first still waited: the late answer is void.
#[test]
fn a_fetch_that_was_overtaken_is_refused_at_the_end() {
    let sessions = sessions(10);
    let id = open(&sessions, 0, 1);
    let slow = sessions.new_context(0, fetch(id, 1, vec![]));
    let fast = sessions.new_context(0, fetch(id, 2, vec![]));
    let (verdict, sent) = answer(slow, 0, &sessions, &[records(1, 1)]);
    assert_eq!((verdict.error, sent.len()), (ErrorCode::InvalidFetchSessionEpoch, 0));
    assert_eq!(answer(fast, 0, &sessions, &[records(1, 1)]).1, [0]);
}

#[test]
fn forgetting_everything_closes_the_session() {
    let sessions = sessions(10);
    let id = open(&sessions, 0, 2);
    let forget = |epoch, partition| SessionRequest {
        forgotten: vec![SessionKey::Name("t".into(), partition)],
        ..fetch(id, epoch, vec![])
    };
    assert_eq!(order(&sessions.new_context(0, forget(1, 0))), [("t".to_owned(), 1)]);
    assert!(matches!(sessions.new_context(0, forget(2, 1)), FetchContext::Sessionless(_)));
    assert_eq!(sessions.counts(), (0, 0, 0));
}

#[test]
fn the_final_epoch_closes_and_opens_nothing() {
    let sessions = sessions(10);
    let id = open(&sessions, 0, 1);
    let last = sessions.new_context(0, fetch(id, FINAL_EPOCH, vec![wants("t", 0, 0)]));
    let (verdict, sent) = answer(last, 0, &sessions, &[quiet(0)]);
    assert_eq!((verdict.session_id, sent.len()), (INVALID_SESSION_ID, 1));
    assert_eq!(sessions.counts().0, 0);
}

/// KIP-227: young sessions are safe from equals, larger ones push out smaller old ones, stale ones always go.
#[test]
fn eviction_follows_worth_and_age() {
    let sessions = sessions(2);
    let small = open(&sessions, 0, 1);
    let large = open(&sessions, 1, 50);
    assert_eq!(open(&sessions, 2, 20), INVALID_SESSION_ID, "nobody is old enough");
    // Both are used after they came of age: now worth counts.
    let later = EVICTION_MS + 10;
    for id in [small, large] {
        let FetchContext::Incremental { .. } = sessions.new_context(later, fetch(id, 1, vec![])) else {
            panic!("session {id} is there")
        };
    }
    let newcomer = open(&sessions, later + 1, 20);
    assert_ne!(newcomer, INVALID_SESSION_ID);
    assert!(matches!(sessions.new_context(later, fetch(small, 2, vec![])), FetchContext::Error(_)));
    assert_eq!(open(&sessions, later + 2, 1), INVALID_SESSION_ID, "worth less than all");
    assert_ne!(open(&sessions, later * 3, 1), INVALID_SESSION_ID, "all others are stale");
    assert_eq!(sessions.counts().2, 2);
}

#[test]
fn followers_push_out_consumers() {
    let sessions = sessions(1);
    open(&sessions, 0, 500);
    let follower = SessionRequest { from_follower: true, ..fetch(0, INITIAL_EPOCH, vec![wants("t", 0, 0)]) };
    let (verdict, _) = answer(sessions.new_context(1, follower), 1, &sessions, &[quiet(0)]);
    assert_ne!(verdict.session_id, INVALID_SESSION_ID);
    assert_eq!(open(&sessions, 2, 500), INVALID_SESSION_ID, "consumers don't push out followers");
}

#[test]
fn names_of_ids_are_learned_late() {
    let sessions = sessions(1);
    let id = Uuid::from_u128(7);
    let unknown = Requested { topic: None, topic_id: id, ..wants("", 3, 0) };
    let request = SessionRequest { uses_topic_ids: true, ..fetch(0, INITIAL_EPOCH, vec![unknown]) };
    let (verdict, _) = answer(sessions.new_context(0, request), 0, &sessions, &[FAILED]);
    let next = SessionRequest { uses_topic_ids: true, ..fetch(verdict.session_id, 1, vec![]) };
    let context = sessions.new_context(0, next);
    let mut seen = None;
    context.for_each(|asked| (asked == id).then(|| "late".into()), |requested| seen.clone_from(&requested.topic));
    assert_eq!(seen.as_deref(), Some("late"));
}

#[test]
fn epochs_wrap_past_the_initial_one() {
    assert_eq!(next_epoch(INITIAL_EPOCH), 1);
    assert_eq!(next_epoch(i32::MAX), 1);
    assert_eq!(next_epoch(FINAL_EPOCH), FINAL_EPOCH);
}
