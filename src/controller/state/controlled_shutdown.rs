//! A broker asks to leave (`KafkaController.doControlledShutdown`).

use super::ControllerContext;
use crate::common::{BrokerId, ErrorCode, TopicPartition};

/// What has to move before a broker may stop.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leaving {
    /// Other leaders are to be found for these.
    pub led: Vec<TopicPartition>,
    /// The broker leaves the ISR of these, and stops to fetch them.
    pub followed: Vec<TopicPartition>,
}

impl ControllerContext {
    /// Marks the broker as leaving. Partitions without another replica stay where they are to the end.
    pub fn begin_shutdown(&mut self, broker: BrokerId, broker_epoch: i64) -> Result<Leaving, ErrorCode> {
        let Some(known) = self.brokers.get(&broker) else { return Err(ErrorCode::BrokerNotAvailable) };
        // −1 comes from a broker that does not send its epoch.
        if broker_epoch >= 0 && broker_epoch < known.epoch {
            return Err(ErrorCode::StaleBrokerEpoch);
        }
        self.shutting_down.insert(broker);
        let hosted = self.replicated_on(broker);
        let (led, followed) = hosted.into_iter().partition(|tp| self.leader_of(tp) == Some(broker));
        Ok(Leaving { led, followed })
    }

    /// What `broker` still leads of that which could be led elsewhere.
    #[must_use]
    pub fn still_led_by(&self, broker: BrokerId) -> Vec<TopicPartition> {
        self.replicated_on(broker).into_iter().filter(|tp| self.leader_of(tp) == Some(broker)).collect()
    }

    fn replicated_on(&self, broker: BrokerId) -> Vec<TopicPartition> {
        let is_replicated = |tp: &TopicPartition| {
            self.partition(tp).is_some_and(|partition| {
                let replicas = &partition.assignment.replicas;
                replicas.len() > 1 && replicas.contains(&broker) && partition.state.is_some()
            })
        };
        let topics = self.topics.keys().filter(|topic| !self.is_queued_for_deletion(topic));
        topics.flat_map(|topic| self.partitions_of(topic)).filter(is_replicated).collect()
    }

    #[must_use]
    pub fn leader_of(&self, tp: &TopicPartition) -> Option<BrokerId> {
        Some(self.partition(tp)?.state.as_ref()?.state.leader)
    }
}
