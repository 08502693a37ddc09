//! What follows when a log dir fails (class `LogDirFailureHandler`).

use std::sync::Arc;

use futures::{StreamExt, channel::mpsc::UnboundedReceiver};
use tokio::sync::oneshot;

use crate::{
    api::Services,
    common::topic_name::GROUP_METADATA_TOPIC,
    storage::{LogManager, manager::DirFailure},
};

/// Takes the partitions of failed log dirs out of service and tells the controller, whoever that is. When no log dir is
/// left, says so through `none_left` and ends: there is nothing to serve, and nowhere to write what would be acknowledged.
pub async fn run(
    services: Arc<Services>,
    logs: Arc<LogManager>,
    mut failures: UnboundedReceiver<DirFailure>,
    none_left: oneshot::Sender<()>,
) {
    while let Some(DirFailure { dir, partitions }) = failures.next().await {
        services.replicas.log_dir_failed(&partitions);
        for tp in partitions.iter().filter(|tp| &*tp.topic == GROUP_METADATA_TOPIC) {
            services.groups.on_resigned(tp.partition, None);
        }
        tracing::warn!(dir = %dir.display(), partitions = partitions.len(), "stopped serving replicas in the log dir");
        if !logs.has_online_dir() {
            // The other end is gone if the broker is stopping anyway.
            let _ = none_left.send(());
            return;
        }
        if let Err(fault) = services.cluster.announce_log_dir_failure(services.broker_id).await {
            tracing::error!(%fault, "cannot tell the controller of the failed log dir");
        }
    }
}
