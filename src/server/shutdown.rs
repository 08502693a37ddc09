//! The order of stopping.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use kafka_protocol::messages::{ControlledShutdownRequest, ControlledShutdownResponse};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::{JoinError, JoinHandle},
};

use super::{
    broker::Broker, coordination::Coordination, launch::LaunchError, replication::controller_client, startup::Core,
};
use crate::{
    api::Services,
    client::ControllerChannel,
    common::{ErrorCode, chance},
    metrics::catalog::BrokerState,
    storage::{LogCleaner, LogManager},
};

const CONTROLLED_SHUTDOWN_VERSION: i16 = 3;
/// How long one attempt may look for a controller.
const CONTROLLER_PATIENCE: Duration = Duration::from_secs(5);
/// How long a start that is under way may take to end when asked to stop.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long requests in flight may take to end.
const GRACE: Duration = Duration::from_secs(5);

/// SIGTERM and SIGINT.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    asked: bool,
}

impl Signals {
    pub fn listen() -> Result<Self, LaunchError> {
        let listen = |kind| signal(kind).map_err(|fault| LaunchError(format!("cannot listen for signals: {fault}")));
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            asked: false,
        })
    }

    /// Returns when asked to stop. A second signal while stopping changes nothing: stopping is under way.
    pub async fn wait(&mut self) {
        if self.asked {
            return;
        }
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
        self.asked = true;
    }

    /// Returns when asked to stop long enough ago: a start that is nearly done may end, and be followed by an orderly stop;
    /// one that recovers large logs or waits for ZooKeeper is broken off, as Kafka's is at once ("Halting Kafka").
    pub async fn lose_patience(&mut self) {
        self.wait().await;
        tokio::time::sleep(PATIENCE).await;
    }
}

impl Broker {
    /// Sockets first, so that nothing new comes; then what decides; then the logs, flushed and marked as stopped
    /// cleanly; the registration last.
    pub async fn stop(self) {
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
        let close_sockets = move || {
            server.shutdown(GRACE);
            drop(server);
            scheduler.stop();
        };
        let stopping = Stopping { services, logs, cleaner, tasks, coordination, broker_epoch };
        stopping.run(close_sockets, move || fetchers.stop()).await;
    }
}

impl Core {
    /// The same order without sockets of ours: `close_sockets` ends what serves in their place. Fetchers run where the
    /// ground lets them, and have ended when their partitions are gone.
    pub async fn stop(self, close_sockets: impl FnOnce() + Send + 'static) {
        let Self { services, logs, cleaner, tasks, coordination, broker_epoch, .. } = self;
        let stopping = Stopping { services, logs, cleaner, tasks, coordination, broker_epoch };
        stopping.run(close_sockets, || ()).await;
    }
}

/// What a broker and a core alone both have to stop.
struct Stopping {
    services: Arc<Services>,
    logs: Arc<LogManager>,
    cleaner: Option<Arc<LogCleaner>>,
    tasks: Vec<JoinHandle<()>>,
    coordination: Coordination,
    broker_epoch: Arc<AtomicI64>,
}

impl Stopping {
    async fn run(self, close_sockets: impl FnOnce() + Send + 'static, stop_fetchers: impl FnOnce() + Send + 'static) {
        tracing::info!("shutting down");
        let Self { services, logs, cleaner, tasks, coordination, broker_epoch } = self;
        // Clients are served on, as during a controlled shutdown, until the sockets close.
        services.server_metrics.enter(BrokerState::PendingControlledShutdown);
        controlled_shutdown(&services, broker_epoch.load(Ordering::Acquire)).await;
        step(move || {
            close_sockets();
            if let Some(cleaner) = cleaner {
                cleaner.shutdown();
            }
        })
        .await;
        services.server_metrics.enter(BrokerState::ShuttingDown);
        services.replicas.stop_replication();
        step(stop_fetchers).await;
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
        step(move || logs.shutdown(broker_epoch)).await;
        coordination.close().await;
        services.server_metrics.enter(BrokerState::NotRunning);
        tracing::info!("shut down completed");
    }
}

/// Hands leadership over to others (`KafkaServer.controlledShutdown`), while clients and followers are still served. What
/// cannot be handed over is given up after `controlled.shutdown.max.retries`.
async fn controlled_shutdown(services: &Arc<Services>, broker_epoch: i64) {
    let keys = services.config.snapshot();
    let has_company = services.metadata.load().brokers.keys().any(|id| *id != services.broker_id);
    if !keys.replication.controlled_shutdown_enable || !has_company {
        return;
    }
    let listener = keys.inter_broker_listener().0.to_owned();
    let client = Arc::new(controller_client(&keys, services));
    let channel = ControllerChannel::new(Arc::clone(&services.metadata), listener, client);
    let request =
        ControlledShutdownRequest::default().with_broker_id(services.broker_id.into()).with_broker_epoch(broker_epoch);
    let is_none = |answer: &ControlledShutdownResponse| answer.error_code == ErrorCode::NotController.code();
    let pause =
        Duration::from_millis(u64::try_from(keys.replication.controlled_shutdown_retry_backoff_ms).unwrap_or(0));
    for _ in 0..keys.replication.controlled_shutdown_max_retries {
        match channel.send(&request, CONTROLLED_SHUTDOWN_VERSION, true, CONTROLLER_PATIENCE, is_none).await {
            Ok(answer) if answer.error_code == 0 && answer.remaining_partitions.is_empty() => {
                tracing::info!("others lead what this broker led");
                return;
            }
            Ok(answer) => tracing::info!(
                code = %ErrorCode::from_code(answer.error_code),
                remaining = answer.remaining_partitions.len(),
                "this broker is still needed"
            ),
            Err(fault) => tracing::warn!(%fault, "cannot ask the controller to shut down"),
        }
        tokio::time::sleep(pause).await;
    }
    tracing::warn!("shutting down although this broker still leads partitions");
}

/// Has `work` done beside the main thread, which keeps the session alive and hears signals; the simulation has but one thread.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, JoinError> {
    if chance::is_simulated() { Ok(work()) } else { tokio::task::spawn_blocking(work).await }
}

async fn step(work: impl FnOnce() + Send + 'static) {
    if let Err(fault) = blocking(work).await {
        tracing::error!(%fault, "a step of the shutdown failed");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Recovery longer than a session ended a start while the main thread did it: no ping went out.
    #[tokio::test]
    async fn blocking_work_leaves_the_main_thread_to_others() {
        let (ping, pinged) = mpsc::channel();
        let others = tokio::spawn(async move { ping.send(()) });
        let heard = blocking(move || pinged.recv_timeout(Duration::from_secs(10)).is_ok()).await.unwrap();
        assert!(heard);
        others.await.unwrap().unwrap();
    }
}
