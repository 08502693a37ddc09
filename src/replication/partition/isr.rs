//! The in-sync replicas, and proposals to change them (classes `PartitionState`, `PendingExpandIsr`, `PendingShrinkIsr`).

use super::{AlterPartition, AlterPartitionAnswer, Altered, FollowerFetch, LogOffsets, PartitionState, Replica};
use crate::common::{BrokerId, ErrorCode, Timestamp};

/// At most one proposal is under way; until the controller answers, the stricter reading of the ISR holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Isr {
    Committed(Vec<BrokerId>),
    PendingExpand { committed: Vec<BrokerId>, adding: BrokerId },
    PendingShrink { committed: Vec<BrokerId>, removing: Vec<BrokerId> },
}

impl Default for Isr {
    fn default() -> Self {
        Self::Committed(Vec::new())
    }
}

impl Isr {
    pub(super) fn committed(isr: Vec<BrokerId>) -> Self {
        Self::Committed(isr)
    }

    /// What the controller has confirmed: decides min.insync.replicas before an append.
    #[must_use]
    pub fn members(&self) -> &[BrokerId] {
        match self {
            Self::Committed(isr)
            | Self::PendingExpand { committed: isr, .. }
            | Self::PendingShrink { committed: isr, .. } => isr,
        }
    }

    /// Everyone who may be in it already: nothing is committed that one of these lacks (KIP-497).
    #[must_use]
    pub fn maximal_contains(&self, id: BrokerId) -> bool {
        self.members().contains(&id) || matches!(self, Self::PendingExpand { adding, .. } if *adding == id)
    }

    #[must_use]
    pub fn maximal_len(&self) -> usize {
        self.members().len() + usize::from(matches!(self, Self::PendingExpand { .. }))
    }

    /// What the controller was asked for; the ISR itself if it was asked for nothing.
    #[must_use]
    pub fn proposed(&self) -> Vec<BrokerId> {
        match self {
            Self::Committed(isr) => isr.clone(),
            Self::PendingExpand { committed, adding } => committed.iter().copied().chain([*adding]).collect(),
            Self::PendingShrink { committed, removing } => {
                committed.iter().copied().filter(|id| !removing.contains(id)).collect()
            }
        }
    }

    #[must_use]
    pub fn is_inflight(&self) -> bool {
        !matches!(self, Self::Committed(_))
    }
}

impl PartitionState {
    /// Proposes `candidate` for the ISR if it has all that is committed and all that earlier leaders left.
    pub(super) fn expand_isr(&mut self, candidate: BrokerId, log: LogOffsets) -> Option<AlterPartition> {
        if self.isr.is_inflight() || self.isr.members().contains(&candidate) || !self.is_leader() {
            return None;
        }
        if self.away.contains(&candidate) {
            return None;
        }
        let end = self.remotes.get(&candidate)?.log_end_offset();
        if end < log.high_watermark || end < self.epoch_start_offset() {
            return None;
        }
        let committed = self.isr.members().to_vec();
        let isr = committed.iter().copied().chain([candidate]).collect();
        self.isr = Isr::PendingExpand { committed, adding: candidate };
        Some(self.proposal(isr))
    }

    /// Proposes an ISR without the followers that have not been at the log's end for `replica.lag.time.max.ms`.
    pub fn shrink_isr(&mut self, now: Timestamp, log: LogOffsets) -> Option<AlterPartition> {
        if self.isr.is_inflight() || !self.is_leader() {
            return None;
        }
        let lags = |id: &BrokerId| self.lags(*id, now, log);
        let (removing, isr): (Vec<_>, Vec<_>) = self.isr.members().iter().copied().partition(lags);
        if removing.is_empty() {
            return None;
        }
        self.isr = Isr::PendingShrink { committed: self.isr.members().to_vec(), removing };
        Some(self.proposal(isr))
    }

    /// Whether [`Self::shrink_isr`] would propose anything.
    #[must_use]
    pub fn has_laggards(&self, now: Timestamp, log: LogOffsets) -> bool {
        let may_propose = self.is_leader() && !self.isr.is_inflight();
        may_propose && self.isr.members().iter().any(|id| self.lags(*id, now, log))
    }

    fn lags(&self, id: BrokerId, now: Timestamp, log: LogOffsets) -> bool {
        let keeps_up = |replica: &Replica| replica.is_caught_up(log.log_end_offset, now, self.lag_time_max_ms);
        id != self.local && !self.remotes.get(&id).is_some_and(keeps_up)
    }

    /// The controller's answer to a proposal (`Partition.handleAlterPartitionError`, `handleAlterPartitionUpdate`). An
    /// answer to a proposal that a LeaderAndIsr has overtaken says nothing any more.
    pub fn isr_altered(
        &mut self,
        proposal: &AlterPartition,
        answer: Result<AlterPartitionAnswer, ErrorCode>,
    ) -> Altered {
        let is_the_one = (proposal.leader_epoch, proposal.partition_epoch) == (self.leader_epoch, self.partition_epoch)
            && proposal.isr == self.isr.proposed();
        if !self.isr.is_inflight() || !self.is_leader() || !is_the_one {
            return Altered::Unchanged;
        }
        match answer {
            Ok(answer) if answer.leader_epoch != self.leader_epoch || answer.partition_epoch < self.partition_epoch => {
                Altered::Unchanged
            }
            Ok(answer) => {
                self.isr = Isr::committed(answer.isr);
                self.partition_epoch = answer.partition_epoch;
                Altered::Committed
            }
            // The controller says that the epoch is right and that nothing was written: what was is what is.
            Err(ErrorCode::OperationNotAttempted | ErrorCode::IneligibleReplica) => {
                self.isr = Isr::committed(self.isr.members().to_vec());
                Altered::Refused
            }
            // Our picture is old: the controller will send a newer one, until when the stricter ISR holds.
            Err(
                ErrorCode::UnknownTopicOrPartition
                | ErrorCode::UnknownTopicId
                | ErrorCode::FencedLeaderEpoch
                | ErrorCode::InvalidUpdateVersion
                | ErrorCode::InvalidRequest
                | ErrorCode::NewLeaderElected,
            ) => Altered::Unchanged,
            Err(_) => Altered::TryAgain,
        }
    }

    /// `min.insync.replicas`, but never more than there are replicas.
    #[must_use]
    pub fn effective_min_isr(&self, min_insync_replicas: i32) -> usize {
        usize::try_from(min_insync_replicas).unwrap_or(0).min(self.remotes.len() + 1)
    }

    #[must_use]
    pub fn is_under_min_isr(&self, min_insync_replicas: i32) -> bool {
        self.is_leader() && self.isr.members().len() < self.effective_min_isr(min_insync_replicas)
    }

    #[must_use]
    pub fn is_at_min_isr(&self, min_insync_replicas: i32) -> bool {
        self.is_leader() && self.isr.members().len() == self.effective_min_isr(min_insync_replicas)
    }

    #[must_use]
    pub fn is_under_replicated(&self) -> bool {
        self.is_leader() && self.isr.members().len() < self.replicas.len()
    }

    fn proposal(&self, isr: Vec<BrokerId>) -> AlterPartition {
        let epoch = |id: &BrokerId| self.remotes.get(id).map_or(-1, Replica::broker_epoch);
        let broker_epochs = isr.iter().map(epoch).collect();
        AlterPartition { leader_epoch: self.leader_epoch, partition_epoch: self.partition_epoch, isr, broker_epochs }
    }
}

impl FollowerFetch {
    /// A fetch that says nothing of broker epochs (versions before 15).
    #[must_use]
    pub fn new(replica: BrokerId, fetch_offset: i64, log_start_offset: i64) -> Self {
        Self { replica, fetch_offset, log_start_offset, broker_epoch: -1 }
    }
}
