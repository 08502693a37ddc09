//! A follower's session as its leader sees it.

use super::*;

type Want = (TopicPartition, Wanted);

fn want(partition: i32, topic: u128, fetch_offset: Offset) -> Want {
    let topic_id = Uuid::from_u128(topic);
    let wanted = Wanted { topic_id, fetch_offset, log_start_offset: 0, leader_epoch: 1, last_fetched_epoch: 1 };
    (TopicPartition::new("t", partition), wanted)
}

fn plan(session: &mut FetchSession, wanted: &[Want]) -> Option<FetchPlan> {
    session.plan(wanted.iter().map(|(tp, it)| (tp, *it)), true)
}

/// Partitions sent and forgotten.
fn told(plan: &FetchPlan) -> (Vec<i32>, Vec<i32>) {
    let number = |tp: &TopicPartition| tp.partition;
    (plan.send.iter().map(|it| number(&it.0)).collect(), plan.forget.iter().map(|it| number(&it.0)).collect())
}

#[test]
fn only_what_changed_is_sent_again() {
    let mut session = FetchSession::default();
    assert_eq!(plan(&mut session, &[]), None);
    let full = plan(&mut session, &[want(0, 7, 0), want(1, 7, 0)]).unwrap();
    assert_eq!((full.session_id, full.session_epoch, told(&full)), (0, 0, (vec![0, 1], vec![])));
    assert!(session.answered(ErrorCode::None, 42));

    let idle = plan(&mut session, &[want(0, 7, 0), want(1, 7, 0)]).unwrap();
    assert_eq!((idle.session_id, idle.session_epoch, told(&idle)), (42, 1, (vec![], vec![])));
    assert!(session.answered(ErrorCode::None, 42));

    let moved = plan(&mut session, &[want(1, 7, 5), want(2, 7, 0)]).unwrap();
    assert_eq!((moved.session_epoch, told(&moved)), (2, (vec![1, 2], vec![0])));
    assert_eq!(session.name_of(Uuid::from_u128(7)).map(|name| &**name), Some("t"));
    assert!(session.answered(ErrorCode::None, 42));

    // Nothing is ready, but the leader must not go on reading for us.
    let empty = plan(&mut session, &[]).unwrap();
    assert_eq!(told(&empty), (vec![], vec![1, 2]));
    assert!(session.name_of(Uuid::from_u128(7)).is_none());
    assert!(session.answered(ErrorCode::None, 42));
    assert_eq!(plan(&mut session, &[]), None);
}

/// The topic was deleted and made again while we were set aside: under its new id it is a stranger.
#[test]
fn a_topic_under_another_id_replaces_the_old_one() {
    let mut session = FetchSession::default();
    plan(&mut session, &[want(0, 7, 9)]);
    session.answered(ErrorCode::None, 42);
    let replaced = plan(&mut session, &[want(0, 8, 0)]).unwrap();
    assert_eq!(told(&replaced), (vec![0], vec![0]));
    assert_eq!(replaced.forget[0].1, Uuid::from_u128(7));
    assert!(session.name_of(Uuid::from_u128(7)).is_none());
    assert!(session.name_of(Uuid::from_u128(8)).is_some());
}

#[test]
fn a_session_the_leader_lost_is_asked_for_anew() {
    let all = [want(0, 7, 0)];
    let mut session = FetchSession::default();
    plan(&mut session, &all);
    session.answered(ErrorCode::None, 42);
    plan(&mut session, &all);
    assert!(!session.answered(ErrorCode::FetchSessionIdNotFound, 0));
    let full = plan(&mut session, &all).unwrap();
    assert_eq!((full.session_id, full.session_epoch, told(&full).0), (0, 0, vec![0]));
    session.answered(ErrorCode::None, 43);
    // No answer: the old one is named, so that the leader can close it.
    session.begin_anew();
    let full = plan(&mut session, &all).unwrap();
    assert_eq!((full.session_id, full.session_epoch, told(&full).0), (43, 0, vec![0]));
    // A leader without room for sessions.
    session.answered(ErrorCode::None, 0);
    let full = plan(&mut session, &all).unwrap();
    assert_eq!((full.session_id, full.session_epoch), (0, 0));
}

#[test]
fn one_topic_without_an_id_means_names_for_all() {
    let mut session = FetchSession::default();
    assert!(plan(&mut session, &[want(0, 7, 0)]).unwrap().uses_topic_ids);
    session.answered(ErrorCode::None, 42);
    let named = plan(&mut session, &[want(0, 7, 0), want(1, 0, 0)]).unwrap();
    assert!(!named.uses_topic_ids);
    assert_eq!((named.session_epoch, told(&named).0), (0, vec![0, 1]), "sessions are of one kind");
}
