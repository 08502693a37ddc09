//! Reads for consumers and followers, and waits for data (`ReplicaManager.fetchMessages`, `readFromLog`).

use std::{sync::Arc, time::Duration};

use smallvec::SmallVec;
use tokio::time::Instant;

use super::{
    FetchParams, FetchPartition, FetchPartitionData, ReplicaManager,
    delayed::{PartitionKey, fetch::FetchDone},
    hosted::Partition,
    partition::{FollowerFetch, LogOffsets, PartitionEffect},
    throttle::is_throttled,
};
use crate::{
    common::{
        BrokerId, ErrorCode, Offset,
        ids::{NO_LEADER_EPOCH, NO_OFFSET},
    },
    protocol::chunk::{FileRegion, Records},
    storage::{FetchData, FetchIsolation, OffsetAndEpoch, StorageError},
};

const CONSUMER_REPLICA_ID: BrokerId = -1;

/// One pass over all partitions of a fetch.
struct Round {
    data: Vec<FetchPartitionData>,
    /// How far the reader could see in each partition when it was read.
    ends: SmallVec<[Offset; 1]>,
    bytes: usize,
    /// An error or a diverging epoch: the client should hear of it now.
    urgent: bool,
}

impl ReplicaManager {
    /// Reads; waits until `min_bytes` are there or `max_wait_ms` passes. Answers are in the order of `partitions`.
    pub async fn fetch(&self, params: &FetchParams, partitions: &[FetchPartition]) -> Vec<FetchPartitionData> {
        let min_bytes = usize::try_from(params.min_bytes).unwrap_or(0);
        let max_wait = Duration::from_millis(u64::try_from(params.max_wait_ms).unwrap_or(0));
        let mut round = self.read_all(params, partitions, true);
        if max_wait.is_zero() || partitions.is_empty() || round.is_enough(min_bytes) {
            return round.data;
        }
        let deadline = Instant::now() + max_wait;
        loop {
            let met = self.await_data(params, partitions, &round, min_bytes, deadline).await;
            round = self.read_all(params, partitions, false);
            if !met || round.is_enough(min_bytes) {
                return round.data;
            }
        }
    }

    /// True when it is worth reading again before `deadline`.
    async fn await_data(
        &self,
        params: &FetchParams,
        partitions: &[FetchPartition],
        round: &Round,
        min_bytes: usize,
        deadline: Instant,
    ) -> bool {
        let hosted: SmallVec<[Option<Arc<Partition>>; 1]> =
            partitions.iter().map(|wanted| self.partition(&wanted.topic_partition).ok()).collect();
        let has_changed = || {
            hosted.iter().zip(&round.ends).any(|(partition, end)| match partition {
                Some(partition) => readable_end(&partition.log().as_ref().into(), params.isolation) != *end,
                None => true,
            })
        };
        let keys: SmallVec<[PartitionKey; 1]> = hosted.iter().flatten().map(|partition| partition.key).collect();
        let condition = FetchDone {
            bytes_missing: min_bytes.saturating_sub(round.bytes).max(1),
            to_log_end: params.isolation == FetchIsolation::LogEnd,
        };
        let timeout = deadline.saturating_duration_since(Instant::now());
        self.delayed_fetch.wait(keys, condition, timeout, has_changed).await
    }

    fn read_all(&self, params: &FetchParams, partitions: &[FetchPartition], first_pass: bool) -> Round {
        let mut room = usize::try_from(params.max_bytes).unwrap_or(0);
        // Whoever is first to have something may exceed the limits, so that a large batch never blocks a consumer.
        let mut min_one_message = !params.hard_max_bytes;
        let data = Vec::with_capacity(partitions.len());
        let mut round = Round { data, ends: SmallVec::new(), bytes: 0, urgent: false };
        for wanted in partitions {
            let max_bytes = room.min(usize::try_from(wanted.max_bytes).unwrap_or(0));
            let (data, end) = self.read_one(params, wanted, max_bytes, min_one_message, first_pass);
            let bytes = data.records.len();
            if bytes > 0 {
                min_one_message = false;
            }
            room = room.saturating_sub(bytes);
            round.bytes += bytes;
            round.urgent |= !data.error.is_none() || data.diverging.is_some() || data.preferred_read_replica.is_some();
            round.data.push(data);
            round.ends.push(end);
        }
        round
    }

    fn read_one(
        &self,
        params: &FetchParams,
        wanted: &FetchPartition,
        max_bytes: usize,
        min_one_message: bool,
        first_pass: bool,
    ) -> (FetchPartitionData, Offset) {
        if first_pass {
            self.topic_stats.all_topics.total_fetch_requests.mark(1);
        }
        let partition = match self.partition(&wanted.topic_partition) {
            Ok(partition) => partition,
            Err(code) => return (FetchPartitionData::failed(code), NO_OFFSET),
        };
        if first_pass {
            partition.topic_metrics.total_fetch_requests.mark(1);
        }
        if let Some(preferred) = self.preferred_read_replica(&partition, params, wanted) {
            return (FetchPartitionData::elsewhere(&partition, preferred), NO_OFFSET);
        }
        match read_partition(&partition, params, wanted, max_bytes, min_one_message) {
            Ok((data, end)) => {
                if params.replica_id < 0 {
                    return (data, end);
                }
                if first_pass && data.diverging.is_none() {
                    self.follower_fetched(&partition, params, wanted);
                }
                (self.throttled(&partition, params, data), end)
            }
            Err(ReadFailure::Refused(code)) => (FetchPartitionData::failed(code), NO_OFFSET),
            Err(ReadFailure::Storage(failure)) => {
                let code = self.note_failure(&wanted.topic_partition, &failure);
                if !matches!(code, ErrorCode::OffsetOutOfRange | ErrorCode::KafkaStorageError) {
                    tracing::error!(partition = %wanted.topic_partition, %failure, "fetch failed");
                    self.topic_stats.all_topics.failed_fetch_requests.mark(1);
                    partition.topic_metrics.failed_fetch_requests.mark(1);
                }
                (FetchPartitionData::failed(code), NO_OFFSET)
            }
        }
    }

    /// Holds records back from a follower that is not in sync while the leader's quota is used up, and counts what goes
    /// out under it.
    fn throttled(&self, partition: &Partition, params: &FetchParams, data: FetchPartitionData) -> FetchPartitionData {
        if data.records.is_empty() || !self.leader_quota.is_limited() {
            return data;
        }
        let replicas = &partition.log().config().leader_replication_throttled_replicas;
        if !is_throttled(replicas, partition.topic_partition.partition, self.config.broker_id) {
            return data;
        }
        let now = self.clock.monotonic_ms();
        let is_in_sync = partition.state().isr().members().contains(&params.replica_id);
        if !is_in_sync && self.leader_quota.is_exceeded(now) {
            return FetchPartitionData { records: Records::Empty, ..data };
        }
        self.leader_quota.record(now, data.records.len());
        data
    }

    /// A replica nearer to the consumer than this leader.
    fn preferred_read_replica(
        &self,
        partition: &Partition,
        params: &FetchParams,
        wanted: &FetchPartition,
    ) -> Option<BrokerId> {
        let rack = params.client_rack.as_deref().filter(|rack| !rack.is_empty() && self.is_rack_aware())?;
        if params.replica_id != CONSUMER_REPLICA_ID {
            return None;
        }
        let state = partition.state();
        state.check_leader(wanted.current_leader_epoch).ok()?;
        let image = self.metadata.load();
        let rack_of = |id: BrokerId| image.brokers.get(&id)?.rack.as_deref();
        state.preferred_read_replica(wanted.fetch_offset, rack, rack_of, self.clock.now_ms())
    }

    /// A follower's fetch says how far it is; the high watermark may follow.
    fn follower_fetched(&self, partition: &Partition, params: &FetchParams, wanted: &FetchPartition) {
        let now = self.clock.now_ms();
        let min_insync_replicas = partition.log().config().min_insync_replicas;
        let fetch = FollowerFetch {
            broker_epoch: params.replica_epoch,
            ..FollowerFetch::new(params.replica_id, wanted.fetch_offset, wanted.log_start_offset)
        };
        let effects =
            partition.change(|state| state.follower_fetched(now, fetch, partition.offsets(), min_insync_replicas));
        for effect in effects {
            match effect {
                PartitionEffect::HighWatermarkAdvanced(_) => {
                    let moved = partition.advance_high_watermark(&partition.state(), now, min_insync_replicas);
                    if let Some(offset) = moved {
                        self.high_watermark_moved(partition.key, offset, usize::MAX);
                    }
                }
                PartitionEffect::LowWatermarkAdvanced => {
                    self.delayed_delete.changed(partition.key, partition.low_watermark());
                }
                PartitionEffect::AlterPartition(proposal) => self.propose(&partition.topic_partition, proposal),
            }
        }
    }
}

impl Round {
    fn is_enough(&self, min_bytes: usize) -> bool {
        self.bytes >= min_bytes || self.urgent
    }
}

enum ReadFailure {
    Refused(ErrorCode),
    Storage(StorageError),
}

impl From<ErrorCode> for ReadFailure {
    fn from(code: ErrorCode) -> Self {
        Self::Refused(code)
    }
}

fn read_partition(
    partition: &Partition,
    params: &FetchParams,
    wanted: &FetchPartition,
    max_bytes: usize,
    min_one_message: bool,
) -> Result<(FetchPartitionData, Offset), ReadFailure> {
    // Held over the read, so that what is returned belongs to the epoch that was checked.
    let state = partition.state();
    let log = partition.log();
    if !wanted.topic_id.is_nil() && log.topic_id().is_some_and(|id| id != wanted.topic_id) {
        return Err(ErrorCode::InconsistentTopicId.into());
    }
    let from_follower = params.replica_id >= 0;
    // Consumers that can be sent to another replica may also read from one (KIP-392).
    if from_follower || (params.replica_id == CONSUMER_REPLICA_ID && params.client_rack.is_none()) {
        state.check_leader(wanted.current_leader_epoch)?;
    } else {
        state.check_epoch(wanted.current_leader_epoch)?;
    }
    if from_follower {
        state.check_follower(params.replica_id, wanted.current_leader_epoch)?;
    }
    let before = ReadableOffsets::from(log.as_ref());
    let end = readable_end(&before, params.isolation);
    let mut data = FetchPartitionData {
        high_watermark: before.offsets.high_watermark,
        last_stable_offset: before.last_stable_offset,
        log_start_offset: before.offsets.log_start_offset,
        aborted: (params.isolation == FetchIsolation::TxnCommitted).then(Vec::new),
        records_base_offset: wanted.fetch_offset,
        ..FetchPartitionData::failed(ErrorCode::None)
    };
    if wanted.last_fetched_epoch != NO_LEADER_EPOCH {
        data.diverging = diverging_epoch(partition, wanted, before.offsets)?;
        if data.diverging.is_some() {
            return Ok((data, end));
        }
    }
    // The usual case of a consumer that has read everything: nothing to look up.
    if wanted.fetch_offset == end {
        return Ok((data, end));
    }
    let read =
        log.read(wanted.fetch_offset, max_bytes, params.isolation, min_one_message).map_err(ReadFailure::Storage)?;
    let FetchData { mut region, base_offset, aborted, .. } = read;
    if region.is_none() && params.hard_max_bytes && wanted.fetch_offset < end && max_bytes > 0 {
        // Clients of that age learn from a cut batch that their limit is too small; from nothing they learn nothing.
        let whole = log.read(wanted.fetch_offset, max_bytes, params.isolation, true).map_err(ReadFailure::Storage)?;
        region = whole.region.map(|region| FileRegion { length: region.length.min(max_bytes), ..region });
    }
    if let Some(region) = region {
        data.records = Records::File(region);
        data.records_base_offset = base_offset;
    }
    if params.isolation == FetchIsolation::TxnCommitted {
        data.aborted = Some(aborted.unwrap_or_default());
    }
    Ok((data, end))
}

/// Where the fetcher's log parts from ours, if it does (KIP-595).
fn diverging_epoch(
    partition: &Partition,
    wanted: &FetchPartition,
    log: LogOffsets,
) -> Result<Option<OffsetAndEpoch>, ReadFailure> {
    let Some(end) = partition.log().end_offset_for_epoch(wanted.last_fetched_epoch) else {
        return Err(ErrorCode::OffsetOutOfRange.into());
    };
    if wanted.fetch_offset < log.log_start_offset || end.leader_epoch == NO_LEADER_EPOCH {
        return Err(ErrorCode::OffsetOutOfRange.into());
    }
    let diverges = end.leader_epoch < wanted.last_fetched_epoch || end.offset < wanted.fetch_offset;
    Ok(diverges.then_some(end))
}

/// The offsets a reader may care about, read before the records so that they never promise more than was there.
struct ReadableOffsets {
    offsets: LogOffsets,
    last_stable_offset: Offset,
}

impl From<&crate::storage::UnifiedLog> for ReadableOffsets {
    fn from(log: &crate::storage::UnifiedLog) -> Self {
        Self {
            offsets: LogOffsets {
                high_watermark: log.high_watermark(),
                log_start_offset: log.log_start_offset(),
                log_end_offset: log.log_end_offset(),
            },
            last_stable_offset: log.last_stable_offset(),
        }
    }
}

fn readable_end(at: &ReadableOffsets, isolation: FetchIsolation) -> Offset {
    match isolation {
        FetchIsolation::LogEnd => at.offsets.log_end_offset,
        FetchIsolation::HighWatermark => at.offsets.high_watermark,
        FetchIsolation::TxnCommitted => at.last_stable_offset,
    }
}

impl FetchPartitionData {
    /// No records: the consumer is sent to another replica.
    fn elsewhere(partition: &Partition, preferred: BrokerId) -> Self {
        let marks = ReadableOffsets::from(partition.log().as_ref());
        Self {
            high_watermark: marks.offsets.high_watermark,
            last_stable_offset: marks.last_stable_offset,
            log_start_offset: marks.offsets.log_start_offset,
            preferred_read_replica: Some(preferred),
            ..Self::failed(ErrorCode::None)
        }
    }

    /// No records; all offsets unknown (−1).
    #[must_use]
    pub fn failed(error: ErrorCode) -> Self {
        Self {
            error,
            high_watermark: NO_OFFSET,
            last_stable_offset: NO_OFFSET,
            log_start_offset: NO_OFFSET,
            aborted: None,
            records: Records::Empty,
            records_base_offset: NO_OFFSET,
            diverging: None,
            preferred_read_replica: None,
        }
    }
}
