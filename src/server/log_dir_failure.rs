//! What follows when a log dir fails (class `LogDirFailureHandler`).

use std::sync::Arc;

use futures::{StreamExt, channel::mpsc::UnboundedReceiver};
use tokio::{sync::oneshot, task::JoinHandle};

use crate::{
    api::Services,
    common::topic_name::{GROUP_METADATA_TOPIC, TRANSACTION_STATE_TOPIC},
    storage::{LogManager, manager::DirFailure},
};

/// Takes the partitions of failed log dirs out of service from now on. The receiver hears when no log dir is left.
pub fn watch(services: &Arc<Services>, logs: &Arc<LogManager>) -> (JoinHandle<()>, oneshot::Receiver<()>) {
    let (no_dir_left, none_left) = oneshot::channel();
    let (services, logs) = (Arc::clone(services), Arc::clone(logs));
    let handler = async move {
        if let Some(failures) = logs.failures() {
            handle(&services, &logs, failures, no_dir_left).await;
        }
    };
    (tokio::spawn(handler), none_left)
}

/// Ends with the last log dir: there is nothing to serve then, and nowhere to write what would be acknowledged.
async fn handle(
    services: &Services,
    logs: &LogManager,
    mut failures: UnboundedReceiver<DirFailure>,
    none_left: oneshot::Sender<()>,
) {
    while let Some(DirFailure { dir, partitions }) = failures.next().await {
        services.replicas.log_dir_failed(&partitions);
        services.replicas.stop_following(&partitions);
        // Nothing that these coordinators decide could be written any more; their successors are elected elsewhere.
        for tp in &partitions {
            match &*tp.topic {
                GROUP_METADATA_TOPIC => services.groups.on_resigned(tp.partition, None),
                TRANSACTION_STATE_TOPIC => services.transactions.on_resigned(tp.partition, None),
                _ => {}
            }
        }
        tracing::warn!(dir = %dir.display(), partitions = partitions.len(), "stopped serving replicas in the log dir");
        if !logs.has_online_dir() {
            // The other end is gone if the broker is stopping anyway.
            let _ = none_left.send(());
            return;
        }
        // The controller, whoever that is, moves what was there.
        if let Err(fault) = services.cluster.announce_log_dir_failure(services.broker_id).await {
            tracing::error!(%fault, "cannot tell the controller of the failed log dir");
        }
    }
}
