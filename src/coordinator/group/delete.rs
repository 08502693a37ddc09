//! DeleteGroups and OffsetDelete (KIP-229, KIP-496).

use std::sync::Arc;

use super::{
    command::{After, Reply, ReplyTo, Step, Write},
    records,
    shard::GroupShard,
    state::GroupState,
};
use crate::common::{ErrorCode, TopicPartition};

impl GroupShard {
    /// Only a group without members can be deleted.
    pub fn delete_group(&mut self, group_id: &str, reply: ReplyTo) -> Step {
        let Some(group) = self.groups.get_mut(group_id) else {
            return Step::reply(reply, Reply::DeleteGroup(ErrorCode::GroupIdNotFound));
        };
        if !group.is(GroupState::Empty) {
            return Step::reply(reply, Reply::DeleteGroup(ErrorCode::NonEmptyGroup));
        }
        let id = Arc::clone(&group.id);
        let all: Vec<_> = group.offsets.keys().chain(group.pending_offsets.keys()).cloned().collect();
        let removed = group.remove_offsets(all);
        let mut step = Step::default();
        self.bury(&mut step, &id, &removed, Some((reply, Reply::DeleteGroup(ErrorCode::None))));
        step
    }

    /// Drops offsets of partitions that no member consumes.
    pub fn delete_offsets(&mut self, group_id: &str, partitions: Vec<TopicPartition>, reply: ReplyTo) -> Step {
        let Some(group) = self.groups.get_mut(group_id) else {
            return Step::reply(reply, Reply::DeleteOffsets(Err(ErrorCode::GroupIdNotFound)));
        };
        let (consumed, free): (Vec<_>, Vec<_>) = if group.is(GroupState::Empty) {
            (Vec::new(), partitions)
        } else if group.is_consumer_group() {
            partitions.into_iter().partition(|tp| group.is_subscribed_to(&tp.topic))
        } else {
            return Step::reply(reply, Reply::DeleteOffsets(Err(ErrorCode::NonEmptyGroup)));
        };
        let mut answers: Vec<_> = consumed.into_iter().map(|tp| (tp, ErrorCode::GroupSubscribedToTopic)).collect();
        answers.extend(free.iter().map(|tp| (tp.clone(), ErrorCode::None)));
        let answer = (reply, Reply::DeleteOffsets(Ok(answers)));
        let nothing_to_do = free.is_empty();
        let removed = group.remove_offsets(free);
        let mut step = Step::default();
        let id = Arc::clone(&group.id);
        if nothing_to_do {
            step.replies.push(answer);
        } else if group.is(GroupState::Empty) && !group.has_offsets() {
            self.bury(&mut step, &id, &removed, Some(answer));
        } else if removed.is_empty() {
            step.replies.push(answer);
        } else {
            let records = removed.iter().map(|tp| records::offset_tombstone(&id, tp)).collect();
            let after = After::Tombstones { group: id, reply: Some(answer) };
            step.writes.push(Write { records, transaction: None, after });
        }
        step
    }
}
