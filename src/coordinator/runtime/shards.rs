//! All shards of one coordinator: one per partition of its topic. Elections and loading, and the one task that waits for
//! the next deadline of any of them.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

use super::{
    loader,
    ports::Ports,
    shard_cell::{ShardCell, Status},
};
use crate::{
    common::{Clock, ErrorCode, LeaderEpoch, TopicPartition, chance, hash},
    coordinator::machine::Machine,
};

/// Makes an empty machine, for loading into.
pub(super) type NewMachine<M> = Box<dyn Fn() -> M + Send + Sync>;

/// How often a log that is to be loaded is asked whether it is committed.
const COMMITTED_YET: Duration = Duration::from_millis(20);

/// Work to be repeated, with its period in milliseconds.
pub(super) type Recurring = (i64, Box<dyn Fn() + Send + Sync>);

pub(super) struct Shards<M: Machine> {
    cells: Vec<Arc<ShardCell<M>>>,
    new_machine: NewMachine<M>,
    ports: Arc<dyn Ports>,
    clock: Arc<dyn Clock>,
    load_buffer_bytes: usize,
    loads_committed: bool,
    is_active: AtomicBool,
    wake: Arc<Wake>,
    loads: Mutex<Loads>,
}

/// Between commands and the timer task: until when it sleeps, and how to wake it earlier.
struct Wake {
    until_ms: AtomicI64,
    notify: Notify,
}

impl Wake {
    fn by(&self, deadline_ms: i64) {
        if deadline_ms < self.until_ms.fetch_min(deadline_ms, Ordering::AcqRel) {
            self.notify.notify_one();
        }
    }
}

/// Partitions are loaded one after the other, as in Kafka: loading all at once would take a buffer for each.
#[derive(Default)]
struct Loads {
    queue: VecDeque<(usize, u64)>,
    is_running: bool,
}

/// What a coordinator's shards are made of.
pub(super) struct Plan<M: Machine> {
    pub topic: &'static str,
    /// How many partitions the topic has, or will have when it is created.
    pub partitions: i32,
    pub new_machine: NewMachine<M>,
    pub load_buffer_bytes: i32,
    /// Waits with loading until the log is committed to its end: a transition that the coordinator before was still
    /// waiting for would be taken for done by this one, which would say so, and may yet be lost.
    pub loads_committed: bool,
    pub ports: Arc<dyn Ports>,
    pub clock: Arc<dyn Clock>,
    pub effects: mpsc::UnboundedSender<M::Effect>,
}

impl<M: Machine> Shards<M> {
    pub fn new(plan: Plan<M>) -> Self {
        let wake = Arc::new(Wake { until_ms: AtomicI64::new(i64::MAX), notify: Notify::new() });
        let topic: Arc<str> = Arc::from(plan.topic);
        let cell = |partition: i32| {
            let wake = Arc::clone(&wake);
            ShardCell::new(
                TopicPartition::new(Arc::clone(&topic), partition),
                (plan.new_machine)(),
                Arc::clone(&plan.ports),
                Arc::clone(&plan.clock),
                Box::new(move |deadline_ms| wake.by(deadline_ms)),
                plan.effects.clone(),
            )
        };
        Self {
            cells: (0..plan.partitions.max(1)).map(cell).collect(),
            new_machine: plan.new_machine,
            ports: plan.ports,
            clock: plan.clock,
            load_buffer_bytes: usize::try_from(plan.load_buffer_bytes).unwrap_or(1).max(1),
            loads_committed: plan.loads_committed,
            is_active: AtomicBool::new(true),
            wake,
            loads: Mutex::default(),
        }
    }

    /// The partition of the topic that a key lives in.
    pub fn partition_for(&self, key: &str) -> i32 {
        hash::partition_for(key, i32::try_from(self.cells.len()).unwrap_or(i32::MAX))
    }

    pub fn of_key(&self, key: &str) -> Result<&Arc<ShardCell<M>>, ErrorCode> {
        self.get(self.partition_for(key)).ok_or(ErrorCode::NotCoordinator)
    }

    pub fn get(&self, partition: i32) -> Option<&Arc<ShardCell<M>>> {
        self.cells.get(usize::try_from(partition).ok()?)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<ShardCell<M>>> {
        self.cells.iter()
    }

    /// False once the broker stops.
    pub fn is_active(&self) -> bool {
        self.is_active.load(Ordering::Acquire)
    }

    /// This broker leads the partition now: it is loaded in the background. An empty log is loaded at once.
    pub fn on_elected(self: &Arc<Self>, partition: i32, leader_epoch: LeaderEpoch) {
        let Some(index) = usize::try_from(partition).ok().filter(|index| *index < self.cells.len()) else { return };
        let cell = &self.cells[index];
        let incarnation = {
            let mut state = cell.state.lock();
            if state.epoch.is_some_and(|known| known > leader_epoch) {
                return tracing::info!(partition = %cell.tp, leader_epoch, known = ?state.epoch, "late election ignored");
            }
            let known = state.epoch.replace(leader_epoch);
            if state.status != Status::NotOwned {
                if known.is_none_or(|known| leader_epoch - known <= 1) {
                    return;
                }
                // Others may have led in the epochs between, unheard of here: what they wrote is in the log alone.
                tracing::info!(partition = %cell.tp, leader_epoch, ?known, "led anew, and loaded anew");
                state.unload();
            }
            state.status = Status::Loading;
            state.incarnation
        };
        let is_empty = self.ports.open(&cell.tp).is_ok_and(|log| log.end_offset() <= log.start_offset());
        if is_empty || tokio::runtime::Handle::try_current().is_err() {
            return self.load(index, incarnation);
        }
        if self.is_to_wait(cell) {
            let this = Arc::clone(self);
            tokio::spawn(async move { this.load_when_committed(index, incarnation).await });
        } else {
            self.enqueue(index, incarnation);
        }
    }

    fn is_to_wait(&self, cell: &ShardCell<M>) -> bool {
        self.loads_committed && self.ports.open(&cell.tp).is_ok_and(|log| !log.is_committed())
    }

    async fn load_when_committed(self: Arc<Self>, index: usize, incarnation: u64) {
        let cell = &self.cells[index];
        while self.is_active() && cell.is_loading(incarnation) && self.is_to_wait(cell) {
            tokio::time::sleep(COMMITTED_YET).await;
        }
        self.enqueue(index, incarnation);
    }

    fn enqueue(self: &Arc<Self>, index: usize, incarnation: u64) {
        let mut loads = self.loads.lock();
        loads.queue.push_back((index, incarnation));
        if !loads.is_running {
            loads.is_running = true;
            let this = Arc::clone(self);
            if chance::is_simulated() {
                tokio::spawn(async move { this.load_queued() });
            } else {
                tokio::task::spawn_blocking(move || this.load_queued());
            }
        }
    }

    fn load_queued(&self) {
        loop {
            let next = {
                let mut loads = self.loads.lock();
                let next = loads.queue.pop_front();
                loads.is_running = next.is_some();
                next
            };
            let Some((index, incarnation)) = next else { return };
            self.load(index, incarnation);
        }
    }

    fn load(&self, index: usize, incarnation: u64) {
        let cell = &self.cells[index];
        let started_ms = self.clock.monotonic_ms();
        let is_wanted = || cell.is_loading(incarnation);
        let mut shard = (self.new_machine)();
        let outcome = match self.ports.open(&cell.tp) {
            Ok(log) => loader::load(&*log, &mut shard, cell.now(), self.load_buffer_bytes, &is_wanted),
            Err(error) => Err(format!("no log to load from: {error}")),
        };
        let now = cell.now();
        let must_drain = {
            let mut state = cell.state.lock();
            if state.incarnation != incarnation || state.status != Status::Loading {
                return;
            }
            if let Err(fault) = outcome {
                // Serving half of it would hand out stale state: rather be nobody's coordinator.
                tracing::error!(partition = %cell.tp, %fault, "coordinator cannot be loaded");
                state.status = Status::NotOwned;
                return;
            }
            state.shard = shard;
            let epoch = state.epoch.unwrap_or(0);
            let step = state.shard.finish_loading(now, epoch);
            state.absorb(step);
            state.status = Status::Active;
            state.run_deferred(now);
            let entries = state.shard.entries();
            if entries > 0 {
                let took_ms = now.monotonic_ms - started_ms;
                tracing::info!(partition = %cell.tp, entries, took_ms, "coordinator loaded");
            }
            cell.settle(&mut state, now)
        };
        cell.drain_if(must_drain);
    }

    /// This broker no longer leads the partition (`None`: it no longer holds it). Whoever waits is sent elsewhere.
    pub fn on_resigned(&self, partition: i32, leader_epoch: Option<LeaderEpoch>) {
        let Some(cell) = self.get(partition) else { return };
        let mut state = cell.state.lock();
        if let (Some(known), Some(epoch)) = (state.epoch, leader_epoch)
            && known > epoch
        {
            return tracing::info!(partition = %cell.tp, epoch, known, "late resignation ignored");
        }
        state.epoch = leader_epoch.or(state.epoch);
        state.status = Status::NotOwned;
        state.unload();
    }

    /// Requests from now on are refused; the timer task ends.
    pub fn shutdown(&self) {
        self.is_active.store(false, Ordering::Release);
        self.wake.notify.notify_one();
    }

    /// Waits for deadlines, and does `recurring` at start and then each time its period has passed.
    pub async fn run_timers(self: Arc<Self>, recurring: Option<Recurring>) {
        let mut next_recurring_ms = recurring.as_ref().map_or(i64::MAX, |_| self.clock.monotonic_ms());
        while self.is_active() {
            let now_ms = self.clock.monotonic_ms();
            if let Some((period_ms, run)) = &recurring
                && now_ms >= next_recurring_ms
            {
                run();
                next_recurring_ms = now_ms.saturating_add((*period_ms).max(1));
            }
            self.tick();
            // From here on a command that sets a nearer deadline leaves a permit in `notify`.
            self.wake.until_ms.store(i64::MAX, Ordering::Release);
            let deadline_ms = self.next_deadline().map_or(next_recurring_ms, |at| at.min(next_recurring_ms));
            self.wake.until_ms.fetch_min(deadline_ms, Ordering::AcqRel);
            let sleep_ms = u64::try_from(deadline_ms.saturating_sub(self.clock.monotonic_ms())).unwrap_or(0);
            if sleep_ms > 0 {
                tokio::select! {
                    biased;
                    () = self.wake.notify.notified() => {}
                    () = tokio::time::sleep(Duration::from_millis(sleep_ms)) => {}
                }
            }
        }
    }

    /// When [`Self::tick`] has something to do, in monotonic milliseconds.
    pub fn next_deadline(&self) -> Option<i64> {
        self.cells.iter().filter_map(|cell| cell.state.lock().shard.next_deadline()).min()
    }

    /// Handles all timers that are due.
    pub fn tick(&self) {
        for cell in &self.cells {
            let is_due =
                cell.state.lock().shard.next_deadline().is_some_and(|deadline| deadline <= self.clock.monotonic_ms());
            if is_due {
                cell.run(M::on_timer);
            }
        }
    }
}
