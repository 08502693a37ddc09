//! Brokers that come, go, and come again (`KafkaController.processBrokerChange`).

use indexmap::IndexSet;

use super::ControllerContext;
use crate::{common::BrokerId, metadata::BrokerImage};

/// What is different about the registered brokers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BrokerChanges {
    pub new: IndexSet<BrokerId>,
    pub dead: IndexSet<BrokerId>,
    /// Registered anew before the end of the old registration was noticed: failed and started in one.
    pub bounced: IndexSet<BrokerId>,
    /// Advertise something else than before.
    pub updated: bool,
}

impl ControllerContext {
    #[must_use]
    pub fn broker_changes(&self, registered: &[BrokerImage]) -> BrokerChanges {
        let mut changes = BrokerChanges::default();
        for broker in registered {
            match self.brokers.get(&broker.id) {
                None => drop(changes.new.insert(broker.id)),
                Some(known) if known.epoch != broker.epoch => drop(changes.bounced.insert(broker.id)),
                Some(known) => changes.updated |= known != broker,
            }
        }
        let is_registered = |id: &BrokerId| registered.iter().any(|broker| broker.id == *id);
        changes.dead = self.brokers.keys().copied().filter(|id| !is_registered(id)).collect();
        changes
    }

    /// Brokers that are not there (any more): all that is known of their disks is void.
    pub fn brokers_failed(&mut self, gone: &IndexSet<BrokerId>) {
        for id in gone {
            self.brokers.shift_remove(id);
            self.shutting_down.swap_remove(id);
            self.offline_replicas.swap_remove(id);
            self.deletion_broker_failed(*id);
        }
    }

    /// Brokers as they are registered now.
    pub fn put_brokers(&mut self, registered: Vec<BrokerImage>) {
        self.brokers = registered.into_iter().map(|broker| (broker.id, broker)).collect();
    }
}
