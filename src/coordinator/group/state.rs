//! A group's states and which may follow which (trait `GroupState`).

/// Transitions are data: see [`GroupState::valid_predecessors`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GroupState {
    /// No members; offsets may remain until they expire.
    Empty,
    /// Members are asked to rejoin; heartbeats answer REBALANCE_IN_PROGRESS.
    PreparingRebalance,
    /// Everybody joined; the leader's assignment is awaited.
    CompletingRebalance,
    /// Assignment is out, members heartbeat.
    Stable,
    /// Being removed; never stored, only told of in DescribeGroups.
    Dead,
}

use GroupState::{CompletingRebalance, Dead, Empty, PreparingRebalance, Stable};

impl GroupState {
    /// The states this one may be entered from.
    #[must_use]
    pub const fn valid_predecessors(self) -> &'static [GroupState] {
        match self {
            Empty => &[PreparingRebalance],
            PreparingRebalance => &[Stable, CompletingRebalance, Empty],
            CompletingRebalance => &[PreparingRebalance],
            Stable => &[CompletingRebalance],
            Dead => &[Stable, PreparingRebalance, CompletingRebalance, Empty, Dead],
        }
    }

    #[must_use]
    pub fn may_follow(self, previous: GroupState) -> bool {
        self.valid_predecessors().contains(&previous)
    }

    /// As Kafka prints it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Empty => "Empty",
            PreparingRebalance => "PreparingRebalance",
            CompletingRebalance => "CompletingRebalance",
            Stable => "Stable",
            Dead => "Dead",
        }
    }
}

impl std::fmt::Display for GroupState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
