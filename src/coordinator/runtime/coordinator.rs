//! The face handlers see (class `GroupCoordinator`): finds the shard of a group, and answers for shards that are not
//! here or still loading.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use super::{
    loader,
    ports::{Ports, ReplicaPorts},
    shard_cell::{ShardCell, Status},
};
use crate::{
    common::{Clock, ErrorCode, LeaderEpoch, ProducerId, TopicPartition, hash, topic_name::GROUP_METADATA_TOPIC},
    coordinator::group::{
        GroupConfig, GroupShard, STRING_BYTES_MAX,
        command::{
            CommitOffsets, FetchedOffset, GroupDescription, GroupOverview, Heartbeat, JoinGroup, JoinReply, LeaveGroup,
            LeaveReply, Reply, SyncGroup, SyncReply,
        },
    },
    replication::ReplicaManager,
};

/// All groups this broker coordinates. Cheap to share; every method takes `&self`.
pub struct GroupCoordinator {
    config: Arc<GroupConfig>,
    ports: Arc<dyn Ports>,
    clock: Arc<dyn Clock>,
    /// One per partition of `__consumer_offsets`.
    shards: Vec<Arc<ShardCell>>,
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

/// What is wrong with a group id, a shard or the whole coordinator before a request even gets to its group.
type Located<'a> = Result<&'a Arc<ShardCell>, ErrorCode>;

impl GroupCoordinator {
    /// `partitions`: how many `__consumer_offsets` has, or will have when it is created.
    #[must_use]
    pub fn new(
        config: GroupConfig,
        replicas: Arc<ReplicaManager>,
        clock: Arc<dyn Clock>,
        partitions: i32,
    ) -> Arc<Self> {
        let (acks, timeout_ms) = (config.commit_required_acks, config.commit_timeout_ms);
        Self::with_ports(config, Arc::new(ReplicaPorts { replicas, acks, timeout_ms }), clock, partitions)
    }

    /// Over any log.
    #[must_use]
    pub fn with_ports(config: GroupConfig, ports: Arc<dyn Ports>, clock: Arc<dyn Clock>, partitions: i32) -> Arc<Self> {
        let config = Arc::new(config);
        let wake = Arc::new(Wake { until_ms: AtomicI64::new(i64::MAX), notify: Notify::new() });
        let topic: Arc<str> = Arc::from(GROUP_METADATA_TOPIC);
        let cell = |partition: i32| {
            let wake = Arc::clone(&wake);
            ShardCell::new(
                TopicPartition::new(Arc::clone(&topic), partition),
                GroupShard::new(Arc::clone(&config)),
                Arc::clone(&ports),
                Arc::clone(&clock),
                Box::new(move |deadline_ms| wake.by(deadline_ms)),
            )
        };
        let shards = (0..partitions.max(1)).map(cell).collect();
        let is_active = AtomicBool::new(true);
        Arc::new(Self { config, ports, clock, shards, is_active, wake, loads: Mutex::default() })
    }

    #[must_use]
    pub fn config(&self) -> &GroupConfig {
        &self.config
    }

    /// The partition of `__consumer_offsets` a group lives in.
    #[must_use]
    pub fn partition_for(&self, group_id: &str) -> i32 {
        hash::partition_for(group_id, i32::try_from(self.shards.len()).unwrap_or(i32::MAX))
    }

    pub async fn join_group(&self, cmd: JoinGroup) -> JoinReply {
        let member_id = Arc::clone(&cmd.member_id);
        let asked =
            self.located(&cmd.group_id).and_then(|cell| cell.execute(|shard, now, to| shard.join(now, cmd, to)));
        match answer(asked).await {
            Ok(Reply::Join(reply)) => reply,
            other => JoinReply::error(member_id, unanswered(other)),
        }
    }

    /// While loading the answer is REBALANCE_IN_PROGRESS: the generation is lost anyway, and old clients do not know
    /// COORDINATOR_LOAD_IN_PROGRESS here.
    pub async fn sync_group(&self, cmd: SyncGroup) -> SyncReply {
        let asked =
            self.located(&cmd.group_id).and_then(|cell| cell.execute(|shard, now, to| shard.sync(now, cmd, to)));
        match answer(asked).await {
            Ok(Reply::Sync(reply)) => reply,
            Err(ErrorCode::CoordinatorLoadInProgress) => SyncReply::error(ErrorCode::RebalanceInProgress),
            other => SyncReply::error(unanswered(other)),
        }
    }

    /// While loading every heartbeat is fine.
    pub fn heartbeat(&self, cmd: &Heartbeat) -> ErrorCode {
        match self.located(&cmd.group_id).and_then(|cell| cell.with_shard(|shard, now| shard.heartbeat(now, cmd))) {
            Ok(answer) => answer,
            Err(ErrorCode::CoordinatorLoadInProgress) => ErrorCode::None,
            Err(error) => error,
        }
    }

    pub async fn leave_group(&self, cmd: LeaveGroup) -> LeaveReply {
        let asked =
            self.located(&cmd.group_id).and_then(|cell| cell.execute(|shard, now, to| shard.leave(now, cmd, to)));
        match answer(asked).await {
            Ok(Reply::Leave(reply)) => reply,
            other => LeaveReply { error: unanswered(other), members: Vec::new() },
        }
    }

    /// One answer per partition.
    pub async fn commit_offsets(&self, cmd: CommitOffsets) -> Vec<(TopicPartition, ErrorCode)> {
        let partitions: Vec<TopicPartition> = cmd.offsets.keys().cloned().collect();
        let asked = self
            .located_or_empty(&cmd.group_id)
            .and_then(|cell| cell.execute(|shard, now, to| shard.commit(now, cmd, to)));
        match answer(asked).await {
            Ok(Reply::Commit(answers)) => answers,
            other => {
                let error = unanswered(other);
                partitions.into_iter().map(|tp| (tp, error)).collect()
            }
        }
    }

    /// `None` asks for all partitions the group has committed.
    pub fn fetch_offsets(
        &self,
        group_id: &str,
        partitions: Option<Vec<TopicPartition>>,
        require_stable: bool,
    ) -> Result<Vec<FetchedOffset>, ErrorCode> {
        let cell = self.located_or_empty(group_id)?;
        cell.with_shard(|shard, _| shard.fetch_offsets(group_id, partitions, require_stable))
    }

    pub async fn delete_group(&self, group_id: &str) -> ErrorCode {
        let asked = self
            .located_or_empty(group_id)
            .and_then(|cell| cell.execute(|shard, _, to| shard.delete_group(group_id, to)));
        match answer(asked).await {
            Ok(Reply::DeleteGroup(error)) => error,
            other => unanswered(other),
        }
    }

    /// `Err` fails the whole request.
    pub async fn delete_offsets(
        &self,
        group_id: &str,
        partitions: Vec<TopicPartition>,
    ) -> Result<Vec<(TopicPartition, ErrorCode)>, ErrorCode> {
        let asked = self
            .located(group_id)
            .and_then(|cell| cell.execute(|shard, _, to| shard.delete_offsets(group_id, partitions, to)));
        match answer(asked).await {
            Ok(Reply::DeleteOffsets(outcome)) => outcome,
            other => Err(unanswered(other)),
        }
    }

    pub fn describe_group(&self, group_id: &str) -> Result<GroupDescription, ErrorCode> {
        self.located_or_empty(group_id)?.with_shard(|shard, _| shard.describe(group_id))
    }

    /// The groups that are loaded, and COORDINATOR_LOAD_IN_PROGRESS if there may be more.
    pub fn list_groups(&self) -> (ErrorCode, Vec<GroupOverview>) {
        if !self.is_active.load(Ordering::Acquire) {
            return (ErrorCode::CoordinatorNotAvailable, Vec::new());
        }
        let mut error = ErrorCode::None;
        let mut groups = Vec::new();
        for cell in &self.shards {
            match cell.with_shard(|shard, _| shard.overviews()) {
                Ok(overviews) => groups.extend(overviews),
                Err(ErrorCode::CoordinatorLoadInProgress) => error = ErrorCode::CoordinatorLoadInProgress,
                Err(_) => {}
            }
        }
        (error, groups)
    }

    /// Topics were deleted: the positions in them go too.
    pub fn partitions_deleted(&self, partitions: &[TopicPartition]) {
        for cell in &self.shards {
            cell.run(|shard, _| shard.partitions_deleted(partitions));
        }
    }

    /// Transaction markers are in the log of these partitions of `__consumer_offsets`.
    pub fn complete_transaction(&self, producer: ProducerId, partitions: &[i32], committed: bool) {
        for cell in partitions.iter().filter_map(|partition| self.shards.get(usize::try_from(*partition).ok()?)) {
            cell.run(|shard, _| {
                shard.complete_transaction(producer, committed);
                crate::coordinator::group::command::Step::default()
            });
        }
    }

    /// This broker leads the partition now: its groups are loaded in the background, after
    /// `ReplicaManager::apply_partition_states`. An empty log is loaded at once.
    pub fn on_elected(self: &Arc<Self>, partition: i32, leader_epoch: LeaderEpoch) {
        let Some(index) = usize::try_from(partition).ok().filter(|index| *index < self.shards.len()) else { return };
        let cell = &self.shards[index];
        let incarnation = {
            let mut state = cell.state.lock();
            if state.epoch.is_some_and(|known| known > leader_epoch) {
                return tracing::info!(partition, leader_epoch, known = ?state.epoch, "late election ignored");
            }
            state.epoch = Some(leader_epoch);
            if state.status != Status::NotOwned {
                return;
            }
            state.status = Status::Loading;
            state.incarnation
        };
        let is_empty = self.ports.open(&cell.tp).is_ok_and(|log| log.end_offset() <= log.start_offset());
        if is_empty || tokio::runtime::Handle::try_current().is_err() {
            return self.load(index, incarnation);
        }
        let mut loads = self.loads.lock();
        loads.queue.push_back((index, incarnation));
        if !loads.is_running {
            loads.is_running = true;
            let this = Arc::clone(self);
            tokio::task::spawn_blocking(move || this.load_queued());
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
        let cell = &self.shards[index];
        let started_ms = self.clock.monotonic_ms();
        let is_wanted = || {
            let state = cell.state.lock();
            state.incarnation == incarnation && state.status == Status::Loading
        };
        let mut shard = GroupShard::new(Arc::clone(&self.config));
        let buffer_bytes = usize::try_from(self.config.load_buffer_bytes).unwrap_or(1).max(1);
        let outcome = match self.ports.open(&cell.tp) {
            Ok(log) => loader::load(&*log, &mut shard, cell.now(), buffer_bytes, &is_wanted),
            Err(error) => Err(format!("no log to load from: {error}")),
        };
        let now = cell.now();
        let must_drain = {
            let mut state = cell.state.lock();
            if state.incarnation != incarnation || state.status != Status::Loading {
                return;
            }
            if let Err(fault) = outcome {
                // Serving half of it would hand out stale offsets: rather be nobody's coordinator.
                tracing::error!(partition = %cell.tp, %fault, "groups cannot be loaded");
                state.status = Status::NotOwned;
                return;
            }
            state.shard = shard;
            let step = state.shard.finish_loading(now);
            state.absorb(step);
            state.status = Status::Active;
            let groups = state.shard.groups().count();
            if groups > 0 {
                let took_ms = now.monotonic_ms - started_ms;
                tracing::info!(partition = %cell.tp, groups, took_ms, "loaded groups and offsets");
            }
            cell.settle(&mut state, now)
        };
        cell.drain_if(must_drain);
    }

    /// This broker no longer leads the partition (`None`: it no longer holds it). Whoever waits is sent elsewhere.
    pub fn on_resigned(&self, partition: i32, leader_epoch: Option<LeaderEpoch>) {
        let Some(cell) = usize::try_from(partition).ok().and_then(|index| self.shards.get(index)) else { return };
        let mut state = cell.state.lock();
        if let (Some(known), Some(epoch)) = (state.epoch, leader_epoch)
            && known > epoch
        {
            return tracing::info!(partition, epoch, known, "late resignation ignored");
        }
        state.epoch = leader_epoch.or(state.epoch);
        state.status = Status::NotOwned;
        state.unload();
    }

    /// Starts the one task that waits for deadlines. Idle, it sleeps until the next look for expired offsets.
    pub fn start(self: &Arc<Self>) -> tokio::task::JoinHandle<()> {
        tokio::spawn(Arc::clone(self).run_timers())
    }

    /// Requests from now on are answered COORDINATOR_NOT_AVAILABLE; the timer task ends.
    pub fn shutdown(&self) {
        self.is_active.store(false, Ordering::Release);
        self.wake.notify.notify_one();
    }

    async fn run_timers(self: Arc<Self>) {
        // Kafka's `delete-expired-group-metadata` runs at start, too.
        let mut next_cleanup_ms = self.clock.monotonic_ms();
        while self.is_active.load(Ordering::Acquire) {
            let now_ms = self.clock.monotonic_ms();
            if now_ms >= next_cleanup_ms {
                self.expire_offsets();
                next_cleanup_ms = now_ms.saturating_add(self.config.offsets_retention_check_interval_ms.max(1));
            }
            self.tick();
            // From here on a command that sets a nearer deadline leaves a permit in `notify`.
            self.wake.until_ms.store(i64::MAX, Ordering::Release);
            let deadline_ms = self.next_deadline().map_or(next_cleanup_ms, |deadline| deadline.min(next_cleanup_ms));
            self.wake.until_ms.fetch_min(deadline_ms, Ordering::AcqRel);
            let sleep_ms = u64::try_from(deadline_ms - self.clock.monotonic_ms()).unwrap_or(0);
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
    #[must_use]
    pub fn next_deadline(&self) -> Option<i64> {
        self.shards.iter().filter_map(|cell| cell.state.lock().shard.next_deadline()).min()
    }

    /// Handles all timers that are due.
    pub fn tick(&self) {
        for cell in &self.shards {
            let is_due =
                cell.state.lock().shard.next_deadline().is_some_and(|deadline| deadline <= self.clock.monotonic_ms());
            if is_due {
                cell.run(GroupShard::on_timer);
            }
        }
    }

    /// Removes expired offsets and groups that have nothing left.
    pub fn expire_offsets(&self) {
        for cell in &self.shards {
            cell.run(GroupShard::expire_offsets);
        }
    }

    /// For requests of group management, which need a name.
    fn located(&self, group_id: &str) -> Located<'_> {
        if group_id.is_empty() { Err(ErrorCode::InvalidGroupId) } else { self.located_or_empty(group_id) }
    }

    /// Offsets of old simple consumers may live under the empty group id.
    fn located_or_empty(&self, group_id: &str) -> Located<'_> {
        if group_id.len() > STRING_BYTES_MAX {
            return Err(ErrorCode::InvalidGroupId);
        }
        if !self.is_active.load(Ordering::Acquire) {
            return Err(ErrorCode::CoordinatorNotAvailable);
        }
        let index = usize::try_from(self.partition_for(group_id)).unwrap_or(0);
        self.shards.get(index).ok_or(ErrorCode::NotCoordinator)
    }
}

async fn answer(asked: Result<oneshot::Receiver<Reply>, ErrorCode>) -> Result<Reply, ErrorCode> {
    // The sender is only ever dropped unanswered when the whole coordinator is.
    asked?.await.map_err(|_| ErrorCode::CoordinatorNotAvailable)
}

fn unanswered(outcome: Result<Reply, ErrorCode>) -> ErrorCode {
    outcome.err().unwrap_or(ErrorCode::UnknownServerError)
}
