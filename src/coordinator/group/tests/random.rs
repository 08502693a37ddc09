//! Random walks: whatever clients do, these hold after every step. Generations only grow; a group that is not empty has
//! one leader among its members; no member without a timer or a waiting request; no request without exactly one answer;
//! and what the log says is what the shard says.

use proptest::prelude::*;

use super::harness::{Harness, commit_command, join_command, replayed, sync_command};
use crate::{
    common::ErrorCode,
    coordinator::group::{GroupConfig, GroupState, command::Reply, timer::Timer},
};

#[derive(Debug, Clone)]
enum Act {
    Join { client: usize, is_static: bool, requires_id: bool, protocol: bool },
    Rejoin { client: usize, protocol: bool },
    Sync { client: usize },
    Heartbeat { client: usize },
    Leave { client: usize },
    Commit { client: usize },
    CommitSimple,
    Advance { ms: i64 },
    Hold,
    Release { failing: bool },
    Expire,
    Reload,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let client = 0usize..5;
    let act = prop_oneof![
        6 => (client.clone(), any::<bool>(), any::<bool>(), any::<bool>())
            .prop_map(|(client, is_static, requires_id, protocol)| Act::Join { client, is_static, requires_id, protocol }),
        8 => (client.clone(), any::<bool>()).prop_map(|(client, protocol)| Act::Rejoin { client, protocol }),
        8 => client.clone().prop_map(|client| Act::Sync { client }),
        4 => client.clone().prop_map(|client| Act::Heartbeat { client }),
        2 => client.clone().prop_map(|client| Act::Leave { client }),
        3 => client.prop_map(|client| Act::Commit { client }),
        1 => Just(Act::CommitSimple),
        6 => prop_oneof![Just(1i64), Just(2_000), Just(9_000), Just(70_000)].prop_map(|ms| Act::Advance { ms }),
        1 => Just(Act::Hold),
        2 => any::<bool>().prop_map(|failing| Act::Release { failing }),
        1 => Just(Act::Expire),
        1 => Just(Act::Reload),
    ];
    proptest::collection::vec(act, 1..120)
}

/// What a client remembers.
#[derive(Debug, Clone, Default)]
struct Client {
    member_id: String,
    generation: i32,
    instance: Option<String>,
}

struct Walk {
    harness: Harness,
    clients: Vec<Client>,
    /// Which client's request a token is.
    asked: Vec<(crate::coordinator::group::command::ReplyTo, usize)>,
    generation: i32,
}

impl Walk {
    fn new() -> Self {
        let config = GroupConfig { max_size: 4, ..GroupConfig::default() };
        Self { harness: Harness::new(config), clients: vec![Client::default(); 5], asked: Vec::new(), generation: 0 }
    }

    fn act(&mut self, act: &Act) {
        match *act {
            Act::Join { client, is_static, requires_id, protocol } => {
                let instance = is_static.then(|| format!("i{}", client % 2));
                self.clients[client] = Client { instance, ..Client::default() };
                self.join(client, requires_id && !is_static, protocol);
            }
            Act::Rejoin { client, protocol } => self.join(client, false, protocol),
            Act::Sync { client } => {
                let c = self.clients[client].clone();
                let mut cmd = sync_command("g", &c.member_id, c.generation, &[(&c.member_id, "share")]);
                cmd.group_instance_id = c.instance.map(Into::into);
                let token = self.harness.sync(cmd);
                self.asked.push((token, client));
            }
            Act::Heartbeat { client } => {
                let c = self.clients[client].clone();
                self.harness.heartbeat("g", &c.member_id, c.instance.as_deref(), c.generation);
            }
            Act::Leave { client } => {
                let c = self.clients[client].clone();
                self.harness.leave("g", vec![(&c.member_id, c.instance.as_deref())]);
            }
            Act::Commit { client } => {
                let c = self.clients[client].clone();
                let offsets = [("t", client as i32, self.harness.now_ms)];
                self.harness.commit(commit_command("g", &c.member_id, c.generation, self.harness.now_ms, &offsets));
            }
            Act::CommitSimple => {
                self.harness.commit(commit_command("g", "", -1, self.harness.now_ms, &[("t", 9, 1)]));
            }
            Act::Advance { ms } => self.harness.advance(ms),
            Act::Hold => self.harness.is_holding = true,
            Act::Release { failing } => {
                self.harness.is_holding = false;
                self.harness.release(if failing { Err(ErrorCode::NotEnoughReplicas) } else { Ok(()) });
            }
            Act::Expire => {
                let step = self.harness.shard.expire_offsets(self.harness.now());
                self.harness.take_step(step);
            }
            Act::Reload => {
                // What is on its way is lost with the old leader.
                self.harness.is_holding = false;
                self.harness.release(Err(ErrorCode::NotLeaderOrFollower));
                self.harness.reload();
                self.generation = 0;
            }
        }
        self.learn();
        self.check();
    }

    fn join(&mut self, client: usize, requires_id: bool, protocol: bool) {
        let c = self.clients[client].clone();
        let mut cmd = join_command("g", &c.member_id);
        cmd.group_instance_id = c.instance.map(Into::into);
        cmd.requires_known_member_id = requires_id;
        cmd.can_skip_assignment = true;
        if protocol {
            cmd.protocols.insert(0, ("sticky".into(), cmd.protocols[0].1.clone()));
        }
        let token = self.harness.join(cmd);
        self.asked.push((token, client));
    }

    /// Clients take in their answers.
    fn learn(&mut self) {
        for (to, reply) in std::mem::take(&mut self.harness.replies) {
            let Some((_, client)) = self.asked.iter().find(|(token, _)| *token == to) else { continue };
            let client = &mut self.clients[*client];
            match reply {
                Reply::Join(join) if join.error.is_none() => {
                    client.member_id = join.member_id.to_string();
                    client.generation = join.generation;
                }
                Reply::Join(join) if join.error == ErrorCode::MemberIdRequired => {
                    client.member_id = join.member_id.to_string();
                }
                _ => {}
            }
        }
    }

    fn check(&mut self) {
        let Some(group) = self.harness.shard.group("g") else {
            self.generation = 0;
            return assert!(self.harness.open.is_empty() || self.harness.is_holding);
        };
        assert!(group.generation >= self.generation, "generation went back");
        self.generation = group.generation;
        let ids: Vec<_> = group.member_ids().cloned().collect();
        match group.leader() {
            Some(leader) => assert!(ids.contains(leader), "leader {leader} is no member"),
            None => assert!(ids.is_empty(), "members without a leader"),
        }
        if group.is(GroupState::Empty) {
            assert!(ids.is_empty());
        }
        assert_eq!(
            group.joined_count(),
            ids.iter().filter(|id| group.member(id).unwrap().join_reply.is_some()).count()
        );
        for id in &ids {
            let member = group.member(id).unwrap();
            let timer = Timer::Session { group: "g".into(), member: id.clone() };
            let waits = member.join_reply.is_some() || member.sync_reply.is_some();
            assert!(waits || self.harness.shard.timers.deadline_of(&timer).is_some(), "{id} would stay forever");
        }
        if group.is(GroupState::PreparingRebalance) {
            let timer = Timer::Join { group: "g".into() };
            assert!(self.harness.shard.timers.deadline_of(&timer).is_some(), "the rebalance would never end");
        }
    }

    /// In the end everything has been answered, and a reload brings back what clients were told.
    fn finish(mut self) {
        self.harness.is_holding = false;
        self.harness.release(Ok(()));
        for _ in 0..10 {
            self.harness.advance(6 * 60_000);
        }
        self.learn();
        assert!(self.harness.open.is_empty(), "never answered: {:?}", self.harness.open);
        let mut reloaded = replayed(&self.harness.config, &self.harness.log, self.harness.now());
        reloaded.finish_loading(self.harness.now());
        let offsets = |shard: &crate::coordinator::group::GroupShard| {
            let mut offsets = shard.fetch_offsets("g", None, false);
            offsets.sort_by(|a, b| a.topic_partition.cmp(&b.topic_partition));
            offsets
        };
        assert_eq!(offsets(&self.harness.shard), offsets(&reloaded));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn groups_stay_sane(acts in acts()) {
        let mut walk = Walk::new();
        for act in &acts {
            walk.act(act);
        }
        walk.finish();
    }
}
