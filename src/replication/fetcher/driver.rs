//! One fetcher: asks one leader for its partitions, appends what comes, and asks again (class `ReplicaFetcherThread`).

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{
    leader::Leader,
    session::{FetchSession, Wanted},
    state::{Asked, FetchStates, Reaction},
    truncation::{EpochEndOffset, OffsetReset, offset_reset},
};
use crate::{
    common::{ErrorCode, Offset, TopicPartition, ids::NO_LEADER_EPOCH},
    protocol::hot::fetched::{FetchedPartition, FetchedResponse, TopicKey},
    replication::{
        ReplicaManager,
        follow::{FollowerAppend, FollowerFailure},
        list_offsets::{EARLIEST_TIMESTAMP, LATEST_TIMESTAMP},
    },
};

/// How long a fetch is waited for before newcomers may end it.
const FETCH_AT_LEAST: Duration = Duration::from_millis(20);

/// What the manager and the fetcher share. Whoever takes a partition out under the lock knows that no append to it is
/// under way any more (`partitionMapLock`).
#[derive(Default)]
pub(super) struct Shared {
    pub(super) states: Mutex<FetchStates>,
    /// Partitions came or went.
    pub(super) changed: Notify,
}

/// Returns when there are partitions that the fetch under way does not ask for. The leader may hold it for half a
/// second, and after an election all that is produced to them with acks=all would wait as long: the fetch is given up
/// for one that asks for them too. Never at once, so that a burst of them costs few connections.
async fn newcomers(shared: &Shared, session: &FetchSession) {
    tokio::time::sleep(FETCH_AT_LEAST).await;
    loop {
        let has_some = {
            let states = shared.states.lock();
            states.iter().any(|(tp, state)| state.is_new() && session.asked(tp).is_none())
        };
        if has_some {
            return;
        }
        shared.changed.notified().await;
    }
}

pub(super) struct Fetcher {
    pub(super) shared: Arc<Shared>,
    pub(super) leader: Leader,
    pub(super) replicas: Weak<ReplicaManager>,
    pub(super) broker_epoch: Arc<AtomicI64>,
    pub(super) backoff_ms: i64,
    pub(super) session: FetchSession,
}

impl Fetcher {
    /// Runs until it is aborted or the broker is gone.
    pub(super) async fn run(mut self) {
        while let Some(replicas) = self.replicas.upgrade() {
            self.truncate_to_high_watermarks(&replicas);
            if !self.has_work(&replicas) {
                drop(replicas);
                self.wait().await;
                continue;
            }
            let version = match self.leader.fetch_version().await {
                Ok(version) => version,
                Err(fault) => {
                    self.unreachable(&replicas, &fault);
                    continue;
                }
            };
            let plan = {
                let states = self.shared.states.lock();
                let now = replicas.clock.monotonic_ms();
                let ready = states.iter().filter(|(_, state)| state.is_ready(now)).filter_map(|(tp, state)| {
                    if replicas.holds_back(tp, state.lag.is_some_and(|lag| lag <= 0), now) {
                        return None;
                    }
                    let log_start_offset = replicas.log_start_offset(tp)?;
                    let wanted = Wanted {
                        topic_id: state.topic_id,
                        fetch_offset: state.fetch_offset,
                        log_start_offset,
                        leader_epoch: state.leader_epoch,
                        last_fetched_epoch: state.last_fetched_epoch.unwrap_or(NO_LEADER_EPOCH),
                    };
                    Some((tp, wanted))
                });
                self.session.plan(ready, version > 12)
            };
            let Some(plan) = plan else {
                // All that are ready have lost their logs: somebody will take them out soon.
                drop(replicas);
                self.pause().await;
                continue;
            };
            let epoch = self.broker_epoch.load(Ordering::Acquire);
            let fetched = tokio::select! {
                biased;
                fetched = self.leader.fetch(&plan, version, epoch) => Some(fetched),
                () = newcomers(&self.shared, &self.session) => None,
            };
            match fetched {
                Some(Ok(response)) => self.answered(&replicas, response).await,
                Some(Err(fault)) => self.unreachable(&replicas, &fault),
                // The connection goes with the question.
                None => self.session.begin_anew(),
            }
        }
    }

    fn has_work(&self, replicas: &ReplicaManager) -> bool {
        let now = replicas.clock.monotonic_ms();
        self.shared.states.lock().iter().any(|(_, state)| state.is_ready(now))
    }

    /// Until partitions change, or the first of those set aside is due.
    async fn wait(&mut self) {
        let due = self.shared.states.lock().next_due_ms();
        let Some(replicas) = self.replicas.upgrade() else { return };
        let changed = self.shared.changed.notified();
        match due {
            None => {
                drop(replicas);
                changed.await;
            }
            Some(due) => {
                let wait_ms = due.saturating_sub(replicas.clock.monotonic_ms()).clamp(1, self.backoff_ms.max(1));
                drop(replicas);
                // Either way there is something to look at.
                let _ = tokio::time::timeout(Duration::from_millis(wait_ms.unsigned_abs()), changed).await;
            }
        }
    }

    async fn pause(&mut self) {
        tokio::time::sleep(Duration::from_millis(self.backoff_ms.max(1).unsigned_abs())).await;
    }

    fn unreachable(&mut self, replicas: &ReplicaManager, fault: &crate::client::ClientError) {
        tracing::warn!(leader = %self.leader.peer(), %fault, "cannot fetch from the leader");
        self.session.begin_anew();
        self.shared.states.lock().delay_all(replicas.clock.monotonic_ms(), self.backoff_ms);
    }

    async fn answered(&mut self, replicas: &Arc<ReplicaManager>, response: FetchedResponse) {
        if !self.session.answered(response.error, response.session_id) {
            tracing::debug!(leader = %self.leader.peer(), code = %response.error, "the fetch session is begun anew");
            if response.error == ErrorCode::FetchSessionTopicIdError {
                self.shared.states.lock().delay_all(replicas.clock.monotonic_ms(), self.backoff_ms);
            }
            return;
        }
        let mut out_of_range = Vec::new();
        let mut has_unheard = false;
        for partition in response.partitions {
            let Some(tp) = self.named(&partition) else { continue };
            let Some(wanted) = self.session.asked(&tp) else { continue };
            let asked = Asked { fetch_offset: wanted.fetch_offset, leader_epoch: wanted.leader_epoch };
            let high_watermark = partition.high_watermark;
            match self.partition_answered(replicas, &tp, asked, partition) {
                Reaction::Append => {}
                Reaction::FindOffset => out_of_range.push((tp, asked)),
                // With an error comes −1.
                _ => has_unheard |= replicas.high_watermark(&tp).is_some_and(|known| known < high_watermark),
            }
        }
        if has_unheard {
            // To the leader's session this mark is sent, and it would not be again before it moves.
            self.session.begin_anew();
        }
        for (tp, asked) in out_of_range {
            self.find_offset(replicas, &tp, asked).await;
        }
    }

    fn named(&self, partition: &FetchedPartition) -> Option<TopicPartition> {
        match &partition.topic {
            TopicKey::Id(id) => Some(TopicPartition::new(Arc::clone(self.session.name_of(*id)?), partition.index)),
            TopicKey::Name(name) => Some(TopicPartition::new(name.as_str(), partition.index)),
        }
    }

    /// Carries out what an answer means for one partition, under the lock. `Ignore` if it came too late after all.
    fn partition_answered(
        &self,
        replicas: &ReplicaManager,
        tp: &TopicPartition,
        asked: Asked,
        partition: FetchedPartition,
    ) -> Reaction {
        let now = replicas.clock.monotonic_ms();
        let mut states = self.shared.states.lock();
        let diverging =
            partition.diverging.map(|it| EpochEndOffset { leader_epoch: it.epoch, end_offset: it.end_offset });
        let reaction = states.react(tp, asked, partition.error, diverging, now);
        match reaction {
            Reaction::Append => return self.append(&mut states, replicas, tp, asked, partition),
            Reaction::Truncate(end) => {
                let cut = replicas.truncate_follower(tp, asked, end);
                self.cut(&mut states, replicas, tp, cut);
            }
            Reaction::Delay => {
                tracing::debug!(partition = %tp, code = %partition.error, "the leader refuses the fetch");
                states.delay(tp, now, self.backoff_ms);
            }
            Reaction::AwaitLeaderAndIsr => {
                tracing::info!(partition = %tp, epoch = asked.leader_epoch, "fenced: waiting for the new leadership");
            }
            Reaction::Ignore | Reaction::FindOffset => {}
        }
        reaction
    }

    fn append(
        &self,
        states: &mut FetchStates,
        replicas: &ReplicaManager,
        tp: &TopicPartition,
        asked: Asked,
        partition: FetchedPartition,
    ) -> Reaction {
        let FetchedPartition { records, high_watermark, log_start_offset, .. } = partition;
        match replicas.append_as_follower(tp, asked, records, high_watermark, log_start_offset) {
            Ok(FollowerAppend { next_offset, last_epoch }) => {
                states.fetched(tp, next_offset, high_watermark - next_offset, last_epoch);
            }
            Err(FollowerFailure::Outdated) => return Reaction::Ignore,
            // Perhaps the leader's disk hiccuped; the next fetch may bring it whole.
            Err(FollowerFailure::Corrupt(failure)) => {
                tracing::error!(partition = %tp, offset = asked.fetch_offset, %failure, "the leader sent bad records");
                states.delay(tp, replicas.clock.monotonic_ms(), self.backoff_ms);
            }
            Err(failure) => {
                tracing::error!(partition = %tp, offset = asked.fetch_offset, %failure, "cannot follow any more");
                states.fail(tp);
            }
        }
        Reaction::Append
    }

    fn cut(
        &self,
        states: &mut FetchStates,
        replicas: &ReplicaManager,
        tp: &TopicPartition,
        cut: Result<Offset, FollowerFailure>,
    ) {
        match cut {
            Ok(offset) => states.moved(tp, offset, replicas.latest_epoch(tp), None),
            Err(FollowerFailure::Outdated) => {}
            Err(failure) => {
                tracing::error!(partition = %tp, %failure, "cannot truncate");
                states.fail(tp);
            }
        }
    }

    fn truncate_to_high_watermarks(&self, replicas: &ReplicaManager) {
        let mut states = self.shared.states.lock();
        for (tp, offset) in states.truncating(replicas.clock.monotonic_ms()) {
            let Some(leader_epoch) = states.get(&tp).map(|state| state.leader_epoch) else { continue };
            let asked = Asked { fetch_offset: offset, leader_epoch };
            let cut = replicas.truncate_follower_to(&tp, asked, offset).map(|()| offset);
            self.cut(&mut states, replicas, &tp, cut);
        }
    }

    /// The leader's log does not reach, or no longer has, the offset asked for (`fetchOffsetAndTruncate`).
    async fn find_offset(&mut self, replicas: &Arc<ReplicaManager>, tp: &TopicPartition, asked: Asked) {
        let found = self.leaders_ends(replicas, tp, asked).await;
        let now = replicas.clock.monotonic_ms();
        let mut states = self.shared.states.lock();
        if !states.is_current(tp, asked, now) {
            return;
        }
        let (leader_end, leader_start) = match found {
            Ok(ends) => ends,
            Err(Some(ErrorCode::FencedLeaderEpoch)) => {
                states.fenced(tp, asked.leader_epoch);
                return;
            }
            Err(_) => {
                states.delay(tp, now, self.backoff_ms);
                return;
            }
        };
        let Some(log_end) = replicas.log_end_offset(tp) else { return };
        let reset = offset_reset(leader_end, leader_start, log_end);
        tracing::warn!(partition = %tp, offset = asked.fetch_offset, log_end, ?reset, "out of the leader's range");
        let (offset, done) = match reset {
            OffsetReset::TruncateTo(offset) => (offset, replicas.truncate_follower_to(tp, asked, offset)),
            OffsetReset::StartOver(offset) => (offset, replicas.restart_follower_at(tp, asked, offset)),
            OffsetReset::Continue(offset) => (offset, Ok(())),
        };
        self.cut(&mut states, replicas, tp, done.map(|()| offset));
        if matches!(reset, OffsetReset::Continue(_)) && offset == asked.fetch_offset {
            // The same question again would have the same answer for a while.
            states.delay(tp, now, self.backoff_ms);
        }
    }

    /// The leader's log end, and its start if our log is not the longer one. `Err(None)`: it cannot be reached.
    async fn leaders_ends(
        &mut self,
        replicas: &Arc<ReplicaManager>,
        tp: &TopicPartition,
        asked: Asked,
    ) -> Result<(Offset, Option<Offset>), Option<ErrorCode>> {
        let end = self.leader.list_offset(tp, asked.leader_epoch, LATEST_TIMESTAMP).await;
        let end = self.offset_or_code(tp, end)?;
        if replicas.log_end_offset(tp).is_none_or(|ours| end < ours) {
            return Ok((end, None));
        }
        let start = self.leader.list_offset(tp, asked.leader_epoch, EARLIEST_TIMESTAMP).await;
        Ok((end, Some(self.offset_or_code(tp, start)?)))
    }

    fn offset_or_code(
        &mut self,
        tp: &TopicPartition,
        answer: Result<Result<Offset, ErrorCode>, crate::client::ClientError>,
    ) -> Result<Offset, Option<ErrorCode>> {
        match answer {
            Ok(Ok(offset)) => Ok(offset),
            Ok(Err(code)) => {
                tracing::info!(partition = %tp, %code, "the leader does not tell its log's ends");
                Err(Some(code))
            }
            Err(fault) => {
                tracing::warn!(partition = %tp, leader = %self.leader.peer(), %fault, "cannot ask for the log's ends");
                self.session.begin_anew();
                Err(None)
            }
        }
    }
}
