//! Appends as leader and waits for the in-sync replicas (`ReplicaManager.appendRecords`).

use std::time::Duration;

use smallvec::SmallVec;

use super::{
    AppendRequest, AppendResult, ReplicaManager,
    delayed::{PartitionKey, PendingOffsets, fetch::Readable, produce::ProduceDone},
    hosted::{AppendFailure, Partition},
};
use crate::{
    common::{ErrorCode, Offset, Timestamp, TopicPartition, topic_name},
    storage::{AppendInfo, AppendOrigin, StorageError},
};

/// An append that must still be replicated: the place of its answer, and how far the high watermark must get.
struct Unreplicated {
    at: usize,
    key: PartitionKey,
    topic_partition: TopicPartition,
    required_offset: Offset,
}

impl ReplicaManager {
    /// Appends to local leaders; with `acks == -1` waits until all in-sync replicas have it or `timeout_ms` passes
    /// (REQUEST_TIMED_OUT). Answers are in the order of `requests`. `internal_allowed` lets coordinators write
    /// `__consumer_offsets` and `__transaction_state`.
    pub async fn append(
        &self,
        requests: Vec<AppendRequest>,
        acks: i16,
        timeout_ms: i32,
        origin: AppendOrigin,
        internal_allowed: bool,
    ) -> Vec<AppendResult> {
        if !(-1..=1).contains(&acks) {
            return requests.iter().map(|_| AppendResult::failed(ErrorCode::InvalidRequiredAcks)).collect();
        }
        let now = self.clock.now_ms();
        let mut results = Vec::with_capacity(requests.len());
        let mut unreplicated: SmallVec<[Unreplicated; 1]> = SmallVec::new();
        for (at, request) in requests.into_iter().enumerate() {
            let (result, waits_for) = self.append_one(request, acks, origin, internal_allowed, now);
            results.push(result);
            if let Some((key, topic_partition, required_offset)) = waits_for {
                unreplicated.push(Unreplicated { at, key, topic_partition, required_offset });
            }
        }
        if !unreplicated.is_empty() {
            self.await_replication(&mut results, unreplicated, timeout_ms).await;
        }
        results
    }

    /// Appends one partition's records. The second value is set if the high watermark has yet to cover them.
    fn append_one(
        &self,
        request: AppendRequest,
        acks: i16,
        origin: AppendOrigin,
        internal_allowed: bool,
        now: Timestamp,
    ) -> (AppendResult, Option<(PartitionKey, TopicPartition, Offset)>) {
        let AppendRequest { topic_partition, records, verification } = request;
        let all_topics = &self.topic_stats.all_topics;
        all_topics.total_produce_requests.mark(1);
        if !internal_allowed && topic_name::is_internal(&topic_partition.topic) {
            return (AppendResult::failed(ErrorCode::InvalidTopicException), None);
        }
        let partition = match self.partition(&topic_partition) {
            Ok(partition) => partition,
            Err(code) => return (AppendResult::failed(code), None),
        };
        partition.topic_metrics.total_produce_requests.mark(1);
        let bytes = records.len();
        match partition.append_as_leader(records, acks, origin, verification, now) {
            Ok((info, high_watermark)) => {
                for counters in [all_topics, &partition.topic_metrics] {
                    counters.bytes_in.mark(bytes as u64);
                    counters.messages_in.mark(u64::try_from(info.record_count).unwrap_or(0));
                    if info.converted {
                        counters.produce_message_conversions.mark(u64::try_from(info.record_count).unwrap_or(0));
                    }
                }
                // Followers first: they have the longer way.
                self.delayed_fetch.changed(partition.key, Readable::Appended(info.bytes));
                if let Some(offset) = high_watermark {
                    self.high_watermark_moved(partition.key, offset, info.bytes);
                }
                let waits = self.waits_for(&partition, topic_partition, acks, info.last_offset + 1);
                (AppendResult::appended(&info), waits)
            }
            Err(AppendFailure::Storage(StorageError::DuplicateSequence {
                base_offset,
                last_offset,
                append_time,
                log_start_offset,
            })) => {
                let waits = self.waits_for(&partition, topic_partition, acks, last_offset + 1);
                let mut result = AppendResult::failed(ErrorCode::None);
                result.base_offset = base_offset;
                result.last_offset = last_offset;
                result.log_append_time = append_time;
                result.log_start_offset = log_start_offset;
                (result, waits)
            }
            Err(failure) => (self.append_failed(&partition, failure, bytes), None),
        }
    }

    fn waits_for(
        &self,
        partition: &Partition,
        topic_partition: TopicPartition,
        acks: i16,
        required_offset: Offset,
    ) -> Option<(PartitionKey, TopicPartition, Offset)> {
        let pending = acks == -1 && partition.log().high_watermark() < required_offset;
        pending.then_some((partition.key, topic_partition, required_offset))
    }

    fn append_failed(&self, partition: &Partition, failure: AppendFailure, bytes: usize) -> AppendResult {
        let counters = [&self.topic_stats.all_topics, &partition.topic_metrics];
        let failure = match failure {
            AppendFailure::Refused(code) => {
                let mut result = AppendResult::failed(code);
                if code == ErrorCode::NotEnoughReplicas {
                    counters.iter().for_each(|counters| counters.failed_produce_requests.mark(1));
                    result.log_start_offset = partition.log().log_start_offset();
                }
                return result;
            }
            AppendFailure::Storage(failure) => failure,
        };
        let mut result = AppendResult::failed(self.note_failure(&partition.topic_partition, &failure));
        match result.error {
            // The broker's own trouble and plain client mistakes don't count as failures, as in Kafka.
            ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge => {
                counters.iter().for_each(|counters| counters.bytes_rejected.mark(bytes as u64));
            }
            ErrorCode::NotLeaderOrFollower | ErrorCode::CorruptMessage | ErrorCode::KafkaStorageError => {}
            code => {
                tracing::debug!(partition = %partition.topic_partition, %code, %failure, "append refused");
                counters.iter().for_each(|counters| counters.failed_produce_requests.mark(1));
                result.log_start_offset = partition.log().log_start_offset();
            }
        }
        if let StorageError::Refused { message, record_errors, .. } = failure {
            // Kafka sends its words only along with the records they are about; other refusals speak by their code.
            if !record_errors.is_empty() {
                result.error_message = Some(message);
            }
            result.record_errors = record_errors;
        }
        result
    }

    /// Waits for the rest of the ISR, then says of each append how it went.
    async fn await_replication(
        &self,
        results: &mut [AppendResult],
        unreplicated: SmallVec<[Unreplicated; 1]>,
        timeout_ms: i32,
    ) {
        let timeout = Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0));
        let outcomes = || unreplicated.iter().map(|one| self.replication_outcome(one));
        let done = ProduceDone(PendingOffsets::new(unreplicated.iter().map(|one| (one.key, one.required_offset))));
        let keys: SmallVec<[PartitionKey; 1]> = unreplicated.iter().map(|one| one.key).collect();
        self.delayed_produce.wait(keys, done, timeout, || outcomes().all(|outcome| outcome.is_some())).await;
        for (one, outcome) in unreplicated.iter().zip(outcomes()) {
            let error = outcome.unwrap_or(ErrorCode::RequestTimedOut);
            if !error.is_none() {
                results[one.at].error = error;
            }
        }
    }

    /// `None`: not there yet. Records may be committed although the ISR has shrunk below the minimum meanwhile.
    fn replication_outcome(&self, one: &Unreplicated) -> Option<ErrorCode> {
        let partition = match self.partition(&one.topic_partition) {
            Ok(partition) => partition,
            Err(code) => return Some(code),
        };
        let state = partition.state();
        if !state.is_leader() {
            return Some(ErrorCode::NotLeaderOrFollower);
        }
        if partition.log().high_watermark() < one.required_offset {
            return None;
        }
        let enough = state.effective_min_isr(partition.log().config().min_insync_replicas) <= state.isr().maximal_len();
        Some(if enough { ErrorCode::None } else { ErrorCode::NotEnoughReplicasAfterAppend })
    }
}

impl AppendResult {
    /// Nothing was appended; all offsets and times are unknown (−1).
    #[must_use]
    pub fn failed(error: ErrorCode) -> Self {
        Self {
            error,
            error_message: None,
            base_offset: -1,
            last_offset: -1,
            log_append_time: -1,
            log_start_offset: -1,
            record_errors: Vec::new(),
        }
    }

    fn appended(info: &AppendInfo) -> Self {
        Self {
            base_offset: info.first_offset,
            last_offset: info.last_offset,
            log_append_time: info.log_append_time,
            log_start_offset: info.log_start_offset,
            ..Self::failed(ErrorCode::None)
        }
    }
}
