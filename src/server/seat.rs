//! This broker's place in the cluster: registered, and contending for the controller's seat, for as long as a session
//! lives; and again with the next session.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use tokio::sync::mpsc::{self, UnboundedReceiver};

use crate::{
    common::Clock,
    config::DynamicConfig,
    controller::{CommandQueue, Controller, ControllerConfig, channels::ChannelConfig, output::ControllerOutput},
    coordination::{ClusterStore, CoordinationError, SessionEvent, znode::broker::BrokerRegistration},
    metadata::Endpoint,
};

/// Pause before registering is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

pub struct Seat {
    pub cluster: Arc<ClusterStore>,
    pub registration: BrokerRegistration,
    pub clock: Arc<dyn Clock>,
    pub outputs: mpsc::Sender<ControllerOutput>,
    pub commands: CommandQueue,
    pub keys: Arc<DynamicConfig>,
    pub channels: ChannelConfig,
    pub broker_epoch: Arc<AtomicI64>,
}

impl Seat {
    /// Registers for the first time; that another session holds the id is a reason not to start.
    pub async fn register(&self) -> Result<(), CoordinationError> {
        let brokers = self.cluster.brokers(false).await?;
        let others = brokers.iter().filter(|broker| broker.id != self.registration.id);
        let is_taken = |mine: &&Endpoint| {
            let mut taken = others.clone().flat_map(|broker| &broker.endpoints);
            mine.port != 0 && taken.any(|it| it.host == mine.host && it.port == mine.port)
        };
        if let Some(Endpoint { host, port, .. }) = self.registration.endpoints.iter().find(is_taken) {
            return Err(CoordinationError::Store(format!("{host}:{port} is advertised by another broker")));
        }
        register(&self.cluster, &self.registration, &self.broker_epoch).await
    }

    /// Runs until the outputs' receiver is gone. `session` must have been subscribed to before [`Self::register`].
    pub async fn hold(self, clean_start: bool, mut session: UnboundedReceiver<SessionEvent>) {
        let config = ControllerConfig {
            broker_id: self.registration.id,
            clean_start,
            keys: Arc::clone(&self.keys),
            channels: self.channels,
        };
        let (cluster, clock) = (Arc::clone(&self.cluster), Arc::clone(&self.clock));
        let mut controller = Controller::new(cluster, config, clock, self.outputs.clone(), self.commands);
        loop {
            tokio::select! {
                biased;
                () = expiry(&mut session) => {}
                () = controller.run() => {
                    if self.outputs.is_closed() {
                        return;
                    }
                    // It ends by itself on the same news, which is still to be taken from our own queue.
                    expiry(&mut session).await;
                }
            }
            // The logs are as they were: only a start of the process may find them shortened.
            controller.started();
            tracing::warn!("the coordination session expired; registering anew");
            while let Err(fault) = register(&self.cluster, &self.registration, &self.broker_epoch).await {
                tracing::error!(%fault, "cannot register; trying again");
                tokio::time::sleep(RETRY_AFTER).await;
            }
        }
    }
}

async fn register(
    cluster: &ClusterStore,
    registration: &BrokerRegistration,
    broker_epoch: &AtomicI64,
) -> Result<(), CoordinationError> {
    let epoch = cluster.register_broker(registration).await?;
    broker_epoch.store(epoch, Ordering::Release);
    Ok(())
}

/// Returns when the session has expired; never, once no more news can come.
async fn expiry(session: &mut UnboundedReceiver<SessionEvent>) {
    loop {
        match session.recv().await {
            Some(SessionEvent::Expired) => return,
            Some(SessionEvent::Connected | SessionEvent::Disconnected) => {}
            None => std::future::pending().await,
        }
    }
}
