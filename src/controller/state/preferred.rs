//! Leadership back to where the assignment wants it (`KafkaController.checkAndTriggerAutoLeaderRebalance`), and elections
//! that an admin asks for.

use indexmap::IndexMap;

use super::{ControllerContext, election::NO_LEADER};
use crate::{
    common::{BrokerId, ErrorCode, TopicPartition},
    controller::command::{ApiError, ElectionType},
};

impl ControllerContext {
    /// Partitions to be given to their preferred leaders: those of brokers that lead too few of what they should
    /// (`leader.imbalance.per.broker.percentage`).
    #[must_use]
    pub fn imbalanced(&self, percentage_max: i32) -> Vec<TopicPartition> {
        let mut by_preferred: IndexMap<BrokerId, (u64, Vec<TopicPartition>)> = IndexMap::new();
        for topic in self.topics.keys().filter(|topic| !self.is_queued_for_deletion(topic)) {
            for tp in self.partitions_of(topic) {
                let preferred = self.partition(&tp).and_then(|it| it.assignment.replicas.first().copied());
                let Some(preferred) = preferred else { continue };
                let (all, elsewhere) = by_preferred.entry(preferred).or_default();
                *all += 1;
                if self.leader_of(&tp).is_some_and(|leader| leader != preferred) {
                    elsewhere.push(tp);
                }
            }
        }
        let percentage_max = u64::try_from(percentage_max).unwrap_or(0);
        let is_imbalanced = |all: u64, elsewhere: usize| {
            u64::try_from(elsewhere).unwrap_or(u64::MAX).saturating_mul(100) > all.saturating_mul(percentage_max)
        };
        let brokers = by_preferred.into_values().filter(|(all, elsewhere)| is_imbalanced(*all, elsewhere.len()));
        brokers.flat_map(|(_, elsewhere)| elsewhere).filter(|tp| self.elect_preferred(tp).is_some()).collect()
    }

    /// Whether an election can be tried; the error is the admin's answer if not.
    pub fn may_elect(&self, election: ElectionType, tp: &TopicPartition) -> Result<(), ApiError> {
        let Some(partition) = self.partition(tp) else {
            return Err(ApiError::new(ErrorCode::UnknownTopicOrPartition, "The partition does not exist."));
        };
        if self.is_queued_for_deletion(&tp.topic) {
            return Err(ApiError::new(ErrorCode::InvalidTopicException, "The topic is being deleted"));
        }
        let leader = self.leader_of(tp).unwrap_or(NO_LEADER);
        let is_needed = match election {
            ElectionType::Preferred => partition.assignment.replicas.first() != Some(&leader),
            ElectionType::Unclean => leader == NO_LEADER || !self.is_live(leader),
        };
        if is_needed { Ok(()) } else { Err(ErrorCode::ElectionNotNeeded.into()) }
    }
}

/// The answer for a partition that found no leader.
#[must_use]
pub fn election_failed(election: ElectionType, tp: &TopicPartition) -> ApiError {
    let (code, strategy) = match election {
        ElectionType::Preferred => {
            (ErrorCode::PreferredLeaderNotAvailable, "PreferredReplicaPartitionLeaderElectionStrategy")
        }
        ElectionType::Unclean => {
            (ErrorCode::EligibleLeadersNotAvailable, "OfflinePartitionLeaderElectionStrategy(true)")
        }
    };
    ApiError::new(code, format!("Failed to elect leader for partition {tp} under strategy {strategy}"))
}
