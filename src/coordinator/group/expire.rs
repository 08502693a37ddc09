//! Offsets that are too old, and groups that have nothing left (KIP-211).

use std::sync::Arc;

use super::{
    command::{After, Now, Reply, ReplyTo, Step, Write},
    records,
    shard::GroupShard,
    state::GroupState,
};
use crate::common::TopicPartition;

impl GroupShard {
    /// The periodic look at all groups (`offsets.retention.check.interval.ms`).
    pub fn expire_offsets(&mut self, now: Now) -> Step {
        let retention_ms = self.config.offsets_retention_ms;
        self.cleanup(|group| group.remove_expired_offsets(now.wall_ms, retention_ms))
    }

    /// Partitions are gone with their topics: so are the positions in them.
    pub fn partitions_deleted(&mut self, deleted: &[TopicPartition]) -> Step {
        self.cleanup(|group| {
            let known: Vec<_> = deleted.iter().filter(|tp| group.offsets.contains_key(*tp)).cloned().collect();
            group.remove_offsets(known)
        })
    }

    fn cleanup(&mut self, mut remove: impl FnMut(&mut super::group::Group) -> Vec<TopicPartition>) -> Step {
        let mut step = Step::default();
        let mut dead = Vec::new();
        for group in self.groups.values_mut() {
            let removed = remove(group);
            if group.is(GroupState::Empty) && !group.has_offsets() {
                dead.push((Arc::clone(&group.id), removed));
            } else if !removed.is_empty() {
                let records = removed.iter().map(|tp| records::offset_tombstone(&group.id, tp)).collect();
                let after = After::Tombstones { group: Arc::clone(&group.id), reply: None };
                step.writes.push(Write { records, transaction: None, after });
            }
        }
        for (id, removed) in dead {
            self.bury(&mut step, &id, &removed, None);
        }
        step
    }

    /// Takes a group out and writes its tombstones. A generation of 0 was never written, so it needs none.
    pub(super) fn bury(
        &mut self,
        step: &mut Step,
        id: &Arc<str>,
        removed: &[TopicPartition],
        reply: Option<(ReplyTo, Reply)>,
    ) {
        let Some(group) = self.forget_group(id) else { return };
        tracing::info!(group = %id, generation = group.generation, offsets = removed.len(), "group is removed");
        let mut records: Vec<_> = removed.iter().map(|tp| records::offset_tombstone(id, tp)).collect();
        if group.generation > 0 {
            records.push(records::group_tombstone(id));
        }
        if records.is_empty() {
            step.replies.extend(reply);
        } else {
            let after = After::Tombstones { group: Arc::clone(id), reply };
            step.writes.push(Write { records, transaction: None, after });
        }
    }
}
