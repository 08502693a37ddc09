//! Hears of changed configurations and carries them to the rooms concerned (class `ZkConfigManager`).

use std::sync::Arc;

use tokio::sync::{mpsc::UnboundedReceiver, watch};

use super::{cleaner, settings, topic_configs::TopicConfigs};
use crate::{
    api::Services,
    config::{Change, ConfigError},
    coordination::{CoordinationError, Event, znode::paths},
    network::NetworkConfig,
    storage::LogCleaner,
};

/// Reads both layers of this broker's dynamic configuration.
pub async fn load_broker_layers(services: &Services) -> Result<(), CoordinationError> {
    load_layer(services, "brokers/<default>").await?;
    load_layer(services, &format!("brokers/{}", services.broker_id)).await.map(drop)?;
    apply_replication_rates(services);
    Ok(())
}

/// The throttles of reassignments and of moves between log dirs exist as dynamic values only.
fn apply_replication_rates(services: &Services) {
    let keys = services.config.snapshot();
    let rate = |name| keys.original(name).and_then(|rate| rate.trim().parse().ok());
    let (leader, follower) = (rate("leader.replication.throttled.rate"), rate("follower.replication.throttled.rate"));
    services.replicas.set_replication_rates(leader, follower);
    services.replicas.set_move_rate(rate("replica.alter.log.dirs.io.max.bytes.per.second"));
}

async fn load_layer(services: &Services, entity: &str) -> Result<Option<Change>, CoordinationError> {
    let stored = services.cluster.entity_config(entity).await?;
    let is_default = entity.ends_with("<default>");
    let outcome: Result<Change, ConfigError> = if is_default {
        services.config.set_default_overrides(&stored)
    } else {
        services.config.set_broker_overrides(&stored)
    };
    match outcome {
        Ok(change) => {
            for line in &change.ignored {
                tracing::warn!(entity, "{line}");
            }
            Ok(Some(change))
        }
        Err(fault) => {
            tracing::error!(entity, %fault, "dynamic configuration stays as it was");
            Ok(None)
        }
    }
}

/// Follows `/config/changes` from what is there now.
pub struct ConfigWatch {
    pub services: Arc<Services>,
    pub configs: Arc<TopicConfigs>,
    pub cleaner: Option<Arc<LogCleaner>>,
    /// Whoever listens takes its limits from here.
    pub network: watch::Sender<NetworkConfig>,
}

impl ConfigWatch {
    /// Ends with the store's event stream.
    pub async fn run(self, mut events: UnboundedReceiver<Event>) {
        let mut seen = None;
        let mut first = true;
        loop {
            match self.services.cluster.config_changes(seen, true).await {
                Ok(changes) => {
                    seen = changes.last().map(|change| change.sequence).or(seen);
                    // What was announced before the start has been read at the start.
                    if !first {
                        for change in &changes {
                            self.changed(&change.entity_path).await;
                        }
                        self.purge().await;
                    }
                    first = false;
                }
                Err(fault) => tracing::warn!(%fault, "cannot read configuration changes"),
            }
            loop {
                match events.recv().await {
                    None => return,
                    Some(event) if event.path == paths::CONFIG_CHANGES => break,
                    Some(_) => {}
                }
            }
        }
    }

    async fn purge(&self) {
        if let Err(fault) = self.services.cluster.purge_config_changes(self.services.clock.now_ms()).await {
            tracing::warn!(%fault, "cannot purge old configuration changes");
        }
    }

    async fn changed(&self, entity: &str) {
        let outcome = match entity.split_once('/') {
            Some(("topics", topic)) => self.topic_changed(topic).await,
            Some(("brokers", _)) => self.broker_changed(entity).await,
            _ => Ok(()),
        };
        if let Err(fault) = outcome {
            tracing::error!(entity, %fault, "cannot read a changed configuration");
        }
    }

    async fn topic_changed(&self, topic: &str) -> Result<(), CoordinationError> {
        // A partition is hosted before the image shows its topic.
        if !self.configs.knows(topic) && self.services.metadata.load().topic(topic).is_none() {
            return Ok(());
        }
        self.configs.refresh(&self.services.cluster, &[topic]).await?;
        // It may be allowed now to be led by whoever is there.
        self.services.controller.unclean_election_enabled(Some(topic.into())).await;
        self.services.replicas.update_topic_config(topic, &self.configs.log_config(topic));
        Ok(())
    }

    async fn broker_changed(&self, entity: &str) -> Result<(), CoordinationError> {
        let mine = format!("brokers/{}", self.services.broker_id);
        if entity != mine && entity != "brokers/<default>" {
            return Ok(());
        }
        let Some(change) = load_layer(&self.services, entity).await? else { return Ok(()) };
        apply_replication_rates(&self.services);
        if change.affects_logs() {
            self.services.controller.unclean_election_enabled(None).await;
            for topic in self.configs.topics() {
                self.services.replicas.update_topic_config(&topic, &self.configs.log_config(&topic));
            }
        }
        if settings::concerns_connections(&change) {
            self.network.send_replace(settings::network(&self.services.config.snapshot()));
        }
        if let Some(cleaner) = self.cleaner.as_ref().filter(|_| cleaner::is_concerned(&change)) {
            cleaner::reconfigure(cleaner, &self.services.config.snapshot()).await;
        }
        Ok(())
    }
}
