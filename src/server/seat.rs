//! This broker's place in the cluster: registered, and contending for the controller's seat, for as long as a session
//! lives; and again with the next session.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::mpsc::{self, UnboundedReceiver},
    time::Instant,
};

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
    /// How long the first registration waits for the end of another session that holds the id.
    pub patience: Duration,
}

impl Seat {
    /// Registers for the first time. After a crash the registration of the last run is there until its session ends:
    /// Kafka gives up then, and whoever supervises it starts it again and again; here it is waited for. That another
    /// broker holds the id, and goes on to, is a reason not to start.
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
        register_in_time(&self.cluster, &self.registration, &self.broker_epoch, self.patience).await
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

/// Waits for the end of a session that holds the id, but not for ever.
async fn register_in_time(
    cluster: &ClusterStore,
    registration: &BrokerRegistration,
    broker_epoch: &AtomicI64,
    patience: Duration,
) -> Result<(), CoordinationError> {
    let id = registration.id;
    let give_up_at = Instant::now() + patience;
    let mut is_told = false;
    loop {
        match register(cluster, registration, broker_epoch).await {
            Err(CoordinationError::NodeExists(_)) if Instant::now() < give_up_at => {
                if !std::mem::replace(&mut is_told, true) {
                    tracing::warn!(broker = id, "another session holds this broker's id; waiting for its end");
                }
                tokio::time::sleep(RETRY_AFTER).await;
            }
            Err(CoordinationError::NodeExists(path)) => {
                let why = format!("broker id {id} is taken: another session goes on to hold {path}");
                return Err(CoordinationError::Store(why));
            }
            other => return other,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordination::EmbeddedStore;

    const PATIENCE: Duration = Duration::from_secs(23);

    /// Killed and started again at once: the session of the last life outlives it by seconds.
    #[tokio::test(start_paused = true)]
    async fn a_broker_waits_for_the_end_of_its_last_lifes_session() {
        let old = EmbeddedStore::in_memory();
        let before = ClusterStore::new(Arc::clone(&old) as _);
        before.create_persistent_paths().await.unwrap();
        let me =
            BrokerRegistration { id: 5, endpoints: Vec::new(), rack: None, jmx_port: -1, timestamp_ms: 0, version: 5 };
        let first = before.register_broker(&me).await.unwrap();
        let after = ClusterStore::new(old.new_session());
        let epoch = AtomicI64::new(-1);
        let expiry = async {
            tokio::time::sleep(Duration::from_secs(18)).await;
            old.expire().await
        };
        let (registered, expired) = tokio::join!(register_in_time(&after, &me, &epoch, PATIENCE), expiry);
        assert_eq!((registered, expired), (Ok(()), Ok(())));
        assert!(epoch.load(Ordering::Acquire) > first);
    }

    #[tokio::test(start_paused = true)]
    async fn an_id_that_another_broker_keeps_is_a_reason_not_to_start() {
        let theirs = EmbeddedStore::in_memory();
        let them = ClusterStore::new(Arc::clone(&theirs) as _);
        them.create_persistent_paths().await.unwrap();
        let me =
            BrokerRegistration { id: 5, endpoints: Vec::new(), rack: None, jmx_port: -1, timestamp_ms: 0, version: 5 };
        them.register_broker(&me).await.unwrap();
        let us = ClusterStore::new(theirs.new_session());
        let began = Instant::now();
        let fault = register_in_time(&us, &me, &AtomicI64::new(-1), PATIENCE).await.unwrap_err().to_string();
        assert!(fault.contains("broker id 5 is taken"), "{fault}");
        assert!((PATIENCE..PATIENCE + 2 * RETRY_AFTER).contains(&began.elapsed()), "{:?}", began.elapsed());
    }
}
