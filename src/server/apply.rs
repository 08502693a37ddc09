//! Carries out what the controller decided, in its order: logs first, then the image that shows them.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::topic_configs::TopicConfigs;
use crate::{
    api::{
        Services,
        inter_broker::{ClusterUpdate, Codes},
    },
    common::{
        ErrorCode, TopicPartition,
        topic_name::{self, GROUP_METADATA_TOPIC, TRANSACTION_STATE_TOPIC},
    },
    controller::output::{ControllerOutput, LeaderAndIsrPartition, StopReplicaPartition},
    metadata::MetadataDelta,
    replication::{PartitionStateChange, StopPartition},
};

/// The receiving end of the controller, whether it is in this process or speaks to us over the network.
pub struct Apply {
    pub services: Arc<Services>,
    pub configs: Arc<TopicConfigs>,
}

impl Apply {
    /// One thing after another: a change of leadership is done before the next one begins.
    pub async fn run(self, mut outputs: mpsc::Receiver<ControllerOutput>, mut updates: mpsc::Receiver<ClusterUpdate>) {
        loop {
            tokio::select! {
                biased;
                output = outputs.recv() => match output {
                    Some(output) => self.carry_out(output).await,
                    None => return,
                },
                Some(update) = updates.recv() => self.carry_out_remote(update).await,
            }
        }
    }

    /// What the controller here decided. A dropped reply is a controller that has resigned; its successor asks again.
    pub async fn carry_out(&self, output: ControllerOutput) {
        match output {
            ControllerOutput::LeaderAndIsr { controller_epoch, partitions, reply, .. } => {
                let codes = self.leader_and_isr(controller_epoch, partitions).await;
                if let (Some(reply), Ok(codes)) = (reply, codes) {
                    let _ = reply.send(codes);
                }
            }
            ControllerOutput::UpdateMetadata { controller_epoch, delta, .. } => {
                if self.services.replicas.check_controller_epoch(controller_epoch).is_ok() {
                    let deleted = self.partitions_of(&delta.deleted_topics);
                    self.update_metadata(&delta, &deleted);
                }
            }
            ControllerOutput::StopReplica { controller_epoch, partitions, reply, .. } => {
                if let Ok(codes) = self.stop_replicas(controller_epoch, partitions) {
                    let _ = reply.send(codes);
                }
            }
        }
    }

    /// What a controller elsewhere asks. A dropped reply is a connection that has gone.
    async fn carry_out_remote(&self, update: ClusterUpdate) {
        match update {
            ClusterUpdate::LeaderAndIsr { controller_epoch, partitions, reply } => {
                let _ = reply.send(self.leader_and_isr(controller_epoch, partitions).await);
            }
            ClusterUpdate::UpdateMetadata { controller_epoch, update, reply } => {
                let checked = self.services.replicas.check_controller_epoch(controller_epoch);
                let done = checked.map(|()| {
                    let (delta, deleted) = update.against(&self.services.metadata.load());
                    self.update_metadata(&delta, &deleted);
                    Vec::new()
                });
                let _ = reply.send(done);
            }
            ClusterUpdate::StopReplica { controller_epoch, partitions, reply } => {
                let _ = reply.send(self.stop_replicas(controller_epoch, partitions));
            }
        }
    }

    async fn leader_and_isr(&self, controller_epoch: i32, partitions: Vec<LeaderAndIsrPartition>) -> Codes {
        self.learn_configs(&partitions).await;
        let coordinators: Vec<(usize, TopicPartition, i32, bool)> = partitions
            .iter()
            .enumerate()
            .filter(|(_, it)| topic_name::is_internal(&it.topic_partition.topic))
            .map(|(at, it)| (at, it.topic_partition.clone(), it.leader_epoch, it.leader == self.services.broker_id))
            .collect();
        let names: Vec<TopicPartition> = partitions.iter().map(|it| it.topic_partition.clone()).collect();
        let changes = partitions.into_iter().map(|it| self.state_change(it)).collect();
        let codes = self.services.replicas.become_leader_or_follower(controller_epoch, changes)?;
        let is_failure = |code: &ErrorCode| !matches!(code, ErrorCode::None | ErrorCode::StaleControllerEpoch);
        for (tp, code) in names.iter().zip(&codes).filter(|(_, code)| is_failure(code)) {
            tracing::error!(partition = %tp, %code, "cannot host the partition");
        }
        for (_, tp, epoch, leads) in coordinators.into_iter().filter(|(at, ..)| codes[*at].is_none()) {
            if leads { self.elected(&tp, epoch) } else { self.resigned(&tp, Some(epoch)) }
        }
        Ok(codes)
    }

    /// This broker is the coordinator of what lives in the partition, if it is a coordinator's.
    fn elected(&self, tp: &TopicPartition, epoch: i32) {
        match &*tp.topic {
            GROUP_METADATA_TOPIC => self.services.groups.on_elected(tp.partition, epoch),
            TRANSACTION_STATE_TOPIC => self.services.transactions.on_elected(tp.partition, epoch),
            _ => {}
        }
    }

    fn resigned(&self, tp: &TopicPartition, epoch: Option<i32>) {
        match &*tp.topic {
            GROUP_METADATA_TOPIC => self.services.groups.on_resigned(tp.partition, epoch),
            TRANSACTION_STATE_TOPIC => self.services.transactions.on_resigned(tp.partition, epoch),
            _ => {}
        }
    }

    /// Topics seen for the first time: their overrides were written before their partitions.
    async fn learn_configs(&self, partitions: &[LeaderAndIsrPartition]) {
        let mut new: Vec<Arc<str>> = partitions
            .iter()
            .map(|it| &it.topic_partition.topic)
            .filter(|topic| !self.configs.knows(topic))
            .cloned()
            .collect();
        new.dedup();
        if new.is_empty() {
            return;
        }
        if let Err(fault) = self.configs.refresh(&self.services.cluster, &new).await {
            tracing::error!(%fault, "cannot read topic configurations; the broker's own apply");
        }
    }

    fn state_change(&self, it: LeaderAndIsrPartition) -> PartitionStateChange {
        let config = self.configs.log_config(&it.topic_partition.topic);
        PartitionStateChange {
            topic_partition: it.topic_partition,
            topic_id: it.topic_id,
            leader: it.leader,
            leader_epoch: it.leader_epoch,
            partition_epoch: it.partition_epoch,
            isr: it.isr,
            replicas: it.replicas,
            is_new: it.is_new,
            config,
        }
    }

    fn update_metadata(&self, delta: &MetadataDelta, deleted: &[TopicPartition]) {
        let brokers_before = delta.brokers.as_ref().map(|_| self.services.metadata.image());
        self.services.metadata.apply(delta);
        for topic in &delta.deleted_topics {
            self.configs.forget(topic);
        }
        if brokers_before.is_some_and(|before| before.brokers != self.services.metadata.load().brokers) {
            self.services.replicas.brokers_changed();
        }
        if !deleted.is_empty() {
            self.services.groups.partitions_deleted(deleted);
        }
    }

    fn partitions_of(&self, topics: &[Arc<str>]) -> Vec<TopicPartition> {
        let image = self.services.metadata.image();
        let known = topics.iter().filter_map(|topic| image.topic(topic));
        known
            .flat_map(|topic| {
                topic.partitions.iter().map(|it| TopicPartition::new(Arc::clone(&topic.name), it.partition))
            })
            .collect()
    }

    /// Coordinators forget what they led here; in a reassignment no LeaderAndIsr tells them.
    fn stop_replicas(&self, controller_epoch: i32, partitions: Vec<StopReplicaPartition>) -> Codes {
        let stop: Vec<StopPartition> = partitions
            .into_iter()
            .map(|StopReplicaPartition { topic_partition, leader_epoch, delete }| StopPartition {
                topic_partition,
                leader_epoch,
                delete,
            })
            .collect();
        let codes = self.services.replicas.stop_replicas(controller_epoch, &stop)?;
        for (it, _) in stop.iter().zip(&codes).filter(|(it, code)| code.is_none() && it.delete) {
            self.resigned(&it.topic_partition, (it.leader_epoch >= 0).then_some(it.leader_epoch));
        }
        Ok(codes)
    }
}
