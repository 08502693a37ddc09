//! What a handler may reach: the rooms below, and facts about the connection and the request.

use std::{
    net::IpAddr,
    sync::{Arc, atomic::AtomicI64},
};

use super::{data::fetch_session::FetchSessions, error_counts::ErrorCounts, inter_broker::ClusterUpdates};
use crate::{
    admin::{Admin, configs::ConfigAdmin},
    client::Connector,
    common::{BrokerId, Clock},
    config::{DynamicConfig, Loggers},
    controller::ControllerHandle,
    coordination::ClusterStore,
    coordinator::{
        group::GroupCoordinator, producer_ids::ProducerIdManager, transaction::TransactionCoordinator,
        txn_markers::MarkerWriter, txn_verifier::TxnVerifier,
    },
    metadata::MetadataCache,
    metrics::{RequestMetrics, ServerMetrics, prometheus},
    protocol::header::ClientId,
    replication::ReplicaManager,
};

/// The broker, as handlers see it. Built once at start.
pub struct Services {
    pub broker_id: BrokerId,
    pub cluster_id: String,
    pub clock: Arc<dyn Clock>,
    pub metadata: Arc<MetadataCache>,
    pub cluster: Arc<ClusterStore>,
    pub replicas: Arc<ReplicaManager>,
    pub groups: Arc<GroupCoordinator>,
    pub transactions: Arc<TransactionCoordinator>,
    pub markers: Arc<MarkerWriter>,
    pub txn_verifier: TxnVerifier,
    pub admin: Arc<Admin>,
    pub config: Arc<DynamicConfig>,
    pub loggers: Arc<Loggers>,
    pub producer_ids: Arc<ProducerIdManager>,
    pub fetch_sessions: Arc<FetchSessions>,
    pub request_metrics: RequestMetrics,
    pub server_metrics: Arc<ServerMetrics>,
    /// The controller in this process; it answers NOT_CONTROLLER when another broker's is at work.
    pub controller: ControllerHandle,
    /// How other brokers are reached.
    pub connector: Arc<dyn Connector>,
    /// czxid of this broker's newest registration; −1 before the first.
    pub broker_epoch: Arc<AtomicI64>,
    /// Where requests of the controller go to be carried out.
    pub cluster_updates: ClusterUpdates,
}

impl Services {
    /// Describing and changing configurations.
    #[must_use]
    pub fn config_admin(&self) -> ConfigAdmin<'_> {
        ConfigAdmin {
            broker_id: self.broker_id,
            config: &self.config,
            loggers: &self.loggers,
            cluster: &self.cluster,
            metadata: &self.metadata,
        }
    }

    /// All metrics as they are now, in Prometheus' text format.
    #[must_use]
    pub fn metrics_text(&self) -> String {
        let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let (sessions, partitions, _) = self.fetch_sessions.counts();
        self.server_metrics.incremental_fetch_sessions.set(count(sessions));
        self.server_metrics.incremental_fetch_partitions_cached.set(count(partitions));
        self.replicas.refresh_metrics();
        let (replicas, purgatories) = self.replicas.metrics();
        prometheus::render(&[
            self.replicas.topic_stats().as_ref(),
            replicas.as_ref(),
            purgatories.as_ref(),
            &self.request_metrics,
            self.server_metrics.as_ref(),
            self.controller.metrics(),
            &self.replicas.fetcher_lags(),
        ])
    }
}

/// What is known of a connection once it is accepted (and, later, authenticated).
#[derive(Debug)]
pub struct ConnectionInfo {
    /// Name of the listener it came in on, e.g. `PLAINTEXT`.
    pub listener: String,
    pub peer: IpAddr,
    /// The peer as Kafka's coordinators note it: `/1.2.3.4`.
    pub client_host: Arc<str>,
    /// `User:ANONYMOUS` on a listener without authentication.
    pub principal: String,
}

/// One request's surroundings. Borrowed: a count of users that every thread changes for every request is what they would
/// all wait for.
pub struct Context<'a> {
    pub services: &'a Arc<Services>,
    pub connection: &'a ConnectionInfo,
    pub api_key: i16,
    pub version: i16,
    pub correlation_id: i32,
    pub client_id: ClientId,
}

impl Context<'_> {
    /// Counts the errors of what is about to be answered.
    pub fn count_errors(&self, response: &impl ErrorCounts) {
        response.count_errors(&mut |code| self.services.request_metrics.answered(self.api_key, code));
    }
}
