//! What a follower does to its log (`Partition.appendRecordsToFollowerOrFutureReplica`, `truncateTo`). Every step is
//! fenced by the leader epoch it was asked for in: after a change of leadership nothing of the old one gets in.

use bytes::BytesMut;

use super::{
    ReplicaManager,
    fetcher::{
        InitialFetchState,
        state::Asked,
        truncation::{EpochEndOffset, truncation},
    },
    hosted::Partition,
    partition::Role,
    throttle::is_throttled,
};
use crate::{
    client::{Peer, peer_of},
    common::{BrokerId, ErrorCode, LeaderEpoch, Offset, Timestamp, TopicPartition},
    protocol::records::batch::BatchHeader,
    storage::StorageError,
};

/// Where the log ends now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FollowerAppend {
    pub next_offset: Offset,
    /// Epoch of the last record that came, if any did.
    pub last_epoch: Option<LeaderEpoch>,
}

/// Why nothing was done. All but `Corrupt` are not to be tried again before the controller speaks.
#[derive(Debug, thiserror::Error)]
pub enum FollowerFailure {
    #[error("the partition is led by somebody else by now, or gone")]
    Outdated,
    /// A batch is not what its checksum says.
    #[error(transparent)]
    Corrupt(StorageError),
    #[error(transparent)]
    Storage(StorageError),
    #[error("the log ends at {log_end_offset}, not where the fetch began")]
    Mismatch { log_end_offset: Offset },
}

impl Partition {
    /// Appends what the leader sent for `asked` and takes over its marks. The second value is the high watermark if it
    /// moved.
    fn append_as_follower(
        &self,
        asked: Asked,
        records: BytesMut,
        high_watermark: Offset,
        leader_log_start: Offset,
        now: Timestamp,
    ) -> Result<(FollowerAppend, Option<Offset>), FollowerFailure> {
        let state = self.state();
        self.check_follower(&state, asked)?;
        let end = self.log().log_end_offset();
        if end != asked.fetch_offset {
            return Err(FollowerFailure::Mismatch { log_end_offset: end });
        }
        let mut last_epoch = None;
        if !records.is_empty() {
            if self.log().log_start_offset() == end {
                self.begin_within_batch(&records, end).map_err(refusal)?;
            }
            let info = self.log().append_as_follower(records, now).map_err(refusal)?;
            last_epoch = if info.bytes > 0 { self.log().latest_epoch() } else { None };
        }
        let before = self.log().high_watermark();
        // A new leader may know of less that is committed than its predecessor did, or we did as leaders. What is committed
        // stays so: unlike Kafka's, ours does not go back. A truncation below it takes it along.
        let after = if high_watermark <= before { before } else { self.log().update_high_watermark(high_watermark) };
        if leader_log_start > self.log().log_start_offset() {
            self.log().advance_log_start_offset(leader_log_start, now).map_err(refusal)?;
        }
        let next_offset = self.log().log_end_offset();
        Ok((FollowerAppend { next_offset, last_epoch }, (after != before).then_some(after)))
    }

    /// The leader's log may begin in the middle of a batch. An empty log takes the batch whole; its own start follows
    /// the leader's.
    fn begin_within_batch(&self, records: &[u8], end: Offset) -> Result<(), StorageError> {
        let Ok(first) = BatchHeader::parse(records) else { return Ok(()) };
        if first.base_offset < end && first.last_offset() >= end {
            self.log().truncate_fully_and_start_at(first.base_offset)?;
        }
        Ok(())
    }

    /// Runs `change` on the log while the partition follows in the epoch asked for.
    fn as_follower(
        &self,
        asked: Asked,
        change: impl FnOnce() -> Result<(), StorageError>,
    ) -> Result<(), FollowerFailure> {
        let state = self.state();
        self.check_follower(&state, asked)?;
        change().map_err(refusal)
    }

    fn check_follower(&self, state: &super::partition::PartitionState, asked: Asked) -> Result<(), FollowerFailure> {
        let follows = matches!(state.role(), Role::Follower { .. }) && state.leader_epoch() == asked.leader_epoch;
        if follows { Ok(()) } else { Err(FollowerFailure::Outdated) }
    }

    /// Where following begins (`ReplicaManager.initialFetchOffset`).
    fn initial_fetch_state(&self) -> InitialFetchState {
        let last_fetched_epoch = self.log().latest_epoch();
        InitialFetchState {
            topic_id: self.log().topic_id().unwrap_or_default(),
            leader_epoch: self.state().leader_epoch(),
            offset: if last_fetched_epoch.is_some() {
                self.log().log_end_offset()
            } else {
                self.log().high_watermark()
            },
            last_fetched_epoch,
        }
    }
}

fn refusal(failure: StorageError) -> FollowerFailure {
    match failure.code() {
        ErrorCode::CorruptMessage | ErrorCode::InvalidRecord => FollowerFailure::Corrupt(failure),
        _ => FollowerFailure::Storage(failure),
    }
}

impl ReplicaManager {
    pub(super) fn append_as_follower(
        &self,
        tp: &TopicPartition,
        asked: Asked,
        records: BytesMut,
        high_watermark: Offset,
        leader_log_start: Offset,
    ) -> Result<FollowerAppend, FollowerFailure> {
        let Ok(partition) = self.partition(tp) else { return Err(FollowerFailure::Outdated) };
        let bytes = records.len();
        let now = self.clock.now_ms();
        match partition.append_as_follower(asked, records, high_watermark, leader_log_start, now) {
            Ok((appended, moved)) => {
                self.topic_stats.all_topics.replication_bytes_in.mark(bytes as u64);
                if self.follower_quota.is_limited() && self.is_follower_throttled(&partition) {
                    self.follower_quota.record(self.clock.monotonic_ms(), bytes);
                }
                if let Some(offset) = moved {
                    self.high_watermark_moved(partition.key, offset, usize::MAX);
                }
                Ok(appended)
            }
            Err(failure) => Err(self.note_follower_failure(&partition, failure)),
        }
    }

    /// Whether to ask for nothing now: this replica is behind, is to be throttled, and has had its share.
    pub(super) fn holds_back(&self, tp: &TopicPartition, is_in_sync: bool, now_ms: i64) -> bool {
        if is_in_sync || !self.follower_quota.is_limited() || !self.follower_quota.is_exceeded(now_ms) {
            return false;
        }
        self.partition(tp).is_ok_and(|partition| self.is_follower_throttled(&partition))
    }

    fn is_follower_throttled(&self, partition: &Partition) -> bool {
        let replicas = &partition.log().config().follower_replication_throttled_replicas;
        is_throttled(replicas, partition.topic_partition.partition, self.config.broker_id)
    }

    /// Cuts the log where it parts from the leader's; returns where it ends then.
    pub(super) fn truncate_follower(
        &self,
        tp: &TopicPartition,
        asked: Asked,
        leader: EpochEndOffset,
    ) -> Result<Offset, FollowerFailure> {
        let Ok(partition) = self.partition(tp) else { return Err(FollowerFailure::Outdated) };
        let local = partition.log().end_offset_for_epoch(leader.leader_epoch);
        let cut = truncation(leader, local, partition.log().log_end_offset(), asked.fetch_offset);
        tracing::info!(partition = %tp, ?leader, ?cut, "the leader's log parts from ours");
        self.truncate_follower_to(tp, asked, cut.offset)?;
        Ok(cut.offset)
    }

    pub(super) fn truncate_follower_to(
        &self,
        tp: &TopicPartition,
        asked: Asked,
        offset: Offset,
    ) -> Result<(), FollowerFailure> {
        let Ok(partition) = self.partition(tp) else { return Err(FollowerFailure::Outdated) };
        let high_watermark = partition.log().high_watermark();
        if offset < high_watermark {
            tracing::warn!(partition = %tp, offset, high_watermark, "truncating below the high watermark");
        }
        let cut = self.with_copy_cut(tp, offset, || {
            partition.as_follower(asked, || partition.log().truncate_to(offset).map(|_| ()))
        });
        cut.map_err(|failure| self.note_follower_failure(&partition, failure))
    }

    /// Throws the log away; the next record is `offset`.
    pub(super) fn restart_follower_at(
        &self,
        tp: &TopicPartition,
        asked: Asked,
        offset: Offset,
    ) -> Result<(), FollowerFailure> {
        let Ok(partition) = self.partition(tp) else { return Err(FollowerFailure::Outdated) };
        // A copy begins anew by itself when it finds itself outside the log.
        let begun = partition.as_follower(asked, || partition.log().truncate_fully_and_start_at(offset));
        begun.map_err(|failure| self.note_follower_failure(&partition, failure))
    }

    fn note_follower_failure(&self, partition: &Partition, failure: FollowerFailure) -> FollowerFailure {
        if let FollowerFailure::Storage(failure) = &failure {
            self.note_failure(&partition.topic_partition, failure);
        }
        failure
    }

    pub(super) fn log_start_offset(&self, tp: &TopicPartition) -> Option<Offset> {
        self.local_log(&tp.topic, tp.partition).map(|log| log.log_start_offset())
    }

    pub(super) fn log_end_offset(&self, tp: &TopicPartition) -> Option<Offset> {
        self.local_log(&tp.topic, tp.partition).map(|log| log.log_end_offset())
    }

    pub(super) fn high_watermark(&self, tp: &TopicPartition) -> Option<Offset> {
        self.local_log(&tp.topic, tp.partition).map(|log| log.high_watermark())
    }

    pub(super) fn latest_epoch(&self, tp: &TopicPartition) -> Option<LeaderEpoch> {
        self.local_log(&tp.topic, tp.partition).and_then(|log| log.latest_epoch())
    }

    /// Gives partitions that follow to their leader's fetcher.
    pub(super) fn follow(&self, partitions: &[std::sync::Arc<Partition>]) {
        let mut by_leader: Vec<(Peer, Vec<(TopicPartition, InitialFetchState)>)> = Vec::new();
        for partition in partitions {
            let Role::Follower { leader } = partition.state().role() else { continue };
            let Some(peer) = self.peer(leader) else { continue };
            let one = (partition.topic_partition.clone(), partition.initial_fetch_state());
            match by_leader.iter_mut().find(|(known, _)| *known == peer) {
                Some((_, partitions)) => partitions.push(one),
                None => by_leader.push((peer, vec![one])),
            }
        }
        for (leader, partitions) in by_leader {
            self.fetchers.add(&leader, partitions);
        }
    }

    /// The image's brokers changed: who followed a broker that was not known, or has moved, follows it now.
    pub fn brokers_changed(&self) {
        self.note_live_brokers();
        if !self.fetchers.is_started() {
            return;
        }
        let mut lost = self.partitions.online();
        lost.retain(|partition| {
            let Role::Follower { leader } = partition.state().role() else { return false };
            self.peer(leader).is_some_and(|peer| !self.fetchers.follows(&partition.topic_partition, &peer))
        });
        if !lost.is_empty() {
            self.fetchers.remove(lost.iter().map(|partition| &partition.topic_partition));
            self.follow(&lost);
            self.fetchers.stop_idle();
        }
    }

    /// Leaders do not wait for replicas of brokers that have gone.
    fn note_live_brokers(&self) {
        let now = self.clock.now_ms();
        for partition in self.partitions.online() {
            if partition.state().is_leader() && partition.state().replicas().len() > 1 {
                self.note_live_replicas(&partition);
                self.recheck_high_watermark(&partition, now);
            }
        }
    }

    pub(super) fn note_live_replicas(&self, partition: &Partition) {
        let image = self.metadata.load();
        // Before the first image nobody is known: that says nothing about who lives.
        if !image.brokers.is_empty() {
            partition.change(|state| state.brokers_seen(|id| image.brokers.contains_key(&id)));
        }
    }

    fn peer(&self, broker: BrokerId) -> Option<Peer> {
        let listener = self.inter_broker_listener.get()?;
        peer_of(self.metadata.load().brokers.get(&broker)?, listener)
    }
}
