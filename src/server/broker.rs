//! A running broker: what must be kept, and let go of in order.

use std::sync::{Arc, atomic::AtomicI64};

use tokio::task::JoinHandle;

use super::{coordination::Coordination, scheduler::Scheduler};
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
    pub(super) coordination: Coordination,
    /// czxid of the newest registration; `.kafka_cleanshutdown` keeps it.
    pub(super) broker_epoch: Arc<AtomicI64>,
}

impl Broker {
    /// Where a listener really is: port 0 lets the system choose.
    #[must_use]
    pub fn address(&self, listener: &str) -> Option<std::net::SocketAddr> {
        self.server.local_addr(listener)
    }

    /// What is counted, under Kafka's names in the spelling of the jmx_exporter, as Prometheus reads it.
    #[must_use]
    pub fn metrics_text(&self) -> String {
        self.services.metrics_text()
    }

    #[must_use]
    pub fn services(&self) -> &Arc<Services> {
        &self.services
    }
}
