//! Many members, many groups: the cost per request stays flat.

use super::harness::{Harness, commit_command, join_command, sync_command};
use crate::{
    common::ErrorCode,
    coordinator::group::{
        GroupConfig, GroupState,
        command::{JoinGroup, Reply},
    },
};

/// 500 members join, sync, heartbeat and leave one by one. Quadratic steps would make this take minutes, not moments.
#[test]
fn five_hundred_members() {
    let mut harness = Harness::new(GroupConfig::default());
    for _ in 0..500 {
        harness.join(join_command("g", ""));
    }
    harness.advance(6_000);
    let joined: Vec<_> = std::mem::take(&mut harness.replies)
        .into_iter()
        .map(|(_, reply)| match reply {
            Reply::Join(join) => join,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(joined.len(), 500);
    // Only the leader is told of the others.
    assert_eq!(joined.iter().map(|join| join.members.len()).collect::<Vec<_>>().iter().sum::<usize>(), 500);
    for join in &joined {
        harness.sync(sync_command("g", &join.member_id, 1, &[]));
    }
    assert_eq!(harness.shard.group("g").unwrap().state(), GroupState::Stable);
    for join in &joined {
        assert!(harness.heartbeat("g", &join.member_id, None, 1).is_none());
    }
    for join in &joined {
        harness.leave("g", vec![(&join.member_id, None)]);
    }
    assert_eq!(harness.shard.group("g").unwrap().state(), GroupState::Empty);
}

#[test]
fn two_thousand_groups() {
    let mut harness = Harness::new(GroupConfig { initial_rebalance_delay_ms: 0, ..GroupConfig::default() });
    for index in 0..2_000 {
        let group = format!("g{index}");
        harness.join(join_command(&group, ""));
        harness.advance(0);
        let Some((_, Reply::Join(join))) = harness.replies.pop() else { panic!("not joined") };
        harness.sync(sync_command(&group, &join.member_id, 1, &[(&join.member_id, "x")]));
        harness.commit(commit_command(&group, &join.member_id, 1, harness.now_ms, &[("t", 0, 1)]));
        harness.replies.clear();
    }
    assert_eq!(harness.shard.groups().count(), 2_000);
    harness.reload();
    assert_eq!(harness.shard.groups().filter(|group| group.is(GroupState::Stable)).count(), 2_000);
    // Nobody heartbeats after the restart: all sessions end.
    harness.advance(10_000);
    assert!(harness.shard.groups().all(|group| group.is(GroupState::Empty)));
}

/// What an id would be made of, a client's name or an instance id, may leave no room for the rest of it.
#[test]
fn a_member_id_that_no_answer_could_hold_is_refused() {
    let mut harness = Harness::new(GroupConfig { initial_rebalance_delay_ms: 0, ..GroupConfig::default() });
    // 37 are a hyphen's and a UUID's.
    for (length, error) in [(32_767 - 37, ErrorCode::None), (32_767 - 36, ErrorCode::UnknownServerError)] {
        let name = "n".repeat(length);
        let by_client = JoinGroup { client_id: &name, ..join_command("by client", "") };
        let by_instance =
            JoinGroup { group_instance_id: Some(name.as_str().into()), ..join_command("by instance", "") };
        for command in [by_client, by_instance] {
            harness.join(command);
            harness.advance(0);
            let (_, reply) = harness.replies.pop().unwrap();
            let Reply::Join(joined) = reply else { panic!("{reply:?}") };
            assert_eq!((joined.error, joined.member_id.is_empty()), (error, !error.is_none()));
            harness.leave("by client", vec![(&joined.member_id, None)]);
            harness.leave("by instance", vec![(&joined.member_id, None)]);
            harness.replies.clear();
        }
    }
}
