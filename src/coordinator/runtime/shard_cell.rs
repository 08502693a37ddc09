//! One shard with its lock, its waiting requests and its queue of writes.
//!
//! Commands run under the lock, which is never held across an append: writes go into the queue in the order they were
//! decided, and one drain at a time takes them out, merging what has gathered into one batch.

use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Context, Waker},
};

use futures::future::BoxFuture;
use indexmap::IndexMap;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use super::{loader, ports::Ports};
use crate::{
    common::{Clock, ErrorCode, LeaderEpoch, TopicPartition},
    coordinator::machine::{Machine, Now, ReplyTo, StepOf, Write},
    storage::Verification,
};

/// Writes are merged up to this size: far below any `max.message.bytes`, far above a commit.
const MERGED_BYTES_MAX: usize = 64 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    NotOwned,
    Loading,
    Active,
}

pub(super) struct ShardCell<M: Machine> {
    pub tp: TopicPartition,
    pub state: Mutex<ShardState<M>>,
    ports: Arc<dyn Ports>,
    clock: Arc<dyn Clock>,
    /// Tells the timer task that a deadline may have come nearer.
    on_deadline: Box<dyn Fn(i64) + Send + Sync>,
}

/// Something that had to wait until the shard is loaded.
pub(super) type Deferred<M> = Box<dyn FnOnce(&mut M, Now) -> StepOf<M> + Send>;

pub(super) struct ShardState<M: Machine> {
    pub status: Status,
    /// Newest leader epoch heard of, to ignore what comes late.
    pub epoch: Option<LeaderEpoch>,
    /// Counts unloads, so that a write that began before one is not taken for the new shard's.
    pub incarnation: u64,
    pub shard: M,
    /// Only while loading.
    deferred: Vec<Deferred<M>>,
    waiting: IndexMap<ReplyTo, oneshot::Sender<M::Reply>, ahash::RandomState>,
    next_token: u64,
    queue: VecDeque<(u64, Write<M::After>)>,
    is_draining: bool,
    /// Where effects go. Never blocks: it is used under the lock.
    effects: mpsc::UnboundedSender<M::Effect>,
}

impl<M: Machine> ShardCell<M> {
    pub fn new(
        tp: TopicPartition,
        shard: M,
        ports: Arc<dyn Ports>,
        clock: Arc<dyn Clock>,
        on_deadline: Box<dyn Fn(i64) + Send + Sync>,
        effects: mpsc::UnboundedSender<M::Effect>,
    ) -> Arc<Self> {
        let state = Mutex::new(ShardState {
            status: Status::NotOwned,
            epoch: None,
            incarnation: 0,
            shard,
            deferred: Vec::new(),
            waiting: IndexMap::default(),
            next_token: 0,
            queue: VecDeque::new(),
            is_draining: false,
            effects,
        });
        Arc::new(Self { tp, state, ports, clock, on_deadline })
    }

    /// Whether this loading is still asked for.
    pub fn is_loading(&self, incarnation: u64) -> bool {
        let state = self.state.lock();
        state.incarnation == incarnation && state.status == Status::Loading
    }

    pub fn now(&self) -> Now {
        Now { wall_ms: self.clock.now_ms(), monotonic_ms: self.clock.monotonic_ms() }
    }

    /// Runs a command and returns where its answer will arrive.
    pub fn execute(
        self: &Arc<Self>,
        command: impl FnOnce(&mut M, Now, ReplyTo) -> StepOf<M>,
    ) -> Result<oneshot::Receiver<M::Reply>, ErrorCode> {
        let (sender, receiver) = oneshot::channel();
        let now = self.now();
        let must_drain = {
            let mut state = self.state.lock();
            state.check_active()?;
            let token = ReplyTo(state.next_token);
            state.next_token += 1;
            state.waiting.insert(token, sender);
            let step = command(&mut state.shard, now, token);
            state.absorb(step);
            self.settle(&mut state, now)
        };
        self.drain_if(must_drain);
        Ok(receiver)
    }

    /// Runs something that nobody waits for.
    pub fn run(self: &Arc<Self>, command: impl FnOnce(&mut M, Now) -> StepOf<M>) {
        let now = self.now();
        let must_drain = {
            let mut state = self.state.lock();
            if state.status != Status::Active {
                return;
            }
            let step = command(&mut state.shard, now);
            state.absorb(step);
            self.settle(&mut state, now)
        };
        self.drain_if(must_drain);
    }

    /// As [`Self::run`], but a shard that is loading does it when it is loaded.
    pub fn run_or_defer(self: &Arc<Self>, command: impl FnOnce(&mut M, Now) -> StepOf<M> + Send + 'static) {
        {
            let mut state = self.state.lock();
            if state.status == Status::Loading {
                state.deferred.push(Box::new(command));
                return;
            }
        }
        self.run(command);
    }

    /// Looks or acts without a step.
    pub fn with_shard<T>(&self, look: impl FnOnce(&mut M, Now) -> T) -> Result<T, ErrorCode> {
        let now = self.now();
        let mut state = self.state.lock();
        state.check_active()?;
        Ok(look(&mut state.shard, now))
    }

    /// Handles what is due already (a rebalance delay of 0, say), tells the timer task of the next deadline. True if
    /// the caller is to drain the queue.
    pub fn settle(&self, state: &mut ShardState<M>, now: Now) -> bool {
        while state.shard.next_deadline().is_some_and(|deadline| deadline <= now.monotonic_ms) {
            let step = state.shard.on_timer(now);
            state.absorb(step);
        }
        if let Some(deadline) = state.shard.next_deadline() {
            (self.on_deadline)(deadline);
        }
        let must_drain = !state.queue.is_empty() && !state.is_draining;
        state.is_draining |= must_drain;
        must_drain
    }

    /// Drains inline as far as the appends complete at once, which they do on a single broker; the rest goes into a
    /// task of its own, because the caller's may be dropped with its connection.
    pub fn drain_if(self: &Arc<Self>, must_drain: bool) {
        if !must_drain {
            return;
        }
        let mut drain: BoxFuture<'static, ()> = Box::pin(Arc::clone(self).drain());
        if drain.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
            tokio::spawn(drain);
        }
    }

    async fn drain(self: Arc<Self>) {
        loop {
            let (incarnation, writes) = {
                let mut state = self.state.lock();
                match state.take_writes() {
                    Some(taken) => taken,
                    None => {
                        state.is_draining = false;
                        return;
                    }
                }
            };
            let transaction = writes.first().and_then(|write| write.transaction);
            let verification = transaction.map_or(Verification::NotRequired, |producer| producer.verification);
            let now = self.now();
            let records = writes.iter().flat_map(|write| &write.records);
            let encoded = loader::encode(records, now.wall_ms, transaction);
            let outcome = self.ports.append(&self.tp, encoded, verification).await;
            let now = self.now();
            let mut state = self.state.lock();
            for write in writes {
                let step = if state.incarnation == incarnation {
                    state.shard.written(now, write.after, outcome)
                } else {
                    M::abandoned(write.after)
                };
                state.absorb(step);
            }
            self.settle(&mut state, now);
        }
    }
}

impl<M: Machine> ShardState<M> {
    fn check_active(&self) -> Result<(), ErrorCode> {
        match self.status {
            Status::Active => Ok(()),
            Status::Loading => Err(ErrorCode::CoordinatorLoadInProgress),
            Status::NotOwned => Err(ErrorCode::NotCoordinator),
        }
    }

    /// Sends the replies and queues the writes of a step.
    pub fn absorb(&mut self, step: StepOf<M>) {
        for (to, reply) in step.replies {
            if let Some(sender) = self.waiting.swap_remove(&to) {
                // Whoever asked may have hung up.
                let _ = sender.send(reply);
            }
        }
        for effect in step.effects {
            // Nobody listens only when the broker stops.
            let _ = self.effects.send(effect);
        }
        let incarnation = self.incarnation;
        self.queue.extend(step.writes.into_iter().map(|write| (incarnation, write)));
    }

    /// The next writes that fit one batch: of one incarnation, none transactional unless alone.
    fn take_writes(&mut self) -> Option<(u64, Vec<Write<M::After>>)> {
        let (incarnation, first) = self.queue.pop_front()?;
        let size = |write: &Write<M::After>| write.records.iter().map(|record| record.size_bytes()).sum::<usize>();
        let mut bytes = size(&first);
        let mergeable = first.transaction.is_none();
        let mut writes = vec![first];
        while mergeable
            && let Some((of, next)) = self.queue.front()
            && *of == incarnation
            && next.transaction.is_none()
            && bytes + size(next) <= MERGED_BYTES_MAX
        {
            bytes += size(next);
            writes.extend(self.queue.pop_front().map(|(_, write)| write));
        }
        Some((incarnation, writes))
    }

    /// Does what came while the shard was loading.
    pub fn run_deferred(&mut self, now: Now) {
        for command in std::mem::take(&mut self.deferred) {
            let step = command(&mut self.shard, now);
            self.absorb(step);
        }
    }

    /// Leadership is lost or the shard is to be loaded anew: everybody who waits is answered.
    pub fn unload(&mut self) {
        let step = self.shard.unload();
        self.absorb(step);
        self.incarnation += 1;
        self.deferred.clear();
        for (_, write) in std::mem::take(&mut self.queue) {
            self.absorb(M::abandoned(write.after));
        }
    }
}
