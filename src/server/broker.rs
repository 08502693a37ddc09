//! A running broker: what must be kept, and let go of in order.

use std::sync::Arc;

use tokio::task::JoinHandle;

use super::scheduler::Scheduler;
use crate::{
    api::Services,
    network::Server,
    storage::{LogCleaner, LogManager},
};

/// Everything that runs. Made by [`Broker::start`], ended by [`Broker::stop`].
pub struct Broker {
    pub(super) services: Arc<Services>,
    pub(super) logs: Arc<LogManager>,
    pub(super) server: Server,
    pub(super) scheduler: Scheduler,
    /// Compaction, unless it is switched off.
    pub(super) cleaner: Option<Arc<LogCleaner>>,
    /// Controller, configuration watch, group timers, producer id blocks: on the main thread's runtime.
    pub(super) tasks: Vec<JoinHandle<()>>,
    /// czxid of the registration; `.kafka_cleanshutdown` keeps it.
    pub(super) broker_epoch: i64,
}

impl Broker {
    /// Where a listener really is: port 0 lets the system choose.
    #[must_use]
    pub fn address(&self, listener: &str) -> Option<std::net::SocketAddr> {
        self.server.local_addr(listener)
    }

    #[must_use]
    pub fn services(&self) -> &Arc<Services> {
        &self.services
    }
}
