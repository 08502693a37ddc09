//! The order of stopping.

use std::{sync::atomic::Ordering, time::Duration};

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{broker::Broker, launch::LaunchError};
use crate::metrics::catalog::BrokerState;

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
        let Self {
            services,
            logs,
            server,
            mut scheduler,
            mut fetchers,
            cleaner,
            tasks,
            coordination,
            broker_epoch,
            none_left: _,
        } = self;
        // Clients are served on, as during a controlled shutdown, until the sockets close.
        services.server_metrics.enter(BrokerState::PendingControlledShutdown);
        blocking(move || {
            server.shutdown(GRACE);
            drop(server);
            scheduler.stop();
            if let Some(cleaner) = cleaner {
                cleaner.shutdown();
            }
        })
        .await;
        services.server_metrics.enter(BrokerState::ShuttingDown);
        services.replicas.stop_replication();
        blocking(move || fetchers.stop()).await;
        services.groups.shutdown();
        services.transactions.shutdown();
        for task in tasks {
            task.abort();
        }
        // A store that cannot be reached forgets the registration by itself.
        let unregistered = services.cluster.unregister_broker(services.broker_id);
        match tokio::time::timeout(GRACE, unregistered).await {
            Ok(Ok(())) => {}
            Ok(Err(fault)) => tracing::warn!(%fault, "cannot take the registration back"),
            Err(_) => tracing::warn!("the coordination store does not answer; the registration ends with the session"),
        }
        let broker_epoch = broker_epoch.load(Ordering::Acquire);
        blocking(move || logs.shutdown(broker_epoch)).await;
        coordination.close().await;
        services.server_metrics.enter(BrokerState::NotRunning);
        tracing::info!("shut down completed");
    }
}

async fn blocking(work: impl FnOnce() + Send + 'static) {
    if let Err(fault) = tokio::task::spawn_blocking(work).await {
        tracing::error!(%fault, "a step of the shutdown failed");
    }
}
