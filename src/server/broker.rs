//! A running broker: what must be kept, and let go of in order.

use std::sync::{Arc, atomic::AtomicI64};

use tokio::{sync::oneshot, task::JoinHandle};

use super::{coordination::Coordination, replication::FetcherThreads, scheduler::Scheduler};
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
    pub(super) fetchers: FetcherThreads,
    /// Compaction, unless it is switched off.
    pub(super) cleaner: Option<Arc<LogCleaner>>,
    /// Controller, configuration watch, group timers, producer id blocks: on the main thread's runtime.
    pub(super) tasks: Vec<JoinHandle<()>>,
    pub(super) coordination: Coordination,
    /// czxid of the newest registration; `.kafka_cleanshutdown` keeps it.
    pub(super) broker_epoch: Arc<AtomicI64>,
    /// Hears of it when the last log dir has failed.
    pub(super) none_left: oneshot::Receiver<()>,
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

    /// Returns when the last log dir has failed, else never.
    pub async fn no_log_dir_left(&mut self) {
        if (&mut self.none_left).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Leaves everything as it is, for a process that is about to end: on disks that have failed nothing can be flushed,
    /// and no log dir may be marked as stopped cleanly.
    pub fn abandon(self) {
        std::mem::forget(self);
    }

    #[must_use]
    pub fn services(&self) -> &Arc<Services> {
        &self.services
    }
}

#[cfg(test)]
mod tests {
    use crate::server::{Broker, Launch};

    #[tokio::test]
    async fn a_running_broker_tells_its_metrics() {
        let dir = tempfile::tempdir().unwrap();
        let properties = [
            ("broker.id".to_owned(), "0".to_owned()),
            ("listeners".to_owned(), "PLAINTEXT://127.0.0.1:0".to_owned()),
            ("log.dirs".to_owned(), dir.path().join("data").display().to_string()),
        ];
        let launch = Launch::from_properties(properties.into_iter().collect()).unwrap();
        let broker = Broker::start(launch).await.unwrap();
        broker.services().request_metrics.received(18, 3);
        let text = broker.metrics_text();
        for line in [
            "kafka_server_kafkaserver_brokerstate 3\n",
            "kafka_server_replicamanager_partitioncount 0\n",
            "kafka_controller_kafkacontroller_activecontrollercount 1\n",
            "kafka_controller_controllerstats_uncleanleaderelections_total 0\n",
            "kafka_server_replicafetchermanager_maxlag{clientId=\"Replica\"} 0\n",
            "kafka_network_requestmetrics_requests_total{request=\"ApiVersions\",version=\"3\"} 1\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        broker.stop().await;
    }
}
