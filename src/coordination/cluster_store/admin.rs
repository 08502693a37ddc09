//! What brokers and older tools leave for the controller to find.

use super::{ClusterStore, guard_step};
use crate::{
    common::{BrokerId, TopicPartition},
    coordination::{
        CoordinationError, CreateMode, MultiOp,
        znode::{BadZnode, admin, notification, paths},
    },
};

impl ClusterStore {
    /// Brokers that announced a failed log dir; the announcements are taken away. Waits for more.
    pub async fn take_log_dir_failures(&self, guard: i32) -> Result<Vec<BrokerId>, CoordinationError> {
        self.take_notes(guard, paths::LOG_DIR_EVENT_NOTIFICATION, notification::decode_log_dir_failure).await
    }

    /// Partitions whose leaders wrote another ISR themselves (before protocol 2.7). Waits for more.
    pub async fn take_isr_changes(&self, guard: i32) -> Result<Vec<TopicPartition>, CoordinationError> {
        let lists = self.take_notes(guard, paths::ISR_CHANGE_NOTIFICATION, admin::decode_partitions).await?;
        Ok(lists.into_iter().flatten().collect())
    }

    /// Tells the controller of ISRs that their leaders here have changed.
    pub async fn announce_isr_changes(&self, partitions: &[TopicPartition]) -> Result<(), CoordinationError> {
        let announcement = format!("{}/{}", paths::ISR_CHANGE_NOTIFICATION, paths::ISR_CHANGE_PREFIX);
        let data = admin::encode_partitions(partitions);
        self.store.create(&announcement, data, CreateMode::PersistentSequential).await.map(drop)
    }

    /// An unreadable one is taken away like the others.
    async fn take_notes<T>(
        &self,
        guard: i32,
        parent: &str,
        decode: impl Fn(&[u8]) -> Result<T, BadZnode>,
    ) -> Result<Vec<T>, CoordinationError> {
        let names = self.children(parent, true).await?;
        let paths: Vec<String> = names.into_iter().map(|name| format!("{parent}/{name}")).collect();
        let mut notes = Vec::with_capacity(paths.len());
        for (path, found) in paths.iter().zip(self.get_all(&paths, false).await?) {
            match found.map(|(data, _)| decode(&data)) {
                Some(Ok(note)) => notes.push(note),
                Some(Err(fault)) => tracing::error!(%path, %fault, "ignoring a notification"),
                None => {}
            }
        }
        self.delete_all(Some(guard), &paths).await?;
        Ok(notes)
    }

    /// Moves that an older tool asks for. `None` if there is no such wish; one that cannot be read is an empty one.
    /// Waits for another.
    pub async fn reassignment_wish(&self) -> Result<Option<Vec<(TopicPartition, Vec<BrokerId>)>>, CoordinationError> {
        self.wish(paths::REASSIGN_PARTITIONS, admin::decode_reassignment).await
    }

    /// Partitions that an older tool wants led by their preferred leaders. As above.
    pub async fn preferred_election_wish(&self) -> Result<Option<Vec<TopicPartition>>, CoordinationError> {
        self.wish(paths::PREFERRED_REPLICA_ELECTION, admin::decode_partitions).await
    }

    async fn wish<T>(
        &self,
        path: &str,
        decode: impl Fn(&[u8]) -> Result<Vec<T>, BadZnode>,
    ) -> Result<Option<Vec<T>>, CoordinationError> {
        if self.store.exists(path, true).await?.is_none() {
            return Ok(None);
        }
        let Some((data, _)) = self.get(path).await? else { return Ok(None) };
        Ok(Some(decode(&data).unwrap_or_else(|fault| {
            tracing::error!(%path, %fault, "ignoring a wish");
            Vec::new()
        })))
    }

    /// What is left of a wish to move partitions; with nothing left it is taken away.
    pub async fn set_reassignment_wish(
        &self,
        guard: i32,
        moves: &[(TopicPartition, Vec<BrokerId>)],
    ) -> Result<(), CoordinationError> {
        if moves.is_empty() {
            return self.delete_all(Some(guard), &[paths::REASSIGN_PARTITIONS.to_owned()]).await;
        }
        let set = MultiOp::Set {
            path: paths::REASSIGN_PARTITIONS.into(),
            data: admin::encode_reassignment(moves),
            version: None,
        };
        self.store.multi(vec![guard_step(guard), set]).await.map(drop)
    }

    pub async fn delete_preferred_election_wish(&self, guard: i32) -> Result<(), CoordinationError> {
        self.delete_all(Some(guard), &[paths::PREFERRED_REPLICA_ELECTION.to_owned()]).await
    }
}
