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
    controller::{CommandQueue, Controller, ControllerConfig, output::ControllerOutput},
    coordination::{ClusterStore, CoordinationError, SessionEvent, znode::broker::BrokerRegistration},
};

/// Pause before registering is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

pub struct Seat {
    pub cluster: Arc<ClusterStore>,
    pub registration: BrokerRegistration,
    pub clock: Arc<dyn Clock>,
    pub outputs: mpsc::Sender<ControllerOutput>,
    pub commands: CommandQueue,
    pub broker_epoch: Arc<AtomicI64>,
}

impl Seat {
    /// Registers for the first time; that another session holds the id is a reason not to start.
    pub async fn register(&self) -> Result<(), CoordinationError> {
        let epoch = self.cluster.register_broker(&self.registration).await?;
        self.broker_epoch.store(epoch, Ordering::Release);
        Ok(())
    }

    /// Runs until the outputs' receiver is gone. `session` must have been subscribed to before [`Self::register`].
    pub async fn hold(self, clean_start: bool, mut session: UnboundedReceiver<SessionEvent>) {
        let mut clean_start = clean_start;
        loop {
            let config = ControllerConfig { broker_id: self.registration.id, clean_start };
            let controller =
                Controller::new(Arc::clone(&self.cluster), config, Arc::clone(&self.clock), self.outputs.clone());
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
            clean_start = true;
            tracing::warn!("the coordination session expired; registering anew");
            while let Err(fault) = self.register().await {
                tracing::error!(%fault, "cannot register; trying again");
                tokio::time::sleep(RETRY_AFTER).await;
            }
        }
    }
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
