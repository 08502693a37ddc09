//! What is answered when.

use super::harness::Harness;
use crate::{
    common::{ErrorCode, TopicPartition},
    coordinator::transaction::TransactionState,
};

#[test]
fn a_transaction_runs_to_its_end() {
    let mut h = Harness::new();
    let p = h.init("id", None).unwrap();
    assert_eq!(p.1, 0);
    for (is_commit, end) in [(true, TransactionState::CompleteCommit), (false, TransactionState::CompleteAbort)] {
        assert_eq!(h.add("id", p, &[0, 1]), ErrorCode::None);
        assert_eq!(h.state("id"), Some(TransactionState::Ongoing));
        assert_eq!(h.add("id", p, &[1]), ErrorCode::None, "it is in already");
        assert_eq!(h.end("id", p, is_commit), ErrorCode::None);
        assert_eq!(h.state("id"), Some(end));
        assert!(h.shard.transaction("id").unwrap().partitions.is_empty());
        assert_eq!(h.end("id", p, is_commit), ErrorCode::None, "a retry");
        assert_eq!(h.end("id", p, !is_commit), ErrorCode::InvalidTxnState);
    }
}

/// While markers are on their way everything else must wait, and other producers are nobody.
#[test]
fn markers_on_their_way_keep_everybody_waiting() {
    let mut h = Harness::new();
    let p = h.init("id", None).unwrap();
    assert_eq!(h.end("id", p, true), ErrorCode::InvalidTxnState);
    assert_eq!(h.add("id", p, &[0, 1]), ErrorCode::None);
    assert_eq!(h.add("id", (p.0, 7), &[0]), ErrorCode::ProducerFenced);
    assert_eq!(h.end("id", (p.0 + 1, 0), true), ErrorCode::InvalidProducerIdMapping);
    assert_eq!(h.add("other", p, &[0]), ErrorCode::InvalidProducerIdMapping);
    let verify = |h: &mut Harness, index| {
        let found = h.shard.verify_partitions("id", p, vec![TopicPartition::new("t", index)]);
        found.map(|found| found[0].1)
    };
    assert_eq!(verify(&mut h, 1), Ok(ErrorCode::None));
    assert_eq!(verify(&mut h, 2), Ok(ErrorCode::TransactionAbortable));
    h.leaders = None;
    assert_eq!(h.end("id", p, true), ErrorCode::None);
    assert_eq!(h.state("id"), Some(TransactionState::PrepareCommit));
    assert_eq!(verify(&mut h, 1), Err(ErrorCode::ConcurrentTransactions));
    assert_eq!(h.add("id", p, &[5]), ErrorCode::ConcurrentTransactions);
    assert_eq!(h.end("id", p, true), ErrorCode::ConcurrentTransactions);
    assert_eq!(h.init("id", None), Err(ErrorCode::ConcurrentTransactions));
    // A leader that moves is asked again.
    h.leaders = Some(ErrorCode::NotLeaderOrFollower);
    h.sent[0].partitions.truncate(1);
    h.deliver();
    assert!(h.sent.iter().all(|sent| sent.is_retry && sent.is_commit));
    h.leaders = Some(ErrorCode::None);
    h.reload();
    assert_eq!(h.state("id"), Some(TransactionState::CompleteCommit), "loading takes the decision up again");
}

/// A second producer under the same id aborts the first one's transaction, and has to come back for its epoch.
#[test]
fn the_next_producer_fences_the_one_before() {
    let mut h = Harness::new();
    let first = h.init("id", None).unwrap();
    h.add("id", first, &[0]);
    assert_eq!(h.init("id", None), Err(ErrorCode::ConcurrentTransactions));
    assert_eq!(h.state("id"), Some(TransactionState::CompleteAbort));
    let second = h.init("id", None).unwrap();
    assert_eq!(second, (first.0, 2), "one epoch is the abort's");
    assert_eq!(h.end("id", first, true), ErrorCode::ProducerFenced);
    assert_eq!(h.init("id", Some(first)), Err(ErrorCode::ProducerFenced));
    // It names its epoch: bumped once, and a retry of that gets the same (KIP-360).
    let third = h.init("id", Some(second)).unwrap();
    assert_eq!(third.1, 3);
    assert_eq!(h.init("id", Some(second)), Ok(third));
    assert_eq!(h.init("id", Some((second.0 + 9, 2))), Err(ErrorCode::ProducerFenced));
}

#[test]
fn a_producer_id_ends_with_its_epochs() {
    let mut h = Harness::new();
    let first = h.init("id", None).unwrap();
    let mut p = first;
    for epoch in 1..i16::MAX {
        p = h.init("id", None).unwrap();
        assert_eq!(p, (first.0, epoch));
    }
    let next = h.init("id", Some(p)).unwrap();
    assert_eq!(next, (first.0 + 1, 0));
    // The old id may retry, for its epochs are used up.
    assert_eq!(h.init("id", Some(p)), Ok(next));
}

#[test]
fn forgotten_transactions_are_aborted() {
    let mut h = Harness::new();
    let p = h.init("id", None).unwrap();
    h.add("id", p, &[0]);
    h.now_ms += 5_000;
    h.abort_timed_out();
    assert_eq!(h.state("id"), Some(TransactionState::Ongoing), "its time is not over");
    h.now_ms += 1;
    h.abort_timed_out();
    assert_eq!(h.state("id"), Some(TransactionState::CompleteAbort));
    assert_eq!(h.add("id", p, &[0]), ErrorCode::ProducerFenced);
}

/// The log refuses the fencing record again and again: the epoch goes up once only.
#[test]
fn a_failed_fence_is_not_repeated() {
    let mut h = Harness::new();
    let p = h.init("id", None).unwrap();
    h.add("id", p, &[0]);
    h.log_answers = Err(ErrorCode::NotEnoughReplicas);
    for _ in 0..3 {
        assert_eq!(h.init("id", None), Err(ErrorCode::CoordinatorNotAvailable));
        assert_eq!(h.shard.transaction("id").unwrap().producer_epoch, 1);
    }
    h.log_answers = Ok(());
    assert_eq!(h.init("id", None), Err(ErrorCode::ConcurrentTransactions));
    assert_eq!(h.init("id", None), Ok((p.0, 2)));
}

#[test]
fn the_completion_is_logged_once_the_log_takes_it() {
    let mut h = Harness::new();
    let p = h.init("id", None).unwrap();
    h.add("id", p, &[0]);
    h.leaders = None;
    assert_eq!(h.end("id", p, false), ErrorCode::None);
    h.log_answers = Err(ErrorCode::NotEnoughReplicas);
    h.leaders = Some(ErrorCode::None);
    h.deliver();
    h.advance(100);
    assert_eq!(h.state("id"), Some(TransactionState::PrepareAbort));
    h.log_answers = Ok(());
    h.advance(100);
    assert_eq!(h.state("id"), Some(TransactionState::CompleteAbort));
}

#[test]
fn silent_ids_expire_unless_something_is_open() {
    let mut h = Harness::new();
    h.init("empty", None).unwrap();
    let open = h.init("open", None).unwrap();
    h.add("open", open, &[0]);
    h.now_ms += 7 * 24 * 60 * 60_000 - 1;
    h.expire();
    assert!(h.state("empty").is_some());
    h.now_ms += 1;
    h.expire();
    assert_eq!((h.state("empty"), h.state("open")), (None, Some(TransactionState::Ongoing)));
    h.reload();
    assert_eq!(h.state("empty"), None, "a tombstone is in the log");
    assert_ne!(h.init("empty", None).unwrap().0, open.0);
}
