//! Drives a shard as the runtime would, with the log as a list and time as a number.

use std::{
    collections::VecDeque,
    sync::{Arc, LazyLock},
};

use bytes::Bytes;
use indexmap::IndexMap;
use uuid::Uuid;

use crate::{
    common::{ErrorCode, Offset, TopicPartition},
    coordinator::group::{
        GroupConfig, GroupShard,
        command::{
            After, CommitOffsets, Heartbeat, JoinGroup, LeaveGroup, LeavingMember, Now, Reply, ReplyTo, Step,
            SyncGroup, TransactionalProducer, Write,
        },
        records::{CoordinatorRecord, OffsetAndMetadata},
        replay::BatchFacts,
    },
};

/// What the log holds.
#[derive(Debug, Clone)]
pub enum Logged {
    Batch { base_offset: Offset, records: Vec<CoordinatorRecord>, producer: Option<i64> },
    Marker { producer: i64, committed: bool },
}

pub struct Harness {
    pub config: Arc<GroupConfig>,
    pub shard: GroupShard,
    pub now_ms: i64,
    pub log: Vec<Logged>,
    next_offset: Offset,
    next_token: u64,
    next_uuid: u128,
    /// Writes wait here while `is_holding`.
    held: VecDeque<(Vec<CoordinatorRecord>, Option<TransactionalProducer>, After)>,
    pub is_holding: bool,
    is_releasing: bool,
    /// Tokens given out and not answered yet.
    pub open: Vec<ReplyTo>,
    pub replies: Vec<(ReplyTo, Reply)>,
}

impl Harness {
    pub fn new(config: GroupConfig) -> Self {
        let config = Arc::new(config);
        Self {
            shard: GroupShard::new(Arc::clone(&config)),
            config,
            now_ms: 1_000_000,
            log: Vec::new(),
            next_offset: 0,
            next_token: 0,
            next_uuid: 0,
            held: VecDeque::new(),
            is_holding: false,
            is_releasing: false,
            open: Vec::new(),
            replies: Vec::new(),
        }
    }

    pub fn now(&self) -> Now {
        Now { wall_ms: self.now_ms, monotonic_ms: self.now_ms }
    }

    pub fn token(&mut self) -> ReplyTo {
        self.next_token += 1;
        let token = ReplyTo(self.next_token);
        self.open.push(token);
        token
    }

    pub fn take_step(&mut self, step: Step) {
        for (to, reply) in step.replies {
            let at = self.open.iter().position(|open| *open == to);
            self.open.remove(at.unwrap_or_else(|| panic!("{to:?} answered twice or never asked: {reply:?}")));
            self.replies.push((to, reply));
        }
        for Write { records, transaction, after } in step.writes {
            assert!(!records.is_empty(), "an empty write");
            self.held.push_back((records, transaction, after));
        }
        if !self.is_holding && !self.is_releasing {
            self.release(Ok(()));
        }
    }

    /// Ends the held writes, one by one.
    pub fn release(&mut self, outcome: Result<(), ErrorCode>) {
        self.is_releasing = true;
        while let Some((records, transaction, after)) = self.held.pop_front() {
            let base_offset = self.next_offset;
            if outcome.is_ok() {
                self.next_offset += records.len() as i64;
                self.log.push(Logged::Batch { base_offset, records, producer: transaction.map(|p| p.id) });
            }
            let step = self.shard.written(self.now(), after, outcome.map(|()| base_offset));
            self.take_step(step);
        }
        self.is_releasing = false;
        self.settle();
    }

    fn settle(&mut self) {
        while self.shard.next_deadline().is_some_and(|at| at <= self.now_ms) {
            let step = self.shard.on_timer(self.now());
            self.take_step(step);
        }
    }

    /// Lets time pass, timers firing when they are due.
    pub fn advance(&mut self, by_ms: i64) {
        let until = self.now_ms + by_ms;
        while let Some(at) = self.shard.next_deadline().filter(|at| *at <= until) {
            self.now_ms = self.now_ms.max(at);
            self.settle();
        }
        self.now_ms = until;
    }

    pub fn join(&mut self, mut cmd: JoinGroup<'_>) -> ReplyTo {
        self.next_uuid += 1;
        cmd.fresh_id = Uuid::from_u128(self.next_uuid);
        let token = self.token();
        let step = self.shard.join(self.now(), cmd, token);
        self.take_step(step);
        self.settle();
        token
    }

    pub fn sync(&mut self, cmd: SyncGroup<'_>) -> ReplyTo {
        let token = self.token();
        let step = self.shard.sync(self.now(), cmd, token);
        self.take_step(step);
        token
    }

    pub fn heartbeat(&mut self, group: &str, member: &str, instance: Option<&str>, generation: i32) -> ErrorCode {
        let cmd = Heartbeat { group_id: group, generation, member_id: member, group_instance_id: instance };
        self.shard.heartbeat(self.now(), cmd)
    }

    pub fn leave(&mut self, group: &str, members: Vec<(&str, Option<&str>)>) -> ReplyTo {
        let leaving = |(member, instance): (&str, Option<&str>)| LeavingMember {
            member_id: member.into(),
            group_instance_id: instance.map(Arc::from),
            reason: None,
        };
        let cmd = LeaveGroup { group_id: group.into(), members: members.into_iter().map(leaving).collect() };
        let token = self.token();
        let step = self.shard.leave(self.now(), cmd, token);
        self.take_step(step);
        token
    }

    pub fn commit(&mut self, cmd: CommitOffsets) -> ReplyTo {
        let token = self.token();
        let step = self.shard.commit(self.now(), cmd, token);
        self.take_step(step);
        token
    }

    pub fn mark_transaction(&mut self, producer: i64, committed: bool) {
        self.log.push(Logged::Marker { producer, committed });
        self.next_offset += 1;
        self.shard.complete_transaction(producer, committed);
    }

    /// The broker restarts: all that is left is the log.
    pub fn reload(&mut self) {
        let step = self.shard.unload();
        self.take_step(step);
        self.shard = replayed(&self.config, &self.log, self.now());
        let step = self.shard.finish_loading(self.now());
        self.take_step(step);
    }
}

pub fn replayed(config: &Arc<GroupConfig>, log: &[Logged], now: Now) -> GroupShard {
    let mut shard = GroupShard::new(Arc::clone(config));
    for entry in log {
        match entry {
            Logged::Batch { base_offset, records, producer } => {
                let batch = BatchFacts { first_offset: *base_offset, producer: *producer };
                for record in records {
                    shard.replay(now, &record.key, record.value.as_deref(), batch);
                }
            }
            Logged::Marker { producer, committed } => shard.replay_marker(*producer, *committed),
        }
    }
    shard
}

/// A consumer protocol subscription to these topics.
pub fn subscription(topics: &[&str]) -> Bytes {
    let mut bytes = vec![0, 1];
    bytes.extend((topics.len() as i32).to_be_bytes());
    for topic in topics {
        bytes.extend((topic.len() as i16).to_be_bytes());
        bytes.extend(topic.as_bytes());
    }
    bytes.extend((-1i32).to_be_bytes());
    bytes.extend(0i32.to_be_bytes());
    bytes.into()
}

static LOCALHOST: LazyLock<Arc<str>> = LazyLock::new(|| "/127.0.0.1".into());

pub fn join_command<'a>(group: &'a str, member: &str) -> JoinGroup<'a> {
    JoinGroup {
        group_id: group,
        member_id: member.into(),
        group_instance_id: None,
        requires_known_member_id: false,
        can_skip_assignment: false,
        client_id: "c",
        client_host: &LOCALHOST,
        rebalance_timeout_ms: 60_000,
        session_timeout_ms: 10_000,
        protocol_type: "consumer",
        protocols: vec![("range".into(), subscription(&["t"]))],
        reason: None,
        fresh_id: Uuid::nil(),
    }
}

pub fn sync_command<'a>(group: &'a str, member: &str, generation: i32, assignment: &[(&str, &str)]) -> SyncGroup<'a> {
    let share = |(member, share): &(&str, &str)| (Arc::from(*member), Bytes::copy_from_slice(share.as_bytes()));
    SyncGroup {
        group_id: group,
        generation,
        member_id: member.into(),
        group_instance_id: None,
        protocol_type: None,
        protocol_name: None,
        assignment: assignment.iter().map(share).collect(),
    }
}

pub fn commit_command(
    group: &str,
    member: &str,
    generation: i32,
    now_ms: i64,
    offsets: &[(&str, i32, i64)],
) -> CommitOffsets {
    let value = |offset| OffsetAndMetadata {
        offset,
        leader_epoch: -1,
        metadata: "".into(),
        commit_timestamp: now_ms,
        expire_timestamp: None,
    };
    let offsets: IndexMap<_, _> =
        offsets.iter().map(|(topic, index, offset)| (TopicPartition::new(*topic, *index), value(*offset))).collect();
    CommitOffsets {
        group_id: group.into(),
        member_id: member.into(),
        group_instance_id: None,
        generation,
        offsets,
        transaction: None,
    }
}
