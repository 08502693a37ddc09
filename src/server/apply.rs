//! Carries out what the controller decided, in its order: logs first, then the image that shows them.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::topic_configs::TopicConfigs;
use crate::{
    api::Services,
    common::{
        ErrorCode, TopicPartition,
        topic_name::{self, GROUP_METADATA_TOPIC, TRANSACTION_STATE_TOPIC},
    },
    controller::output::{ControllerOutput, LeaderAndIsrPartition},
    metadata::MetadataDelta,
    replication::PartitionStateChange,
};

/// The receiving end of the controller.
pub struct Apply {
    pub services: Arc<Services>,
    pub configs: Arc<TopicConfigs>,
}

impl Apply {
    pub async fn run(self, mut outputs: mpsc::Receiver<ControllerOutput>) {
        while let Some(output) = outputs.recv().await {
            self.carry_out(output).await;
        }
    }

    pub async fn carry_out(&self, output: ControllerOutput) {
        match output {
            ControllerOutput::LeaderAndIsr { partitions, .. } => self.leader_and_isr(partitions).await,
            ControllerOutput::UpdateMetadata(delta) => self.update_metadata(&delta),
            ControllerOutput::StopReplica { delete, partitions, reply, .. } => {
                let codes = partitions.iter().map(|tp| self.stop_replica(tp, delete)).collect();
                // The controller may have resigned meanwhile; its successor asks again.
                let _ = reply.send(codes);
            }
        }
    }

    async fn leader_and_isr(&self, partitions: Vec<LeaderAndIsrPartition>) {
        self.learn_configs(&partitions).await;
        let changes: Vec<PartitionStateChange> = partitions.into_iter().map(|it| self.state_change(it)).collect();
        let coordinators: Vec<(TopicPartition, i32, bool)> = changes
            .iter()
            .filter(|change| topic_name::is_internal(&change.topic_partition.topic))
            .map(|change| {
                (change.topic_partition.clone(), change.leader_epoch, change.leader == self.services.broker_id)
            })
            .collect();
        let names: Vec<TopicPartition> = changes.iter().map(|change| change.topic_partition.clone()).collect();
        let codes = self.services.replicas.apply_partition_states(changes);
        for (tp, code) in names.iter().zip(codes).filter(|(_, code)| !code.is_none()) {
            tracing::error!(partition = %tp, %code, "cannot host the partition");
        }
        for (tp, epoch, leads) in coordinators {
            if leads { self.elected(&tp, epoch) } else { self.resigned(&tp, Some(epoch)) }
        }
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

    fn update_metadata(&self, delta: &MetadataDelta) {
        let deleted = self.partitions_of(&delta.deleted_topics);
        self.services.metadata.apply(delta);
        for topic in &delta.deleted_topics {
            self.configs.forget(topic);
        }
        if !deleted.is_empty() {
            self.services.groups.partitions_deleted(&deleted);
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

    fn stop_replica(&self, tp: &TopicPartition, delete: bool) -> ErrorCode {
        self.resigned(tp, None);
        self.services.replicas.stop_replica(tp, delete)
    }
}
