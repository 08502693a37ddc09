//! The order of stopping.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{broker::Broker, launch::LaunchError};

/// How long requests in flight may take to end.
const GRACE: Duration = Duration::from_secs(5);

/// SIGTERM and SIGINT.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub fn listen() -> Result<Self, LaunchError> {
        let listen = |kind| signal(kind).map_err(|fault| LaunchError(format!("cannot listen for signals: {fault}")));
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    /// Returns when asked to stop. A second signal while stopping changes nothing: stopping is under way.
    pub async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

impl Broker {
    /// Sockets first, so that nothing new comes; then what decides; then the logs, flushed and marked as stopped
    /// cleanly; the registration last.
    pub async fn stop(self) {
        tracing::info!("shutting down");
        let Self { services, logs, server, mut scheduler, tasks, broker_epoch } = self;
        blocking(move || {
            server.shutdown(GRACE);
            drop(server);
            scheduler.stop();
        })
        .await;
        services.groups.shutdown();
        services.transactions.shutdown();
        for task in tasks {
            task.abort();
        }
        if let Err(fault) = services.cluster.unregister_broker(services.broker_id).await {
            tracing::warn!(%fault, "cannot take the registration back");
        }
        blocking(move || logs.shutdown(broker_epoch)).await;
        tracing::info!("shut down completed");
    }
}

async fn blocking(work: impl FnOnce() + Send + 'static) {
    if let Err(fault) = tokio::task::spawn_blocking(work).await {
        tracing::error!(%fault, "a step of the shutdown failed");
    }
}
