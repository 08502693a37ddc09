//! Who shall lead one partition (class `Election`). Each rule gives the state to be written, or none if nothing is to
//! change or nobody can lead.

use super::{ControllerContext, PartitionContext};
use crate::{
    common::{BrokerId, TopicPartition},
    coordination::znode::partition_state::PartitionState,
};

/// "No leader" in a state.
pub const NO_LEADER: BrokerId = -1;
/// `LeaderRecoveryState.RECOVERING`
pub const RECOVERING: i8 = 1;

impl ControllerContext {
    /// The next state: whoever leads, a new epoch fences what went before.
    fn next(&self, current: &PartitionState, leader: BrokerId, isr: Vec<BrokerId>) -> PartitionState {
        let mut state = PartitionState::new(leader, current.leader_epoch.saturating_add(1), isr, self.epoch);
        state.leader_recovery_state = current.leader_recovery_state;
        state
    }

    fn known<'a>(&'a self, tp: &TopicPartition) -> Option<(&'a PartitionContext, &'a PartitionState)> {
        let partition = self.partition(tp).filter(|_| !self.is_deleting(&tp.topic))?;
        Some((partition, &partition.state.as_ref()?.state))
    }

    fn online(&self, tp: &TopicPartition, replicas: &[BrokerId]) -> Vec<BrokerId> {
        replicas.iter().copied().filter(|replica| self.is_online(*replica, tp)).collect()
    }

    /// For a partition whose leader, or whose in-sync replicas, are not all at work any more.
    ///
    /// Only an in-sync replica may lead. If none is there, `unclean` lets any replica lead, at the price of what only the
    /// others have; it is the whole ISR then, and recovering. Otherwise there is no leader, and the set is kept: it says
    /// whom to wait for.
    #[must_use]
    pub fn elect_offline(&self, tp: &TopicPartition, unclean: bool) -> Option<PartitionState> {
        let (partition, state) = self.known(tp)?;
        let replicas = &partition.assignment.replicas;
        if self.is_working(state.leader, tp) {
            let isr: Vec<BrokerId> = state.isr.iter().copied().filter(|id| self.is_working(*id, tp)).collect();
            return (isr.len() < state.isr.len()).then(|| self.next(state, state.leader, isr));
        }
        let isr = self.online(tp, &state.isr);
        if let Some(leader) = replicas.iter().find(|replica| isr.contains(replica)) {
            return Some(self.next(state, *leader, isr));
        }
        if let Some(leader) = self.online(tp, replicas).first().filter(|_| unclean) {
            let mut next = self.next(state, *leader, vec![*leader]);
            if self.leader_recovery {
                next.leader_recovery_state = RECOVERING;
            }
            return Some(next);
        }
        (state.leader != NO_LEADER).then(|| self.next(state, NO_LEADER, state.isr.clone()))
    }

    /// Whether only an unclean election would help.
    #[must_use]
    pub fn waits_for_isr(&self, tp: &TopicPartition) -> bool {
        self.known(tp).is_some_and(|(partition, state)| {
            !self.is_working(state.leader, tp)
                && self.online(tp, &state.isr).is_empty()
                && !self.online(tp, &partition.assignment.replicas).is_empty()
        })
    }

    /// The first replica of the assignment, if it may lead and does not.
    #[must_use]
    pub fn elect_preferred(&self, tp: &TopicPartition) -> Option<PartitionState> {
        let (partition, state) = self.known(tp)?;
        let preferred = *partition.assignment.replicas.first()?;
        let may_lead = preferred != state.leader && state.isr.contains(&preferred) && self.is_online(preferred, tp);
        may_lead.then(|| self.next(state, preferred, state.isr.clone()))
    }

    /// Another leader instead of brokers that are shutting down; they leave the ISR too.
    #[must_use]
    pub fn elect_for_shutdown(&self, tp: &TopicPartition) -> Option<PartitionState> {
        let (partition, state) = self.known(tp)?;
        let may_lead = |id: &&BrokerId| state.isr.contains(id) && self.is_online(**id, tp);
        let leader = partition.assignment.replicas.iter().find(may_lead)?;
        let isr = state.isr.iter().copied().filter(|id| !self.shutting_down.contains(id)).collect();
        Some(self.next(state, *leader, isr))
    }

    /// The ISR without `gone`; the last member stays, as whom to wait for. A leader that is gone leads no more.
    #[must_use]
    pub fn without_replicas(&self, tp: &TopicPartition, gone: &[BrokerId]) -> Option<PartitionState> {
        let (_, state) = self.known(tp)?;
        if !state.isr.iter().any(|id| gone.contains(id)) {
            return None;
        }
        let mut isr: Vec<BrokerId> = state.isr.iter().copied().filter(|id| !gone.contains(id)).collect();
        if isr.is_empty() {
            isr = state.isr.iter().copied().take(1).collect();
        }
        let leader = if gone.contains(&state.leader) { NO_LEADER } else { state.leader };
        Some(self.next(state, leader, isr))
    }

    /// The same in a new epoch: the leader learns of another assignment only with one.
    #[must_use]
    pub fn new_epoch(&self, tp: &TopicPartition) -> Option<PartitionState> {
        let (_, state) = self.known(tp)?;
        Some(self.next(state, state.leader, state.isr.clone()))
    }

    /// At the end of a reassignment: led by one of `target`, and none else in sync. None while that cannot be.
    #[must_use]
    pub fn elect_for_reassignment(&self, tp: &TopicPartition, target: &[BrokerId]) -> Option<PartitionState> {
        let (_, state) = self.known(tp)?;
        let stays = target.contains(&state.leader) && self.is_working(state.leader, tp);
        let may_lead = |id: &&BrokerId| state.isr.contains(id) && self.is_online(**id, tp);
        let leader = if stays { state.leader } else { *target.iter().find(may_lead)? };
        let isr = state.isr.iter().copied().filter(|id| target.contains(id)).collect();
        Some(self.next(state, leader, isr))
    }
}
