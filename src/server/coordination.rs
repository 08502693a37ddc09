//! Which store coordinates this broker: ZooKeeper where `zookeeper.connect` names one, else the embedded one.

use std::sync::Arc;

use super::{java_options::JavaOptions, launch::LaunchError, zookeeper_security};
use crate::{
    config::BrokerConfig,
    coordination::{ClusterStore, EmbeddedStore, ZnodeStore, ZookeeperConfig, ZookeeperStore},
};

/// The embedded store's file, in the first log dir: Kafka looks at folders there, not at files.
const STORE_FILE: &str = "monedula-coordination.redb";

/// The store, and its session where it has to be closed.
pub struct Coordination {
    pub cluster: Arc<ClusterStore>,
    zookeeper: Option<Arc<ZookeeperStore>>,
    learns_from_disk: bool,
}

impl Coordination {
    pub async fn open(keys: &BrokerConfig) -> Result<Self, LaunchError> {
        let refuse = |fault: crate::coordination::CoordinationError| LaunchError(fault.to_string());
        let connect = keys.zookeeper.zookeeper_connect.as_deref().map(str::trim).unwrap_or_default();
        if connect.is_empty() {
            let Some(first) = keys.log_dirs().first() else { return Err(LaunchError("log.dirs is empty".to_owned())) };
            let store = EmbeddedStore::open(first.join(STORE_FILE)).map_err(refuse)?;
            let cluster = Arc::new(ClusterStore::new(store));
            return Ok(Self { cluster, zookeeper: None, learns_from_disk: true });
        }
        let config = ZookeeperConfig {
            connect: connect.to_owned(),
            session_timeout_ms: keys.zookeeper.zookeeper_session_timeout_ms.max(1).unsigned_abs(),
            connection_timeout_ms: keys.zookeeper_connection_timeout_ms().max(1).unsigned_abs(),
            max_in_flight: usize::try_from(keys.zookeeper.zookeeper_max_in_flight_requests).unwrap_or(1),
            security: zookeeper_security::security(keys, &JavaOptions::from_environment())?,
        };
        tracing::info!(connect, "connecting to ZooKeeper");
        let store = ZookeeperStore::connect(config).await.map_err(refuse)?;
        let cluster = Arc::new(ClusterStore::new(Arc::clone(&store) as _));
        Ok(Self { cluster, zookeeper: Some(store), learns_from_disk: false })
    }

    /// Over a store that somebody else has opened.
    #[must_use]
    pub fn over(store: Arc<dyn ZnodeStore>) -> Self {
        Self { cluster: Arc::new(ClusterStore::new(store)), zookeeper: None, learns_from_disk: false }
    }

    /// An embedded store belongs to its log dirs and learns from them; ZooKeeper knows better than a folder does.
    pub fn learns_from_disk(&self) -> bool {
        self.learns_from_disk
    }

    /// Ends the session, so that ephemeral nodes go at once.
    pub async fn close(&self) {
        if let Some(zookeeper) = &self.zookeeper {
            zookeeper.close().await;
        }
    }
}
