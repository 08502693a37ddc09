//! Drives a shard as the runtime would, with the log as a list, the leaders as a switch and time as a number.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;

use crate::{
    common::{ErrorCode, TopicPartition},
    coordinator::{
        machine::{BatchFacts, Machine, Now, ReplyTo},
        transaction::{
            InitProducerId, TransactionConfig, TransactionShard, TransactionState,
            command::{After, Reply, SendMarkers, Step},
        },
    },
};

pub struct Harness {
    pub shard: TransactionShard,
    pub now_ms: i64,
    pub log: Vec<(Bytes, Option<Bytes>)>,
    /// What the leaders answer to markers; `None`: nothing, the markers stay on their way.
    pub leaders: Option<ErrorCode>,
    /// What the log answers.
    pub log_answers: Result<(), ErrorCode>,
    pub sent: VecDeque<SendMarkers>,
    pub replies: Vec<(ReplyTo, Reply)>,
    next_token: u64,
    next_id: i64,
    is_delivering: bool,
}

impl Harness {
    pub fn new() -> Self {
        Self {
            shard: TransactionShard::new(Arc::default()),
            now_ms: 1_000_000,
            log: Vec::new(),
            leaders: Some(ErrorCode::None),
            log_answers: Ok(()),
            sent: VecDeque::new(),
            replies: Vec::new(),
            next_token: 0,
            next_id: 1_000,
            is_delivering: false,
        }
    }

    pub fn now(&self) -> Now {
        Now { wall_ms: self.now_ms, monotonic_ms: self.now_ms }
    }

    fn token(&mut self) -> ReplyTo {
        self.next_token += 1;
        ReplyTo(self.next_token)
    }

    /// Carries out a step and all that follows from it.
    pub fn take(&mut self, step: Step) {
        self.replies.extend(step.replies);
        self.sent.extend(step.effects);
        for write in step.writes {
            if self.log_answers.is_ok() {
                self.log.extend(write.records.into_iter().map(|record| (record.key, record.value)));
            }
            self.written(write.after);
        }
        self.deliver();
    }

    fn written(&mut self, after: After) {
        let step = self.shard.written(self.now(), after, self.log_answers.map(|()| 0));
        self.take(step);
    }

    /// Takes markers to their leaders, once each.
    pub fn deliver(&mut self) {
        let Some(answer) = self.leaders.filter(|_| !self.is_delivering) else { return };
        self.is_delivering = true;
        for _ in 0..self.sent.len() {
            let Some(sent) = self.sent.pop_front() else { break };
            let answers = sent.partitions.iter().map(|tp| (tp.clone(), answer)).collect();
            let step = self.shard.markers_written(&sent.transactional_id, sent.coordinator_epoch, answers);
            self.take(step);
        }
        self.is_delivering = false;
    }

    fn asked(&mut self, to: ReplyTo, step: Step) -> Reply {
        self.take(step);
        let at = self.replies.iter().position(|(token, _)| *token == to).expect("an answer");
        self.replies.remove(at).1
    }

    pub fn init(&mut self, id: &str, expected: Option<(i64, i16)>) -> Result<(i64, i16), ErrorCode> {
        let cmd = InitProducerId { transactional_id: id.into(), timeout_ms: 5_000, expected };
        let mut fresh = None;
        loop {
            let to = self.token();
            let step = self.shard.init(self.now(), &cmd, fresh, to);
            match self.asked(to, step) {
                Reply::Initialized { producer_id, producer_epoch } => return Ok((producer_id, producer_epoch)),
                Reply::Code(error) => return Err(error),
                Reply::NeedsProducerId => {
                    assert_eq!(fresh, None, "asked twice");
                    self.next_id += 1;
                    fresh = Some(self.next_id);
                }
            }
        }
    }

    pub fn add(&mut self, id: &str, producer: (i64, i16), partitions: &[i32]) -> ErrorCode {
        let to = self.token();
        let partitions = partitions.iter().map(|index| TopicPartition::new("t", *index)).collect();
        let step = self.shard.add_partitions(self.now(), &id.into(), producer, partitions, to);
        code(self.asked(to, step))
    }

    pub fn end(&mut self, id: &str, producer: (i64, i16), is_commit: bool) -> ErrorCode {
        let to = self.token();
        let step = self.shard.end(self.now(), &id.into(), producer, is_commit, to);
        code(self.asked(to, step))
    }

    pub fn state(&self, id: &str) -> Option<TransactionState> {
        self.shard.transaction(id).map(|txn| txn.state)
    }

    /// Another broker, or this one after a restart, loads what is in the log.
    pub fn reload(&mut self) {
        let config: Arc<TransactionConfig> = Arc::clone(&self.shard.config);
        let epoch = self.shard.coordinator_epoch() + 1;
        self.sent.clear();
        self.shard = TransactionShard::new(config);
        for (key, value) in &self.log {
            let now = Now { wall_ms: self.now_ms, monotonic_ms: self.now_ms };
            self.shard.replay(now, key, value.as_deref(), BatchFacts { first_offset: 0, producer: None });
        }
        let step = self.shard.finish_loading(self.now(), epoch);
        self.take(step);
    }

    pub fn abort_timed_out(&mut self) {
        let step = self.shard.abort_timed_out(self.now());
        self.take(step);
    }

    pub fn expire(&mut self) {
        let step = self.shard.expire_ids(self.now());
        self.take(step);
    }

    pub fn advance(&mut self, by_ms: i64) {
        self.now_ms += by_ms;
        while self.shard.next_deadline().is_some_and(|at| at <= self.now_ms) {
            let step = self.shard.on_timer(self.now());
            self.take(step);
            if self.log_answers.is_err() {
                return;
            }
        }
    }
}

fn code(reply: Reply) -> ErrorCode {
    match reply {
        Reply::Code(code) => code,
        other => panic!("{other:?} is no code"),
    }
}
