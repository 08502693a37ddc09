//! What a broker knows of one partition it hosts, and how that changes (class `Partition`). Pure: the log, the clock and
//! the controller are the driver's; offsets and times come in as arguments, effects go out as values.

pub mod effect;
pub mod high_watermark;
pub mod isr;
mod preferred;
pub mod replica;
pub mod role;
#[cfg(test)]
mod tests;

use indexmap::IndexMap;
use smallvec::SmallVec;

pub use self::{
    effect::{AlterPartition, AlterPartitionAnswer, Altered, PartitionEffect},
    isr::Isr,
    replica::Replica,
    role::Role,
};
use crate::common::{
    BrokerId, ErrorCode, LeaderEpoch, Offset, Timestamp,
    ids::{NO_LEADER_EPOCH, NO_OFFSET},
};

/// What the log of the leader said when a question was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogOffsets {
    pub log_start_offset: Offset,
    pub high_watermark: Offset,
    pub log_end_offset: Offset,
}

/// A follower asked for records from `fetch_offset`, which says that it has everything before.
#[derive(Debug, Clone, Copy)]
pub struct FollowerFetch {
    pub replica: BrokerId,
    pub fetch_offset: Offset,
    pub log_start_offset: Offset,
    /// −1: the follower does not say.
    pub broker_epoch: i64,
}

/// One decision of the controller about this partition.
#[derive(Debug, Clone)]
pub struct Leadership {
    pub leader: BrokerId,
    pub leader_epoch: LeaderEpoch,
    pub partition_epoch: i32,
    pub isr: Vec<BrokerId>,
    pub replicas: Vec<BrokerId>,
}

/// Leadership, in-sync replicas and the progress of the others. Changes only through its methods.
#[derive(Debug, Clone)]
pub struct PartitionState {
    local: BrokerId,
    /// `replica.lag.time.max.ms`
    lag_time_max_ms: i64,
    role: Role,
    leader_epoch: LeaderEpoch,
    partition_epoch: i32,
    replicas: Vec<BrokerId>,
    isr: Isr,
    /// The other replicas, in the order of the assignment.
    remotes: IndexMap<BrokerId, Replica>,
    /// Replicas whose brokers the image does not show: nobody waits for them to return
    /// (`Partition.isReplicaIsrEligible`).
    away: Vec<BrokerId>,
}

impl PartitionState {
    #[must_use]
    pub fn new(local: BrokerId, lag_time_max_ms: i64) -> Self {
        Self {
            local,
            lag_time_max_ms,
            role: Role::Unassigned,
            leader_epoch: NO_LEADER_EPOCH,
            partition_epoch: -1,
            replicas: Vec::new(),
            isr: Isr::default(),
            remotes: IndexMap::new(),
            away: Vec::new(),
        }
    }

    /// Notes which brokers live. The high watermark may have waited for one that does not.
    pub fn brokers_seen(&mut self, is_live: impl Fn(BrokerId) -> bool) {
        self.away = self.remotes.keys().copied().filter(|id| !is_live(*id)).collect();
    }

    /// Takes the controller's decision. `log_end_offset` is where a new epoch of ours begins. Returns whether the epoch
    /// is new; an older partition epoch is refused with `None`.
    pub fn apply(&mut self, now: Timestamp, decision: &Leadership, log_end_offset: Offset) -> Option<bool> {
        if decision.partition_epoch < self.partition_epoch || decision.leader_epoch < self.leader_epoch {
            return None;
        }
        let was_leader = self.is_leader();
        let is_leader = decision.leader == self.local;
        let is_new_epoch = decision.leader_epoch > self.leader_epoch;
        self.replicas.clone_from(&decision.replicas);
        self.isr = Isr::committed(if is_leader { decision.isr.clone() } else { Vec::new() });
        self.remotes.retain(|id, _| is_leader && decision.replicas.contains(id));
        if is_leader {
            for id in decision.replicas.iter().filter(|id| **id != self.local) {
                self.remotes.entry(*id).or_insert_with(|| Replica::new(*id));
            }
            if is_new_epoch {
                for (id, replica) in &mut self.remotes {
                    replica.reset(now, log_end_offset, !was_leader, decision.isr.contains(id));
                }
                self.role = Role::Leader { epoch_start_offset: log_end_offset };
            }
        } else {
            self.role = Role::Follower { leader: decision.leader };
        }
        self.leader_epoch = decision.leader_epoch;
        self.partition_epoch = decision.partition_epoch;
        Some(is_new_epoch)
    }

    /// A follower fetched: remembers how far it is, asks for its return to the ISR when it has caught up, and says
    /// whether the high watermark may move.
    pub fn follower_fetched(
        &mut self,
        now: Timestamp,
        fetch: FollowerFetch,
        log: LogOffsets,
        min_insync_replicas: i32,
    ) -> SmallVec<[PartitionEffect; 2]> {
        let mut effects = SmallVec::new();
        let low_before = self.low_watermark(log.log_start_offset);
        let Some(replica) = self.remotes.get_mut(&fetch.replica) else { return effects };
        if replica.is_outdated(fetch.broker_epoch) {
            return effects;
        }
        let end_before = replica.log_end_offset();
        replica.fetched(now, fetch, log.log_end_offset);
        let end_now = replica.log_end_offset();
        if self.low_watermark(log.log_start_offset) > low_before {
            effects.push(PartitionEffect::LowWatermarkAdvanced);
        }
        if let Some(expanded) = self.expand_isr(fetch.replica, log) {
            effects.push(PartitionEffect::AlterPartition(expanded));
        }
        if end_before != end_now
            && let Some(offset) = self.high_watermark_after(now, log, min_insync_replicas)
        {
            effects.push(PartitionEffect::HighWatermarkAdvanced(offset));
        }
        effects
    }

    /// `Ok` with the epoch if this broker leads and the caller's idea of the epoch (−1: none) is ours.
    pub fn check_leader(&self, current_leader_epoch: LeaderEpoch) -> Result<LeaderEpoch, ErrorCode> {
        self.check_epoch(current_leader_epoch)?;
        if self.is_leader() { Ok(self.leader_epoch) } else { Err(ErrorCode::NotLeaderOrFollower) }
    }

    /// FENCED_LEADER_EPOCH if the caller is behind, UNKNOWN_LEADER_EPOCH if it is ahead (KIP-320).
    pub fn check_epoch(&self, current_leader_epoch: LeaderEpoch) -> Result<(), ErrorCode> {
        match current_leader_epoch {
            NO_LEADER_EPOCH => Ok(()),
            epoch if epoch < self.leader_epoch => Err(ErrorCode::FencedLeaderEpoch),
            epoch if epoch > self.leader_epoch => Err(ErrorCode::UnknownLeaderEpoch),
            _ => Ok(()),
        }
    }

    /// Whether `replica` may fetch as a follower; anybody else could move the high watermark over records that no
    /// replica has. The code depends on whether the caller proved to know the epoch.
    pub fn check_follower(&self, replica: BrokerId, current_leader_epoch: LeaderEpoch) -> Result<(), ErrorCode> {
        if self.remotes.contains_key(&replica) {
            Ok(())
        } else if current_leader_epoch == NO_LEADER_EPOCH {
            Err(ErrorCode::NotLeaderOrFollower)
        } else {
            Err(ErrorCode::UnknownLeaderEpoch)
        }
    }

    #[must_use]
    pub fn is_leader(&self) -> bool {
        matches!(self.role, Role::Leader { .. })
    }

    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    #[must_use]
    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.leader_epoch
    }

    #[must_use]
    pub fn partition_epoch(&self) -> i32 {
        self.partition_epoch
    }

    /// Where our epoch begins in the log; −1 while we don't lead.
    #[must_use]
    pub fn epoch_start_offset(&self) -> Offset {
        match self.role {
            Role::Leader { epoch_start_offset } => epoch_start_offset,
            _ => NO_OFFSET,
        }
    }

    #[must_use]
    pub fn isr(&self) -> &Isr {
        &self.isr
    }

    #[must_use]
    pub fn replicas(&self) -> &[BrokerId] {
        &self.replicas
    }

    #[must_use]
    pub fn remote(&self, id: BrokerId) -> Option<&Replica> {
        self.remotes.get(&id)
    }

    /// Smallest log start offset of all replicas: DeleteRecords is done when it has passed the asked offset.
    #[must_use]
    pub fn low_watermark(&self, local_log_start_offset: Offset) -> Offset {
        self.remotes.values().map(Replica::log_start_offset).fold(local_log_start_offset, Offset::min)
    }
}
