//! Who is controller.

use bytes::Bytes;

use super::ClusterStore;
use crate::{
    common::{BrokerId, Timestamp},
    coordination::{
        CoordinationError, CreateMode, MultiOp, MultiResult,
        znode::{controller, notification, paths},
    },
};

/// What a won election is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ElectedController {
    /// Travels in every request to brokers; the first controller of a cluster has 1.
    pub epoch: i32,
    /// Version of `/controller_epoch`: guards every write.
    pub guard: i32,
}

impl ClusterStore {
    /// The current controller. `watch` waits for it to come, go or change.
    pub async fn controller(&self, watch: bool) -> Result<Option<BrokerId>, CoordinationError> {
        if self.store.exists(paths::CONTROLLER, watch).await?.is_none() {
            return Ok(None);
        }
        match self.get(paths::CONTROLLER).await? {
            Some((data, _)) => Ok(Some(controller::decode(&data)?.broker)),
            None => Ok(None),
        }
    }

    /// Tries to become controller: the registration and the next epoch in one multi. `None` if another one is.
    pub async fn elect_controller(
        &self,
        broker: BrokerId,
        now: Timestamp,
    ) -> Result<Option<ElectedController>, CoordinationError> {
        if self.controller(false).await?.is_some_and(|other| other != broker) {
            return Ok(None);
        }
        let (epoch, version) = self.controller_epoch_or_create().await?;
        let next = epoch.wrapping_add(1);
        let steps = vec![
            MultiOp::Create {
                path: paths::CONTROLLER.into(),
                data: controller::encode(broker, now),
                mode: CreateMode::Ephemeral,
            },
            MultiOp::Set {
                path: paths::CONTROLLER_EPOCH.into(),
                data: controller::encode_epoch(next),
                version: Some(version),
            },
        ];
        match self.store.multi(steps).await {
            Ok(results) => match results.last() {
                Some(MultiResult::Set { stat }) => Ok(Some(ElectedController { epoch: next, guard: stat.version })),
                _ => Err(CoordinationError::Store("an election without an answer".into())),
            },
            Err(CoordinationError::NodeExists(_) | CoordinationError::BadVersion(_)) => {
                self.check_won(broker, next).await
            }
            Err(fault) => Err(fault),
        }
    }

    /// The node of finalized features, with which brokers of other kinds expect to start.
    pub async fn create_feature_node(&self, content: &'static str) -> Result<(), CoordinationError> {
        if self.store.exists(paths::FEATURE, false).await?.is_some() {
            return Ok(());
        }
        match self.create_recursive(paths::FEATURE, Bytes::from_static(content.as_bytes())).await {
            Err(CoordinationError::NodeExists(_)) => Ok(()),
            other => other,
        }
    }

    /// Steps down, if this is still the controller that won with `guard`.
    pub async fn resign_controller(&self, guard: i32) -> Result<(), CoordinationError> {
        self.delete_all(Some(guard), &[paths::CONTROLLER.to_owned()]).await
    }

    /// Leaves the seat that this session holds while nobody reigns: a reign that a fault cut short has left it behind, and
    /// as long as the session lives nobody else could take it. Returns whether there was one.
    pub async fn vacate_controller(&self) -> Result<bool, CoordinationError> {
        let held = self.store.exists(paths::CONTROLLER, false).await?;
        if held.is_none_or(|held| held.ephemeral_owner != self.store.session_id()) {
            return Ok(false);
        }
        let (_, guard) = self.controller_epoch_or_create().await?;
        self.resign_controller(guard).await.map(|()| true)
    }

    /// Tells the controller that a log dir of `broker` failed: it finds out by LeaderAndIsr what was in it.
    pub async fn announce_log_dir_failure(&self, broker: BrokerId) -> Result<(), CoordinationError> {
        let announcement = format!("{}/{}", paths::LOG_DIR_EVENT_NOTIFICATION, paths::LOG_DIR_EVENT_PREFIX);
        let data = notification::encode_log_dir_failure(broker);
        self.store.create(&announcement, data, CreateMode::PersistentSequential).await.map(drop)
    }

    /// A multi whose answer was lost may have won: then the registration is ours and the epoch the one we wanted.
    async fn check_won(&self, broker: BrokerId, epoch: i32) -> Result<Option<ElectedController>, CoordinationError> {
        if self.controller(false).await? != Some(broker) {
            return Ok(None);
        }
        let (current, guard) = self.controller_epoch_or_create().await?;
        Ok((current == epoch).then_some(ElectedController { epoch, guard }))
    }

    async fn controller_epoch_or_create(&self) -> Result<(i32, i32), CoordinationError> {
        if let Some((data, stat)) = self.get(paths::CONTROLLER_EPOCH).await? {
            return Ok((controller::decode_epoch(&data)?, stat.version));
        }
        let first: Bytes = controller::encode_epoch(0);
        match self.store.create(paths::CONTROLLER_EPOCH, first, CreateMode::Persistent).await {
            Ok((_, stat)) => return Ok((0, stat.version)),
            Err(CoordinationError::NodeExists(_)) => {}
            Err(fault) => return Err(fault),
        }
        let (data, stat) = self.store.get(paths::CONTROLLER_EPOCH, false).await?;
        Ok((controller::decode_epoch(&data)?, stat.version))
    }
}
