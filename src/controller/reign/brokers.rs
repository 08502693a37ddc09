//! Brokers and their disks.

use std::sync::Arc;

use indexmap::IndexSet;

use super::Reign;
use crate::{
    common::{BrokerId, ErrorCode, TopicPartition},
    controller::{channels::Feedback, event_loop::Ended, state::brokers::BrokerChanges},
    metadata::BrokerImage,
};

impl Reign<'_> {
    pub(super) async fn on_brokers(&mut self) -> Result<(), Ended> {
        let registered = self.cluster.brokers(true).await?;
        let changes = self.context.broker_changes(&registered);
        let BrokerChanges { new, dead, bounced, updated } = &changes;
        if new.is_empty() && dead.is_empty() && bounced.is_empty() {
            if *updated {
                self.context.put_brokers(registered);
                self.batch.brokers([]);
                self.flush().await?;
            }
            return Ok(());
        }
        tracing::info!(?new, ?dead, ?bounced, brokers = registered.len(), "other brokers are registered");
        // Who bounced has failed first: what it led needs a new epoch, led by whomever.
        let gone: IndexSet<BrokerId> = dead.union(bounced).copied().collect();
        let come: IndexSet<BrokerId> = new.union(bounced).copied().collect();
        self.context.brokers_failed(&gone);
        gone.iter().for_each(|id| self.channels.remove(*id));
        let steady = registered.iter().filter(|broker| !bounced.contains(&broker.id)).cloned().collect();
        self.context.put_brokers(steady);
        if !gone.is_empty() {
            let changed = self.elect(self.context.all_partitions(), false).await?;
            self.tell(&changed);
        }
        self.context.put_brokers(registered);
        self.welcome(&come);
        for tp in self.context.partitions_on(&gone) {
            self.batch.show(&tp);
        }
        self.batch.brokers(come.iter().copied());
        if !come.is_empty() {
            self.bring_to_life(&come).await?;
        }
        self.flush().await?;
        self.resume_reassignments(|target| target.iter().any(|id| come.contains(id))).await?;
        self.resume_deletions().await
    }

    /// Brokers that have just come learn all that concerns them.
    fn welcome(&mut self, come: &IndexSet<BrokerId>) {
        let images: Vec<BrokerImage> = come.iter().filter_map(|id| self.context.brokers.get(id)).cloned().collect();
        let me = self.broker();
        for broker in images.iter().filter(|broker| broker.id != me) {
            self.channels.add(broker);
        }
        for tp in self.context.partitions_on(come) {
            let replicas = self.context.partition(&tp).map(|it| it.assignment.replicas.clone()).unwrap_or_default();
            for broker in replicas.iter().filter(|id| come.contains(*id)) {
                self.batch.lead_on(*broker, &tp, false);
            }
        }
    }

    /// Partitions that had to wait for one of them.
    async fn bring_to_life(&mut self, come: &IndexSet<BrokerId>) -> Result<(), Ended> {
        let hosted = self.context.partitions_on(come);
        let topics: IndexSet<Arc<str>> = hosted.iter().map(|tp| Arc::clone(&tp.topic)).collect();
        let changed = self.elect(hosted, false).await?;
        self.tell(&changed);
        self.create_partitions(&topics.into_iter().collect::<Vec<_>>()).await
    }

    /// Log dirs failed: what was in them their brokers tell when asked to host it.
    pub(super) async fn on_log_dirs(&mut self) -> Result<(), Ended> {
        let brokers = self.guarded(self.cluster.take_log_dir_failures(self.elected.guard).await)?;
        let brokers: IndexSet<BrokerId> = brokers.into_iter().filter(|id| self.context.is_registered(*id)).collect();
        if brokers.is_empty() {
            return Ok(());
        }
        tracing::info!(?brokers, "log dirs have failed");
        for tp in self.context.partitions_on(&brokers) {
            let replicas = self.context.partition(&tp).map(|it| it.assignment.replicas.clone()).unwrap_or_default();
            for broker in replicas.iter().filter(|id| brokers.contains(*id)) {
                self.batch.lead_on(*broker, &tp, false);
            }
        }
        self.flush().await
    }

    pub(in crate::controller) async fn answered(&mut self, feedback: Feedback) -> Result<(), Ended> {
        match feedback {
            Feedback::Led { broker, codes } => self.replicas_answered(broker, codes).await,
            Feedback::Stopped { broker, codes } => {
                for (tp, code) in &codes {
                    if !code.is_none() && self.context.is_deleting(&tp.topic) {
                        tracing::warn!(broker, partition = %tp, %code, "a replica cannot be deleted yet");
                    }
                    self.context.replica_deletion_answered(broker, tp, *code);
                }
                self.finish_deletions().await
            }
        }
    }

    /// Replicas on failed log dirs can neither lead nor be in sync.
    async fn replicas_answered(
        &mut self,
        broker: BrokerId,
        codes: Vec<(TopicPartition, ErrorCode)>,
    ) -> Result<(), Ended> {
        if !self.context.is_registered(broker) {
            return Ok(());
        }
        let offline = self.context.offline_replicas.entry(broker).or_default();
        let mut lost = Vec::new();
        for (tp, code) in codes {
            match code {
                ErrorCode::KafkaStorageError if offline.insert(tp.clone()) => lost.push(tp),
                ErrorCode::None => drop(offline.swap_remove(&tp)),
                _ => {}
            }
        }
        if lost.is_empty() {
            return Ok(());
        }
        tracing::warn!(broker, replicas = lost.len(), "replicas are offline");
        lost.iter().for_each(|tp| self.batch.show(tp));
        let changed = self.elect(lost, false).await?;
        self.tell(&changed);
        self.flush().await
    }
}
