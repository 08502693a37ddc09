//! Who speaks to other brokers, but for the fetchers: producer ids, transactions.

use std::sync::{Arc, atomic::AtomicI64};

use super::settings;
use crate::{
    api::Services,
    client::{Connector, ControllerChannel},
    common::BrokerId,
    config::BrokerConfig,
    coordination::ClusterStore,
    coordinator::{
        producer_ids::{BlockSource, ProducerIdManager},
        txn_markers::{MarkerPeers, MarkerSender},
        txn_verifier::TxnVerifier,
    },
    metadata::MetadataCache,
};

/// What it takes to reach others.
pub struct Peers<'a> {
    pub keys: &'a BrokerConfig,
    pub broker_id: BrokerId,
    pub metadata: &'a Arc<MetadataCache>,
    pub connector: &'a Arc<dyn Connector>,
}

impl Peers<'_> {
    pub fn producer_ids(&self, cluster: &Arc<ClusterStore>, broker_epoch: &Arc<AtomicI64>) -> ProducerIdManager {
        let client = settings::peers(self.keys, self.broker_id.to_string(), self.connector);
        ProducerIdManager::new(BlockSource {
            broker_id: self.broker_id,
            broker_epoch: Arc::clone(broker_epoch),
            metadata: Arc::clone(self.metadata),
            cluster: Arc::clone(cluster),
            controller: ControllerChannel::new(Arc::clone(self.metadata), self.listener(), client),
            asks_controller: settings::protocol(self.keys).is_at_least("3.0-IV0"),
        })
    }

    pub fn txn_verifier(&self) -> TxnVerifier {
        let client_id = format!("broker-{}-add-partitions-to-txn", self.broker_id);
        let client = settings::peers(self.keys, client_id, self.connector);
        TxnVerifier::new(Arc::clone(self.metadata), self.listener(), client)
    }

    fn listener(&self) -> String {
        self.keys.inter_broker_listener().0.to_owned()
    }
}

pub fn marker_sender(services: &Services) -> MarkerSender {
    let keys = services.config.snapshot();
    let client_id = format!("broker-{}-txn-marker-sender", services.broker_id);
    MarkerSender {
        broker_id: services.broker_id,
        metadata: Arc::clone(&services.metadata),
        transactions: Arc::clone(&services.transactions),
        writer: Arc::clone(&services.markers),
        peers: MarkerPeers {
            inter_broker_listener: keys.inter_broker_listener().0.to_owned(),
            client: settings::peers(&keys, client_id, &services.connector),
        },
    }
}
