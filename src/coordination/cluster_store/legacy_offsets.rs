//! Offsets of the consumers that kept them in ZooKeeper themselves: OffsetCommit and OffsetFetch v0.

use bytes::Bytes;

use super::ClusterStore;
use crate::{common::Offset, coordination::CoordinationError};

fn path(group_id: &str, topic: &str, partition: i32) -> Result<String, CoordinationError> {
    // A group id comes from a client: it names one node, not a way through the tree.
    let is_node_name = !matches!(group_id, "" | "." | "..") && !group_id.contains(['/', '\0']);
    if !is_node_name {
        return Err(CoordinationError::BadArguments(format!("group id {group_id:?} cannot be a node's name")));
    }
    Ok(format!("/consumers/{group_id}/offsets/{topic}/{partition}"))
}

impl ClusterStore {
    /// `None` if the group never committed here, or not a number.
    pub async fn legacy_offset(
        &self,
        group_id: &str,
        topic: &str,
        partition: i32,
    ) -> Result<Option<Offset>, CoordinationError> {
        match self.store.get(&path(group_id, topic, partition)?, false).await {
            Ok((data, _)) => Ok(std::str::from_utf8(&data).ok().and_then(|text| text.trim().parse().ok())),
            Err(CoordinationError::NoNode(_)) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    pub async fn set_legacy_offset(
        &self,
        group_id: &str,
        topic: &str,
        partition: i32,
        offset: Offset,
    ) -> Result<(), CoordinationError> {
        self.set_or_create(&path(group_id, topic, partition)?, Bytes::from(offset.to_string())).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordination::embedded::EmbeddedStore;

    #[tokio::test]
    async fn offsets_are_kept_where_old_consumers_look() {
        let store = ClusterStore::new(EmbeddedStore::in_memory());
        store.create_persistent_paths().await.unwrap();
        assert_eq!(store.legacy_offset("g", "t", 0).await, Ok(None));
        store.set_legacy_offset("g", "t", 0, 41).await.unwrap();
        store.set_legacy_offset("g", "t", 0, 42).await.unwrap();
        assert_eq!(store.legacy_offset("g", "t", 0).await, Ok(Some(42)));
        let (data, _) = store.store().get("/consumers/g/offsets/t/0", false).await.unwrap();
        assert_eq!(data, "42");
    }

    #[tokio::test]
    async fn a_group_id_is_no_way_through_the_tree() {
        let store = ClusterStore::new(EmbeddedStore::in_memory());
        for group in ["", ".", "..", "a/b", "a\0"] {
            assert!(store.set_legacy_offset(group, "t", 0, 1).await.is_err(), "{group:?}");
        }
    }
}
