//! Registrations of brokers.

use bytes::Bytes;

use super::ClusterStore;
use crate::{
    common::BrokerId,
    coordination::{
        CoordinationError, CreateMode, MultiOp, MultiResult,
        znode::{broker::BrokerRegistration, paths},
    },
    metadata::BrokerImage,
};

impl ClusterStore {
    /// Registers a broker for as long as the session lives; the answer is its broker epoch. NODEEXISTS if another
    /// session holds the id.
    pub async fn register_broker(&self, broker: &BrokerRegistration) -> Result<i64, CoordinationError> {
        let path = paths::broker(broker.id);
        match self.create_registration(&path, broker.encode()).await {
            Err(CoordinationError::NodeExists(_)) => {}
            other => return other,
        }
        // Our own, from a call whose answer was lost: make it anew, so that its number is known. Or a leftover of a
        // session of ours that has expired (KAFKA-7165).
        if let Some((_, stat)) = self.get(&path).await? {
            let owner = stat.ephemeral_owner;
            if owner != self.store.session_id() && !self.store.is_former_session(owner) {
                return Err(CoordinationError::NodeExists(path));
            }
            self.unregister_broker(broker.id).await?;
        }
        self.create_registration(&path, broker.encode()).await
    }

    /// Advertises other addresses without a new broker epoch.
    pub async fn update_broker(&self, broker: &BrokerRegistration) -> Result<(), CoordinationError> {
        self.store.set(&paths::broker(broker.id), broker.encode(), None).await.map(drop)
    }

    /// Goes away at once instead of with the session.
    pub async fn unregister_broker(&self, id: BrokerId) -> Result<(), CoordinationError> {
        match self.store.delete(&paths::broker(id), None).await {
            Err(CoordinationError::NoNode(_)) => Ok(()),
            other => other,
        }
    }

    /// All registered brokers by ascending id. `watch` waits for one to come or go.
    pub async fn brokers(&self, watch: bool) -> Result<Vec<BrokerImage>, CoordinationError> {
        let names = self.children(paths::BROKER_IDS, watch).await?;
        let mut ids: Vec<BrokerId> = names.iter().filter_map(|name| name.parse().ok()).collect();
        ids.sort_unstable();
        let paths: Vec<String> = ids.iter().map(|id| paths::broker(*id)).collect();
        let mut brokers = Vec::with_capacity(ids.len());
        for (id, found) in ids.into_iter().zip(self.get_all(&paths, watch).await?) {
            let Some((data, stat)) = found else { continue };
            match BrokerRegistration::decode(id, &data) {
                Ok(broker) => brokers.push(broker.to_image(stat.czxid)),
                // One that nobody can speak to must not keep the others from being led.
                Err(fault) => tracing::error!(broker = id, %fault, "ignoring a registration"),
            }
        }
        Ok(brokers)
    }

    /// An id above `reserved.broker.max.id` that no other broker has: the number of times `/brokers/seqid` was written.
    pub async fn generate_broker_id(&self, reserved_max: BrokerId) -> Result<BrokerId, CoordinationError> {
        let stat = match self.store.set(paths::BROKER_SEQ_ID, Bytes::new(), None).await {
            Err(CoordinationError::NoNode(_)) => {
                self.ensure(paths::BROKER_SEQ_ID).await?;
                self.store.set(paths::BROKER_SEQ_ID, Bytes::new(), None).await?
            }
            other => other?,
        };
        Ok(reserved_max.saturating_add(stat.version))
    }

    async fn create_registration(&self, path: &str, data: Bytes) -> Result<i64, CoordinationError> {
        let steps = vec![
            MultiOp::Create { path: path.to_owned(), data: Bytes::new(), mode: CreateMode::Ephemeral },
            MultiOp::Set { path: path.to_owned(), data, version: None },
        ];
        match self.store.multi(steps).await?.first() {
            Some(MultiResult::Created { stat, .. }) => Ok(stat.czxid),
            _ => Err(CoordinationError::Store("a creation without an answer".into())),
        }
    }
}
