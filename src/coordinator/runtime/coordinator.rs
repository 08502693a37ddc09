//! The face handlers see (class `GroupCoordinator`): finds the shard of a group, and answers for shards that are not
//! here or still loading.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::{
    ports::{Ports, ReplicaPorts},
    shard_cell::ShardCell,
    shards::{Plan, Shards},
};
use crate::{
    common::{Clock, ErrorCode, LeaderEpoch, ProducerId, TopicPartition, topic_name::GROUP_METADATA_TOPIC},
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
    /// One per partition of `__consumer_offsets`.
    shards: Arc<Shards<GroupShard>>,
}

/// What is wrong with a group id, a shard or the whole coordinator before a request even gets to its group.
type Located<'a> = Result<&'a Arc<ShardCell<GroupShard>>, ErrorCode>;

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
        let shared = Arc::clone(&config);
        // Groups need nothing done outside of them.
        let (effects, _) = mpsc::unbounded_channel();
        let shards = Arc::new(Shards::new(Plan {
            topic: GROUP_METADATA_TOPIC,
            partitions,
            new_machine: Box::new(move || GroupShard::new(Arc::clone(&shared))),
            load_buffer_bytes: config.load_buffer_bytes,
            loads_committed: false,
            ports,
            clock,
            effects,
        }));
        Arc::new(Self { config, shards })
    }

    #[must_use]
    pub fn config(&self) -> &GroupConfig {
        &self.config
    }

    /// The partition of `__consumer_offsets` a group lives in.
    #[must_use]
    pub fn partition_for(&self, group_id: &str) -> i32 {
        self.shards.partition_for(group_id)
    }

    /// Has asked when it returns: what waits needs nothing of the request any more.
    pub fn join_group(&self, cmd: JoinGroup<'_>) -> impl Future<Output = JoinReply> + use<> {
        let member_id = Arc::clone(&cmd.member_id);
        let asked = self.located(cmd.group_id).and_then(|cell| cell.execute(|shard, now, to| shard.join(now, cmd, to)));
        async move {
            match answer(asked).await {
                Ok(Reply::Join(reply)) => reply,
                other => JoinReply::error(member_id, unanswered(other)),
            }
        }
    }

    /// While loading the answer is REBALANCE_IN_PROGRESS: the generation is lost anyway, and old clients do not know
    /// COORDINATOR_LOAD_IN_PROGRESS here.
    pub fn sync_group(&self, cmd: SyncGroup<'_>) -> impl Future<Output = SyncReply> + use<> {
        let asked = self.located(cmd.group_id).and_then(|cell| cell.execute(|shard, now, to| shard.sync(now, cmd, to)));
        async move {
            match answer(asked).await {
                Ok(Reply::Sync(reply)) => reply,
                Err(ErrorCode::CoordinatorLoadInProgress) => SyncReply::error(ErrorCode::RebalanceInProgress),
                other => SyncReply::error(unanswered(other)),
            }
        }
    }

    /// While loading every heartbeat is fine.
    pub fn heartbeat(&self, cmd: Heartbeat<'_>) -> ErrorCode {
        match self.located(cmd.group_id).and_then(|cell| cell.with_shard(|shard, now| shard.heartbeat(now, cmd))) {
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
        if !self.shards.is_active() {
            return (ErrorCode::CoordinatorNotAvailable, Vec::new());
        }
        let mut error = ErrorCode::None;
        let mut groups = Vec::new();
        for cell in self.shards.iter() {
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
        for cell in self.shards.iter() {
            cell.run(|shard, _| shard.partitions_deleted(partitions));
        }
    }

    /// Transaction markers are in the log of these partitions of `__consumer_offsets`.
    pub fn complete_transaction(&self, producer: ProducerId, partitions: &[i32], committed: bool) {
        for cell in partitions.iter().filter_map(|partition| self.shards.get(*partition)) {
            // A shard that is loading may have passed the marker's place already.
            cell.run_or_defer(move |shard, _| {
                shard.complete_transaction(producer, committed);
                crate::coordinator::group::command::Step::default()
            });
        }
    }

    /// This broker leads the partition now: its groups are loaded in the background, after
    /// `ReplicaManager::apply_partition_states`. An empty log is loaded at once.
    pub fn on_elected(&self, partition: i32, leader_epoch: LeaderEpoch) {
        self.shards.on_elected(partition, leader_epoch);
    }

    /// This broker no longer leads the partition (`None`: it no longer holds it). Whoever waits is sent elsewhere.
    pub fn on_resigned(&self, partition: i32, leader_epoch: Option<LeaderEpoch>) {
        self.shards.on_resigned(partition, leader_epoch);
    }

    /// Starts the one task that waits for deadlines. Idle, it sleeps until the next look for expired offsets, which
    /// Kafka's `delete-expired-group-metadata` takes at start, too.
    pub fn start(self: &Arc<Self>) -> tokio::task::JoinHandle<()> {
        let this = Arc::clone(self);
        let expire = Box::new(move || this.expire_offsets());
        let period_ms = self.config.offsets_retention_check_interval_ms;
        tokio::spawn(Arc::clone(&self.shards).run_timers(Some((period_ms, expire))))
    }

    /// Requests from now on are answered COORDINATOR_NOT_AVAILABLE; the timer task ends.
    pub fn shutdown(&self) {
        self.shards.shutdown();
    }

    /// When [`Self::tick`] has something to do, in monotonic milliseconds.
    #[must_use]
    pub fn next_deadline(&self) -> Option<i64> {
        self.shards.next_deadline()
    }

    /// Handles all timers that are due.
    pub fn tick(&self) {
        self.shards.tick();
    }

    /// Removes expired offsets and groups that have nothing left.
    pub fn expire_offsets(&self) {
        for cell in self.shards.iter() {
            cell.run(GroupShard::expire_offsets);
        }
    }

    /// What is wrong with a group id or its shard before a request even gets to the group; else the group's partition
    /// of `__consumer_offsets` (`GroupCoordinator.validateGroupStatus`).
    pub fn check_group(&self, group_id: &str) -> Result<i32, ErrorCode> {
        self.located(group_id)?.with_shard(|_, _| self.partition_for(group_id))
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
        if !self.shards.is_active() {
            return Err(ErrorCode::CoordinatorNotAvailable);
        }
        self.shards.of_key(group_id)
    }
}

async fn answer(asked: Result<oneshot::Receiver<Reply>, ErrorCode>) -> Result<Reply, ErrorCode> {
    // The sender is only ever dropped unanswered when the whole coordinator is.
    asked?.await.map_err(|_| ErrorCode::CoordinatorNotAvailable)
}

fn unanswered(outcome: Result<Reply, ErrorCode>) -> ErrorCode {
    outcome.err().unwrap_or(ErrorCode::UnknownServerError)
}
