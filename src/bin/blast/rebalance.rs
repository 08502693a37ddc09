//! Members of one group, from one thread: all of them join, then one after the other leaves and comes again, as in a
//! rolling restart, and all the others must join and sync anew. Cooperative assignors do it twice: what the first
//! rebalance takes from some members the second gives to others (KIP-429).

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{GroupId, HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest, SyncGroupRequest};
use kafka_protocol::protocol::StrBytes;

use super::call::{Call, frame};
use super::{RebalanceArgs, cpu_seconds_of, histogram, micros, own_cpu_seconds, quantiles};

const JOIN_VERSION: i16 = 9;
const SYNC_VERSION: i16 = 5;
const HEARTBEAT_VERSION: i16 = 4;
const LEAVE_VERSION: i16 = 5;
const MEMBER_ID_REQUIRED: i16 = 79;
const REBALANCE_IN_PROGRESS: i16 = 27;
const COOPERATIVE: &str = "cooperative-sticky";
const TIMEOUT_MS: i32 = 60_000;

struct Member {
    call: Call,
    id: StrBytes,
    generation: i32,
}

struct Group<'a> {
    args: &'a RebalanceArgs,
    name: GroupId,
    members: Vec<Member>,
    leader: usize,
    heartbeats: u64,
}

pub fn all(args: &RebalanceArgs) -> Result<serde_json::Value> {
    let name = GroupId(StrBytes::from_string(args.target.topic.clone()));
    let mut members = Vec::with_capacity(args.members);
    for _ in 0..args.members {
        let call = Call::new(&args.target.bootstrap)?;
        members.push(Member { call, id: StrBytes::default(), generation: -1 });
    }
    let Some(first) = members.first_mut() else { bail!("a group without members") };
    first.call.find_coordinator(&args.target.topic, 0)?;
    let mut group = Group { args, name, members, leader: 0, heartbeats: 0 };
    let start = Instant::now();
    let everyone: Vec<usize> = (0..args.members).collect();
    group.introduce(&everyone)?;
    group.join(&everyone)?;
    group.sync()?;
    let first_join = start.elapsed();
    let broker_cpu = || args.pid.map(cpu_seconds_of).transpose();
    let cpu_before = broker_cpu()?;
    let mut stable = histogram()?;
    for round in 0..args.rounds {
        let began = Instant::now();
        let restarted = (round + 1) % args.members;
        group.restart(restarted)?;
        if args.assignor == COOPERATIVE {
            group.follow_up()?;
        }
        stable.saturating_record(micros(began, Instant::now()));
        group.expect_stable()?;
        std::thread::sleep(Duration::from_millis(args.pause_ms));
    }
    let seconds = start.elapsed().as_secs_f64();
    let cpu_of_rounds = broker_cpu()?.zip(cpu_before).map(|(after, before)| after - before);
    for at in 0..args.members {
        group.leave(at)?;
    }
    Ok(serde_json::json!({
        "mode": "rebalance",
        "rounds": args.rounds,
        "first_join_ms": first_join.as_secs_f64() * 1000.0,
        "stable": quantiles(&stable),
        "heartbeats": group.heartbeats,
        "seconds": seconds,
        "broker_cpu_s": cpu_of_rounds,
        "client_cpu_s": own_cpu_seconds(),
    }))
}

impl Group<'_> {
    /// Gets member ids for those that have none (KIP-394).
    fn introduce(&mut self, who: &[usize]) -> Result<()> {
        for at in who {
            self.members[*at].id = StrBytes::default();
            self.send_join(*at, 0)?;
        }
        for at in who {
            let answer = self.members[*at].call.receive::<JoinGroupRequest>(JOIN_VERSION)?;
            if answer.error_code != MEMBER_ID_REQUIRED {
                bail!("JoinGroup without an id is answered {}", answer.error_code);
            }
            self.members[*at].id = answer.member_id;
        }
        Ok(())
    }

    /// All of `who` join; answered when the whole group has.
    fn join(&mut self, who: &[usize]) -> Result<()> {
        for at in who {
            self.send_join(*at, self.args.owned)?;
        }
        self.joined(who)
    }

    fn joined(&mut self, who: &[usize]) -> Result<()> {
        for at in who {
            let answer = self.members[*at].call.receive::<JoinGroupRequest>(JOIN_VERSION)?;
            if answer.error_code != 0 {
                bail!("JoinGroup is answered {}", answer.error_code);
            }
            self.members[*at].generation = answer.generation_id;
            if answer.leader == answer.member_id {
                self.leader = *at;
                if answer.members.len() != self.args.members {
                    bail!("{} members joined", answer.members.len());
                }
            }
        }
        Ok(())
    }

    /// All members sync, the leader with everybody's assignment.
    fn sync(&mut self) -> Result<()> {
        let assignments: Vec<_> =
            self.members.iter().enumerate().map(|(at, member)| self.assignment(at, member)).collect();
        for at in 0..self.members.len() {
            let request = SyncGroupRequest::default()
                .with_group_id(self.name.clone())
                .with_generation_id(self.members[at].generation)
                .with_member_id(self.members[at].id.clone())
                .with_protocol_type(Some(StrBytes::from_static_str("consumer")))
                .with_protocol_name(Some(StrBytes::from_string(self.args.assignor.clone())))
                .with_assignments(if at == self.leader { assignments.clone() } else { Vec::new() });
            let bytes = frame(&request, SYNC_VERSION)?;
            self.members[at].call.send(&bytes)?;
        }
        for member in &mut self.members {
            let answer = member.call.receive::<SyncGroupRequest>(SYNC_VERSION)?;
            if answer.error_code != 0 || answer.assignment.is_empty() {
                bail!("SyncGroup is answered {}", answer.error_code);
            }
        }
        Ok(())
    }

    /// One member leaves and comes again; the others hear of it in a heartbeat.
    fn restart(&mut self, at: usize) -> Result<()> {
        self.leave(at)?;
        let others: Vec<usize> = (0..self.members.len()).filter(|other| *other != at).collect();
        self.heartbeat(&others, REBALANCE_IN_PROGRESS)?;
        self.introduce(&[at])?;
        let everyone: Vec<usize> = (0..self.members.len()).collect();
        self.join(&everyone)?;
        self.sync()
    }

    /// The second rebalance of a cooperative assignor: a member that gave up partitions joins anew, and all follow.
    fn follow_up(&mut self) -> Result<()> {
        let first = (self.leader + 1) % self.members.len();
        self.send_join(first, self.args.owned.saturating_sub(1))?;
        let others: Vec<usize> = (0..self.members.len()).filter(|other| *other != first).collect();
        // Heartbeats go on other connections than the join: until the broker has taken it they find a stable group.
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.heartbeat_of(others[0])? != REBALANCE_IN_PROGRESS {
            if Instant::now() > deadline {
                bail!("a join with other metadata brings no rebalance");
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        self.heartbeat(&others[1..], REBALANCE_IN_PROGRESS)?;
        for at in &others {
            self.send_join(*at, self.args.owned)?;
        }
        self.joined(&others)?;
        self.joined(&[first])?;
        self.sync()
    }

    fn expect_stable(&mut self) -> Result<()> {
        let everyone: Vec<usize> = (0..self.members.len()).collect();
        self.heartbeat(&everyone, 0)
    }

    fn heartbeat(&mut self, who: &[usize], expected: i16) -> Result<()> {
        for at in who {
            self.send_heartbeat(*at)?;
        }
        for at in who {
            let error = self.members[*at].call.receive::<HeartbeatRequest>(HEARTBEAT_VERSION)?.error_code;
            if error != expected {
                bail!("Heartbeat is answered {error}, not {expected}");
            }
        }
        Ok(())
    }

    fn heartbeat_of(&mut self, at: usize) -> Result<i16> {
        self.send_heartbeat(at)?;
        Ok(self.members[at].call.receive::<HeartbeatRequest>(HEARTBEAT_VERSION)?.error_code)
    }

    fn send_heartbeat(&mut self, at: usize) -> Result<()> {
        self.heartbeats += 1;
        let request = HeartbeatRequest::default()
            .with_group_id(self.name.clone())
            .with_generation_id(self.members[at].generation)
            .with_member_id(self.members[at].id.clone());
        self.members[at].call.send(&frame(&request, HEARTBEAT_VERSION)?)
    }

    fn leave(&mut self, at: usize) -> Result<()> {
        let member = MemberIdentity::default().with_member_id(self.members[at].id.clone());
        let request = LeaveGroupRequest::default().with_group_id(self.name.clone()).with_members(vec![member]);
        let answer = self.members[at].call.ask(&request, LEAVE_VERSION)?;
        if answer.error_code != 0 || answer.members.iter().any(|member| member.error_code != 0) {
            bail!("LeaveGroup is answered {answer:?}");
        }
        Ok(())
    }

    fn send_join(&mut self, at: usize, owned: i32) -> Result<()> {
        let protocol = JoinGroupRequestProtocol::default()
            .with_name(StrBytes::from_string(self.args.assignor.clone()))
            .with_metadata(self.subscription(owned));
        let request = JoinGroupRequest::default()
            .with_group_id(self.name.clone())
            .with_session_timeout_ms(TIMEOUT_MS)
            .with_rebalance_timeout_ms(TIMEOUT_MS)
            .with_member_id(self.members[at].id.clone())
            .with_protocol_type(StrBytes::from_static_str("consumer"))
            .with_protocols(vec![protocol]);
        self.members[at].call.send(&frame(&request, JOIN_VERSION)?)
    }

    /// ConsumerProtocolSubscription v2 for one topic: a cooperative member says what it owns and since when.
    fn subscription(&self, owned: i32) -> Bytes {
        let owned = if self.args.assignor == COOPERATIVE { owned } else { 0 };
        let mut out = BytesMut::new();
        out.put_i16(2);
        out.put_i32(1);
        put_string(&mut out, &self.args.target.topic);
        out.put_i32(-1);
        put_partitions(&mut out, &self.args.target.topic, 0..owned);
        out.put_i32(-1);
        out.freeze()
    }

    /// ConsumerProtocolAssignment v0.
    fn assignment(&self, at: usize, member: &Member) -> SyncGroupRequestAssignment {
        let first = i32::try_from(at).unwrap_or(0) * self.args.owned;
        let mut out = BytesMut::new();
        out.put_i16(0);
        put_partitions(&mut out, &self.args.target.topic, first..first + self.args.owned);
        out.put_i32(-1);
        SyncGroupRequestAssignment::default().with_member_id(member.id.clone()).with_assignment(out.freeze())
    }
}

fn put_string(out: &mut BytesMut, text: &str) {
    out.put_i16(i16::try_from(text.len()).unwrap_or(i16::MAX));
    out.put_slice(text.as_bytes());
}

/// Partitions of one topic, or none.
fn put_partitions(out: &mut BytesMut, topic: &str, partitions: std::ops::Range<i32>) {
    if partitions.is_empty() {
        return out.put_i32(0);
    }
    out.put_i32(1);
    put_string(out, topic);
    out.put_i32(partitions.end - partitions.start);
    for partition in partitions {
        out.put_i32(partition);
    }
}
