//! OffsetFetch: what is committed, and with `require_stable` whether it will stay so.

use std::sync::Arc;

use super::{command::FetchedOffset, shard::GroupShard};
use crate::common::{
    ErrorCode, TopicPartition,
    ids::{NO_LEADER_EPOCH, NO_OFFSET},
};

impl GroupShard {
    /// `None` asks for all partitions. An unknown group has committed nothing.
    #[must_use]
    pub fn fetch_offsets(
        &self,
        group_id: &str,
        partitions: Option<Vec<TopicPartition>>,
        require_stable: bool,
    ) -> Vec<FetchedOffset> {
        let group = self.groups.get(group_id);
        let asked = match (partitions, group) {
            (Some(partitions), _) => partitions,
            (None, Some(group)) => group.offsets.keys().cloned().collect(),
            (None, None) => Vec::new(),
        };
        let fetch = |tp: TopicPartition| {
            let Some(group) = group else { return nothing(tp, ErrorCode::None) };
            if require_stable && group.has_pending_offset(&tp) {
                return nothing(tp, ErrorCode::UnstableOffsetCommit);
            }
            match group.committed_offset(&tp) {
                None => nothing(tp, ErrorCode::None),
                Some(committed) => FetchedOffset {
                    offset: committed.offset,
                    leader_epoch: committed.leader_epoch,
                    metadata: Arc::clone(&committed.metadata),
                    topic_partition: tp,
                    error: ErrorCode::None,
                },
            }
        };
        asked.into_iter().map(fetch).collect()
    }
}

fn nothing(topic_partition: TopicPartition, error: ErrorCode) -> FetchedOffset {
    FetchedOffset { topic_partition, offset: NO_OFFSET, leader_epoch: NO_LEADER_EPOCH, metadata: Arc::from(""), error }
}
