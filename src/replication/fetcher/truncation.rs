//! Where a follower's log must be cut to match its leader's (`AbstractFetcherThread.getOffsetTruncationState`,
//! `fetchOffsetAndTruncate`; KIP-101, KIP-279, KIP-595).

use crate::{
    common::{LeaderEpoch, Offset, ids::NO_LEADER_EPOCH, ids::NO_OFFSET},
    storage::OffsetAndEpoch,
};

/// The leader's largest epoch not above the one asked about, and where it ends there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochEndOffset {
    pub leader_epoch: LeaderEpoch,
    pub end_offset: Offset,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Truncation {
    pub offset: Offset,
    /// False: there is an older epoch to compare next, and the cut may go deeper.
    pub is_final: bool,
}

/// The cut that `leader` asks for. `local` is our own largest epoch not above the leader's and its end;
/// `fetch_offset` where we were.
#[must_use]
pub fn truncation(
    leader: EpochEndOffset,
    local: Option<OffsetAndEpoch>,
    log_end_offset: Offset,
    fetch_offset: Offset,
) -> Truncation {
    if leader.end_offset == NO_OFFSET {
        return Truncation { offset: fetch_offset, is_final: true };
    }
    let to_leaders_end = Truncation { offset: leader.end_offset.min(log_end_offset), is_final: true };
    match local {
        _ if leader.leader_epoch == NO_LEADER_EPOCH => to_leaders_end,
        None => to_leaders_end,
        // We never had that epoch: all that is newer goes, and the leader is asked about what is last then.
        Some(local) if local.leader_epoch != leader.leader_epoch => {
            Truncation { offset: local.offset.min(log_end_offset), is_final: false }
        }
        Some(local) => Truncation { offset: local.offset.min(leader.end_offset).min(log_end_offset), is_final: true },
    }
}

/// What to do with a log whose end the leader does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetReset {
    /// The leader's log is shorter: an unclean election. What it lacks goes.
    TruncateTo(Offset),
    /// The leader has forgotten all that we have: begin anew where its log begins.
    StartOver(Offset),
    /// Between the two: the leader has moved on meanwhile; go on from our end.
    Continue(Offset),
}

/// `leader_start` is asked for only if the leader's log is not shorter.
#[must_use]
pub fn offset_reset(leader_end: Offset, leader_start: Option<Offset>, log_end_offset: Offset) -> OffsetReset {
    match leader_start {
        _ if leader_end < log_end_offset => OffsetReset::TruncateTo(leader_end),
        Some(start) if start > log_end_offset => OffsetReset::StartOver(start),
        _ => OffsetReset::Continue(log_end_offset),
    }
}

#[cfg(test)]
mod tests;
