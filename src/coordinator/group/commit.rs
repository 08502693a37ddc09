//! OffsetCommit and TxnOffsetCommit: who may commit, and when a commit becomes visible.

use std::sync::Arc;

use super::{
    command::{After, CommitOffsets, OffsetsWritten, Reply, ReplyTo, Step, Write, WriteOutcome},
    group::{Env, Group},
    records,
    shard::GroupShard,
    state::GroupState,
};
use crate::{
    common::{ErrorCode, TopicPartition},
    coordinator::codec::STRING_BYTES_MAX,
};

impl Group {
    pub(super) fn commit(&mut self, env: &mut Env<'_>, cmd: CommitOffsets, reply: ReplyTo) {
        if let Err(error) = self.validate_commit(&cmd) {
            return refuse(env.step, &cmd, reply, error);
        }
        if cmd.transaction.is_none() {
            match self.state() {
                GroupState::Empty | GroupState::Dead => {}
                // While a rebalance is prepared members may still commit; their heartbeats tell them of it.
                GroupState::Stable | GroupState::PreparingRebalance => self.schedule_session(env, &cmd.member_id),
                // It knows the new generation, so it should wait for its assignment.
                GroupState::CompletingRebalance => {
                    return refuse(env.step, &cmd, reply, ErrorCode::RebalanceInProgress);
                }
            }
        }
        self.store_offsets(env, cmd, reply);
    }

    fn validate_commit(&self, cmd: &CommitOffsets) -> Result<(), ErrorCode> {
        let is_empty = self.is(GroupState::Empty);
        if cmd.generation < 0 && is_empty {
            // An administrator, or a consumer that assigns its partitions itself.
            return Ok(());
        }
        if cmd.generation >= 0 || !cmd.member_id.is_empty() || cmd.group_instance_id.is_some() {
            self.validate_member(&cmd.member_id, cmd.group_instance_id.as_deref())?;
            return if cmd.generation == self.generation { Ok(()) } else { Err(ErrorCode::IllegalGeneration) };
        }
        // Old transactional producers name no member (before KIP-447).
        if cmd.transaction.is_none() && !is_empty { Err(ErrorCode::UnknownMemberId) } else { Ok(()) }
    }

    fn store_offsets(&mut self, env: &mut Env<'_>, cmd: CommitOffsets, reply: ReplyTo) {
        let fits = |metadata: &str| metadata_fits(metadata, env.config.offset_metadata_max_bytes);
        let mut written = Vec::with_capacity(cmd.offsets.len());
        let mut too_large = Vec::new();
        for (tp, value) in cmd.offsets {
            if fits(&value.metadata) {
                written.push((tp, value));
            } else {
                too_large.push(tp);
            }
        }
        if written.is_empty() {
            let answer = answers(written.into_iter(), ErrorCode::None, too_large);
            return env.reply(reply, Reply::Commit(answer));
        }
        let records = written.iter().map(|(tp, value)| records::offset_record(&self.id, tp, value)).collect();
        for (tp, value) in &written {
            match cmd.transaction {
                Some(producer) => self.stage_transactional(producer.id, tp.clone()),
                None => {
                    self.pending_offsets.insert(tp.clone(), value.clone());
                }
            }
        }
        let group = Arc::clone(&self.id);
        let transaction = cmd.transaction;
        let after = After::Offsets(Box::new(OffsetsWritten { group, written, too_large, transaction, reply }));
        env.step.writes.push(Write { records, transaction, after });
    }
}

impl GroupShard {
    /// The batch of a commit is in the log, or not.
    pub(super) fn offsets_written(&mut self, step: &mut Step, done: OffsetsWritten, outcome: WriteOutcome) {
        if let Some(group) = self.groups.get_mut(&done.group) {
            for (tp, value) in &done.written {
                match (done.transaction, outcome) {
                    (Some(producer), Ok(at)) => group.transactional_appended(producer.id, tp, value, at),
                    (Some(producer), Err(_)) => group.unstage_transactional(producer.id, tp),
                    (None, outcome) => {
                        // Not staged any more: deleted meanwhile, its tombstone follows in the log.
                        if let Ok(at) = outcome
                            && group.pending_offsets.contains_key(tp)
                        {
                            group.offset_appended(tp, value.clone(), at);
                        }
                        group.unstage_offset(tp, value);
                    }
                }
            }
            if let Some(producer) = done.transaction
                && !group.pending_transactions.contains_key(&producer.id)
            {
                self.forget_open_transaction(producer.id, &done.group);
            }
        }
        let error = outcome.err().map_or(ErrorCode::None, commit_error);
        let answer = answers(done.written.into_iter(), error, done.too_large);
        step.replies.push((done.reply, Reply::Commit(answer)));
    }
}

/// All partitions get the same refusal.
pub(super) fn refuse(step: &mut Step, cmd: &CommitOffsets, reply: ReplyTo, error: ErrorCode) {
    let answer = cmd.offsets.keys().map(|tp| (tp.clone(), error)).collect();
    step.replies.push((reply, Reply::Commit(answer)));
}

fn answers<V>(
    written: impl Iterator<Item = (TopicPartition, V)>,
    error: ErrorCode,
    too_large: Vec<TopicPartition>,
) -> Vec<(TopicPartition, ErrorCode)> {
    let mut answers: Vec<_> = written.map(|(tp, _)| (tp, error)).collect();
    answers.extend(too_large.into_iter().map(|tp| (tp, ErrorCode::OffsetMetadataTooLarge)));
    answers
}

/// The limit is in Java's string length: UTF-16 units. Beyond 32 767 bytes the record could not hold it anyway.
fn metadata_fits(metadata: &str, units_max: i32) -> bool {
    let units_max = usize::try_from(units_max).unwrap_or(0);
    metadata.len() <= STRING_BYTES_MAX && (metadata.len() <= units_max || metadata.encode_utf16().count() <= units_max)
}

/// What a committer is told of a failed append (`GroupMetadataManager.maybeConvertOffsetCommitError`).
#[must_use]
pub fn commit_error(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::NetworkException => ErrorCode::CoordinatorLoadInProgress,
        ErrorCode::UnknownTopicOrPartition | ErrorCode::NotEnoughReplicas | ErrorCode::NotEnoughReplicasAfterAppend => {
            ErrorCode::CoordinatorNotAvailable
        }
        ErrorCode::NotLeaderOrFollower | ErrorCode::KafkaStorageError => ErrorCode::NotCoordinator,
        ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge | ErrorCode::InvalidFetchSize => {
            ErrorCode::InvalidCommitOffsetSize
        }
        other => other,
    }
}

/// What members are told of a failed append of a generation (`GroupMetadataManager.storeGroup`).
#[must_use]
pub fn group_write_error(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::UnknownTopicOrPartition | ErrorCode::NotEnoughReplicas | ErrorCode::NotEnoughReplicasAfterAppend => {
            ErrorCode::CoordinatorNotAvailable
        }
        ErrorCode::NotLeaderOrFollower | ErrorCode::KafkaStorageError => ErrorCode::NotCoordinator,
        ErrorCode::RequestTimedOut => ErrorCode::RebalanceInProgress,
        ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge | ErrorCode::InvalidFetchSize => {
            ErrorCode::UnknownServerError
        }
        other => other,
    }
}
