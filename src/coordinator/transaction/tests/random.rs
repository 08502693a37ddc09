//! Random producers, leaders and logs: whatever happens, an outcome that was told stays, epochs never go back, and in
//! the end everything settles.

use std::collections::BTreeMap;

use proptest::{prelude::*, sample::select};

use super::harness::Harness;
use crate::{common::ErrorCode, coordinator::transaction::TransactionState};

#[derive(Debug, Clone)]
enum Op {
    Init { id: &'static str, names_itself: bool },
    Add { id: &'static str, partition: i32 },
    End { id: &'static str, is_commit: bool },
    Leaders(Option<ErrorCode>),
    Log(Result<(), ErrorCode>),
    Wait(i64),
    TimeOut,
    Reload,
}

fn op() -> impl Strategy<Value = Op> {
    let id = || select(vec!["a", "b"]);
    let leaders = vec![None, Some(ErrorCode::None), Some(ErrorCode::NotLeaderOrFollower)];
    prop_oneof![
        (id(), any::<bool>()).prop_map(|(id, names_itself)| Op::Init { id, names_itself }),
        (id(), 0..3).prop_map(|(id, partition)| Op::Add { id, partition }),
        (id(), 0..3).prop_map(|(id, partition)| Op::Add { id, partition }),
        (id(), any::<bool>()).prop_map(|(id, is_commit)| Op::End { id, is_commit }),
        select(leaders).prop_map(Op::Leaders),
        select(vec![Ok(()), Ok(()), Err(ErrorCode::NotEnoughReplicas)]).prop_map(Op::Log),
        select(vec![50_i64, 200, 6_000]).prop_map(Op::Wait),
        Just(Op::TimeOut),
        Just(Op::Reload),
    ]
}

/// What a client knows of its id.
#[derive(Default)]
struct Client {
    producer: Option<(i64, i16)>,
    /// An outcome that was confirmed, until the next transaction begins.
    told: Option<bool>,
}

fn check(h: &Harness, clients: &BTreeMap<&str, Client>) {
    for (id, client) in clients {
        let (Some(is_commit), Some(state)) = (client.told, h.state(id)) else { continue };
        let ends = if is_commit {
            [TransactionState::PrepareCommit, TransactionState::CompleteCommit]
        } else {
            [TransactionState::PrepareAbort, TransactionState::CompleteAbort]
        };
        assert!(ends.contains(&state), "{id} was told commit={is_commit}, but is {state:?}");
    }
}

fn apply(h: &mut Harness, clients: &mut BTreeMap<&'static str, Client>, op: Op) {
    match op {
        Op::Init { id, names_itself } => {
            let client = clients.entry(id).or_default();
            let expected = client.producer.filter(|_| names_itself);
            if let Ok(got) = h.init(id, expected) {
                if let Some(had) = client.producer {
                    assert!(got.0 != had.0 || got.1 > had.1, "{id}: epoch {got:?} after {had:?}");
                }
                *client = Client { producer: Some(got), told: None };
            }
        }
        Op::Add { id, partition } => {
            let Some(producer) = clients.get(id).and_then(|client| client.producer) else { return };
            if h.add(id, producer, &[partition]).is_none() {
                assert_eq!(h.state(id), Some(TransactionState::Ongoing));
                clients.entry(id).or_default().told = None;
            }
        }
        Op::End { id, is_commit } => {
            let Some(producer) = clients.get(id).and_then(|client| client.producer) else { return };
            if h.end(id, producer, is_commit).is_none() {
                clients.entry(id).or_default().told = Some(is_commit);
            }
        }
        Op::Leaders(answer) => h.leaders = answer,
        Op::Log(answer) => h.log_answers = answer,
        Op::Wait(ms) => {
            h.advance(ms);
            h.deliver();
        }
        Op::TimeOut => h.abort_timed_out(),
        Op::Reload => h.reload(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn transactions_stay_sane(ops in prop::collection::vec(op(), 1..60)) {
        let mut h = Harness::new();
        let mut clients = BTreeMap::new();
        for op in ops {
            apply(&mut h, &mut clients, op);
            check(&h, &clients);
        }
        h.leaders = Some(ErrorCode::None);
        h.log_answers = Ok(());
        h.deliver();
        h.advance(1_000);
        h.deliver();
        for id in clients.keys() {
            if let Some(state) = h.state(id) {
                prop_assert!(!state.is_prepared(), "{id} hangs in {state:?}");
            }
        }
        // What is in memory is what a successor would load.
        let before: Vec<_> = ["a", "b"].map(|id| h.state(id).filter(|state| *state != TransactionState::Empty)).to_vec();
        h.reload();
        let after: Vec<_> = ["a", "b"].map(|id| h.state(id).filter(|state| *state != TransactionState::Empty)).to_vec();
        prop_assert_eq!(before, after);
        prop_assert!(h.replies.is_empty());
    }
}
