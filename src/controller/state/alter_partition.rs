//! Whether a leader gets the ISR it asks for (`KafkaController.tryProcessAlterPartition`, KIP-497).

use super::{ControllerContext, election::RECOVERING};
use crate::{
    common::{BrokerId, ErrorCode},
    controller::command::{AlterPartition, AlteredPartition, IsrProposal},
    coordination::{
        cluster_store::{PartitionStateUpdate, VersionedState},
        znode::partition_state::PartitionState,
    },
};

/// "The leader does not know" in a proposed member's epoch.
const UNKNOWN_BROKER_EPOCH: i64 = -1;

/// The answer to one proposal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Write(PartitionStateUpdate),
    /// It is so already: an answer got lost.
    Already(AlteredPartition),
    Refused(ErrorCode),
}

impl ControllerContext {
    /// Whether the whole request is to be refused.
    #[must_use]
    pub fn is_sender_stale(&self, broker: BrokerId, broker_epoch: i64) -> bool {
        self.brokers.get(&broker).is_none_or(|known| known.epoch != broker_epoch)
    }

    /// The order of the checks is Kafka's: a leader draws its conclusions from which one fails first.
    #[must_use]
    pub fn judge(&self, request: &AlterPartition, proposal: &IsrProposal) -> Verdict {
        let partition = self.partition(&proposal.topic_partition);
        let Some((partition, current)) = partition.and_then(|it| Some((it, it.state.as_ref()?))) else {
            return Verdict::Refused(ErrorCode::UnknownTopicOrPartition);
        };
        let state = &current.state;
        let isr: Vec<BrokerId> = proposal.isr.iter().map(|(id, _)| *id).collect();
        // The leader has heard of a later controller.
        if proposal.partition_epoch > current.version || proposal.leader_epoch > state.leader_epoch {
            return Verdict::Refused(ErrorCode::NotController);
        }
        if proposal.leader_epoch < state.leader_epoch {
            return Verdict::Refused(ErrorCode::FencedLeaderEpoch);
        }
        let is_same = (request.broker, &isr, proposal.leader_recovery_state)
            == (state.leader, &state.isr, state.leader_recovery_state);
        if is_same {
            return Verdict::Already(answer(current));
        }
        if proposal.partition_epoch < current.version {
            return Verdict::Refused(ErrorCode::InvalidUpdateVersion);
        }
        let recovers = proposal.leader_recovery_state == RECOVERING;
        if recovers && (isr.len() > 1 || state.leader_recovery_state != RECOVERING) {
            return Verdict::Refused(ErrorCode::InvalidRequest);
        }
        if !proposal.isr.iter().all(|(id, epoch)| self.is_eligible(*id, *epoch)) {
            let code = if request.knows_ineligible_replica {
                ErrorCode::IneligibleReplica
            } else {
                ErrorCode::OperationNotAttempted
            };
            return Verdict::Refused(code);
        }
        // What no sane leader asks for; Kafka writes it down.
        let is_replica = |id: &BrokerId| partition.assignment.replicas.contains(id);
        if request.broker != state.leader || !isr.contains(&request.broker) || !isr.iter().all(is_replica) {
            return Verdict::Refused(ErrorCode::InvalidRequest);
        }
        let mut next = PartitionState::new(state.leader, state.leader_epoch, isr, self.epoch);
        next.leader_recovery_state = proposal.leader_recovery_state;
        Verdict::Write(PartitionStateUpdate {
            topic_partition: proposal.topic_partition.clone(),
            state: next,
            expected_version: current.version,
        })
    }

    /// A replica whose broker was restarted since the leader saw it may have lost what made it in sync (KIP-903). Kafka
    /// 3.9 checks that with a KRaft controller only.
    fn is_eligible(&self, replica: BrokerId, epoch: i64) -> bool {
        let known = self.brokers.get(&replica).filter(|_| self.is_live(replica));
        known.is_some_and(|broker| epoch == UNKNOWN_BROKER_EPOCH || epoch == broker.epoch)
    }
}

/// A state as the leader is told of it.
#[must_use]
pub fn answer(current: &VersionedState) -> AlteredPartition {
    AlteredPartition {
        leader: current.state.leader,
        leader_epoch: current.state.leader_epoch,
        isr: current.state.isr.clone(),
        leader_recovery_state: current.state.leader_recovery_state,
        partition_epoch: current.version,
    }
}
