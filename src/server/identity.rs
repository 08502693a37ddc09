//! Which broker this is, of which cluster: configuration, `meta.properties` and the coordination store must agree.

use super::{coordination::Coordination, launch::LaunchError};
use crate::{
    common::BrokerId,
    config::BrokerConfig,
    coordination::ClusterStore,
    storage::{LogManager, manager::DirIdentity},
};

/// Both ids, agreed on and written down.
pub struct Identity {
    pub broker_id: BrokerId,
    pub cluster_id: String,
}

/// Finds or makes the ids, and writes `meta.properties` where it is missing.
pub async fn establish(
    config: &BrokerConfig,
    coordination: &Coordination,
    logs: &LogManager,
) -> Result<Identity, LaunchError> {
    let cluster = &coordination.cluster;
    let found = logs.identity().map_err(|fault| LaunchError(fault.to_string()))?;
    // A new ZooKeeper, or a wrong chroot, must not take over the id of a cluster it knows nothing of.
    let adopted = found.cluster_id.clone().filter(|_| coordination.learns_from_disk());
    let cluster_id = cluster
        .cluster_id_or_create(adopted)
        .await
        .map_err(|fault| LaunchError(format!("cannot read the cluster id: {fault}")))?;
    if let Some(stored) = found.cluster_id.as_deref().filter(|stored| *stored != cluster_id) {
        return Err(LaunchError(format!(
            "The Cluster ID {cluster_id} doesn't match stored clusterId Some({stored}) in meta.properties. The broker is \
             trying to join the wrong cluster. Configured zookeeper.connect may be wrong."
        )));
    }
    let broker_id = broker_id(config, cluster, &found).await?;
    logs.write_identity(broker_id, &cluster_id).map_err(|fault| LaunchError(fault.to_string()))?;
    Ok(Identity { broker_id, cluster_id })
}

async fn broker_id(
    config: &BrokerConfig,
    cluster: &ClusterStore,
    found: &DirIdentity,
) -> Result<BrokerId, LaunchError> {
    let configured = config.general.broker_id;
    match (configured, found.broker_id) {
        (id, Some(stored)) if id >= 0 && id != stored => Err(LaunchError(format!(
            "Configured broker.id {id} doesn't match stored broker.id Some({stored}) in meta.properties. If you moved your \
             data, make sure your configured broker.id matches. If you intend to create a new broker, you should remove all \
             data in your data directories (log.dirs)."
        ))),
        (id, _) if id >= 0 => Ok(id),
        (_, Some(stored)) => Ok(stored),
        _ if config.general.broker_id_generation_enable => cluster
            .generate_broker_id(config.general.reserved_broker_max_id)
            .await
            .map_err(|fault| LaunchError(format!("cannot generate a broker id: {fault}"))),
        _ => Err(LaunchError("broker.id is not set and broker.id.generation.enable is false".to_owned())),
    }
}
