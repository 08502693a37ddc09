//! Loading: the records of a partition of `__consumer_offsets`, from its start, become groups again
//! (`GroupMetadataManager.doLoadGroupsAndOffsets`).

use std::sync::Arc;

use super::{
    command::{Now, Step},
    group::{Env, Group},
    member::Member,
    offsets::{CommittedOffset, PendingOffset},
    records::{self, GroupMetadataValue, OffsetAndMetadata, RecordKey},
    shard::GroupShard,
    state::GroupState,
};
use crate::common::{ProducerId, TopicPartition};

pub use crate::coordinator::machine::BatchFacts;

impl GroupShard {
    /// Applies one record. What cannot be read is left out with a warning: one bad record must not take a partition of
    /// groups with it.
    pub fn replay(&mut self, now: Now, key: &[u8], value: Option<&[u8]>, batch: BatchFacts) {
        let outcome = match records::read_key(key) {
            Ok(RecordKey::Offset { group, topic_partition }) => match value.map(records::read_offset_value).transpose()
            {
                Ok(value) => {
                    self.replay_offset(now, group, topic_partition, value, batch);
                    Ok(())
                }
                Err(fault) => Err(fault),
            },
            Ok(RecordKey::Group { group }) => match value.map(records::read_group_value).transpose() {
                Ok(value) => {
                    self.replay_group(now, group, value);
                    Ok(())
                }
                Err(fault) => Err(fault),
            },
            Ok(RecordKey::Unknown { version }) => {
                tracing::warn!(version, "unknown record key, ignored; left over from another version perhaps");
                Ok(())
            }
            Err(fault) => Err(fault),
        };
        if let Err(fault) = outcome {
            tracing::error!(%fault, batch = batch.first_offset, "record of __consumer_offsets cannot be read, ignored");
        }
    }

    /// A transaction's marker.
    pub fn replay_marker(&mut self, producer: ProducerId, committed: bool) {
        self.complete_transaction(producer, committed);
    }

    /// Everything is replayed: groups without content go, members get a session each to show up in.
    pub fn finish_loading(&mut self, now: Now) -> Step {
        self.groups.retain(|_, group| group.has_offsets() || group.generation_is_logged());
        let mut step = Step::default();
        let (config, timers) = (&self.config, &mut self.timers);
        for group in self.groups.values_mut() {
            let mut env = Env { now, config, timers: &mut *timers, step: &mut step };
            if i64::try_from(group.members.len()).unwrap_or(i64::MAX) > i64::from(config.max_size) {
                group.prepare_rebalance(&mut env, "freshly loaded group is over capacity");
            }
            let ids: Vec<_> = group.members.keys().cloned().collect();
            for id in &ids {
                group.schedule_session(&mut env, id);
            }
        }
        step
    }

    fn loading_group(&mut self, now: Now, id: Arc<str>) -> &mut Group {
        self.groups.entry(Arc::clone(&id)).or_insert_with(|| Group::new(id, now.wall_ms))
    }

    fn replay_offset(
        &mut self,
        now: Now,
        group_id: Arc<str>,
        tp: TopicPartition,
        value: Option<OffsetAndMetadata>,
        batch: BatchFacts,
    ) {
        match (batch.producer, value) {
            (None, None) => {
                if let Some(group) = self.groups.get_mut(&group_id) {
                    group.offsets.swap_remove(&tp);
                }
            }
            (None, Some(value)) => {
                let committed = CommittedOffset { appended_at: Some(batch.first_offset), value };
                self.loading_group(now, group_id).offsets.insert(tp, committed);
            }
            (Some(producer), None) => {
                if let Some(group) = self.groups.get_mut(&group_id) {
                    group.unstage_transactional(producer, &tp);
                }
            }
            (Some(producer), Some(value)) => {
                self.note_open_transaction(producer, Arc::clone(&group_id));
                let committed = CommittedOffset { appended_at: Some(batch.first_offset), value };
                let group = self.loading_group(now, group_id);
                let pending = PendingOffset { logged: Some(committed), staged: 0 };
                group.pending_transactions.entry(producer).or_default().insert(tp, pending);
            }
        }
    }

    /// The newest generation wins; a tombstone leaves only the offsets, which have tombstones of their own.
    fn replay_group(&mut self, now: Now, id: Arc<str>, value: Option<GroupMetadataValue>) {
        let mut group = Group::new(Arc::clone(&id), now.wall_ms);
        if let Some(old) = self.groups.get_mut(&id) {
            group.offsets = std::mem::take(&mut old.offsets);
            group.pending_transactions = std::mem::take(&mut old.pending_transactions);
        }
        if let Some(value) = value {
            group.load(value);
        }
        self.groups.insert(id, group);
    }
}

impl Group {
    fn load(&mut self, value: GroupMetadataValue) {
        self.generation = value.generation;
        self.protocol_name = value.protocol;
        self.leader = value.leader;
        let protocol = self.protocol_name.clone().unwrap_or_default();
        for member in value.members {
            if member.group_instance_id.as_ref().is_some_and(|id| self.static_members.contains_key(id)) {
                tracing::error!(group = %self.id, member = %member.member_id, "static member loaded twice, ignored");
                continue;
            }
            let loaded = Member {
                group_instance_id: member.group_instance_id,
                client_id: member.client_id,
                client_host: member.client_host,
                rebalance_timeout_ms: member.rebalance_timeout_ms,
                session_timeout_ms: member.session_timeout_ms,
                protocols: vec![(Arc::clone(&protocol), member.subscription)],
                assignment: member.assignment,
                is_new: false,
                join_reply: None,
                sync_reply: None,
            };
            self.add(member.member_id, loaded, &value.protocol_type);
        }
        self.protocol_type = (!value.protocol_type.is_empty()).then_some(value.protocol_type);
        let state = if self.members.is_empty() { GroupState::Empty } else { GroupState::Stable };
        let since = (value.current_state_timestamp != -1).then_some(value.current_state_timestamp);
        self.set_loaded_state(state, since);
        self.mark_loaded();
        self.subscribed_topics = self.compute_subscribed_topics();
    }
}
