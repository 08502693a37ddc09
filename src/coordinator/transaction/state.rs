//! The states of a transactional id (class `TransactionState`).

/// `as i8` is the number in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(i8)]
pub enum TransactionState {
    /// No transaction has been since the producer was initialized.
    Empty = 0,
    /// Partitions are in it.
    Ongoing = 1,
    /// The outcome is decided; markers are being written.
    PrepareCommit = 2,
    PrepareAbort = 3,
    /// All markers are written.
    CompleteCommit = 4,
    CompleteAbort = 5,
    /// Expired; only ever pending, until the tombstone is written.
    Dead = 6,
    /// The epoch is about to be bumped because of a timeout or another producer; only ever pending.
    PrepareEpochFence = 7,
}

impl TransactionState {
    pub const ALL: [Self; 8] = [
        Self::Empty,
        Self::Ongoing,
        Self::PrepareCommit,
        Self::PrepareAbort,
        Self::CompleteCommit,
        Self::CompleteAbort,
        Self::Dead,
        Self::PrepareEpochFence,
    ];

    /// As tools show it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Ongoing => "Ongoing",
            Self::PrepareCommit => "PrepareCommit",
            Self::PrepareAbort => "PrepareAbort",
            Self::CompleteCommit => "CompleteCommit",
            Self::CompleteAbort => "CompleteAbort",
            Self::Dead => "Dead",
            Self::PrepareEpochFence => "PrepareEpochFence",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    #[must_use]
    pub fn from_id(id: i8) -> Option<Self> {
        Self::ALL.into_iter().find(|state| *state as i8 == id)
    }

    /// The states this one may follow.
    #[must_use]
    pub const fn predecessors(self) -> &'static [Self] {
        match self {
            Self::Empty => &[Self::Empty, Self::CompleteCommit, Self::CompleteAbort],
            Self::Ongoing => &[Self::Ongoing, Self::Empty, Self::CompleteCommit, Self::CompleteAbort],
            Self::PrepareCommit => &[Self::Ongoing],
            Self::PrepareAbort => &[Self::Ongoing, Self::PrepareEpochFence],
            Self::CompleteCommit => &[Self::PrepareCommit],
            Self::CompleteAbort => &[Self::PrepareAbort],
            Self::Dead => &[Self::Empty, Self::CompleteAbort, Self::CompleteCommit],
            Self::PrepareEpochFence => &[Self::Ongoing],
        }
    }

    /// Whether an id that rests in this state may be forgotten.
    #[must_use]
    pub const fn is_expiration_allowed(self) -> bool {
        matches!(self, Self::Empty | Self::CompleteCommit | Self::CompleteAbort)
    }

    /// Whether the outcome is decided and markers are on their way.
    #[must_use]
    pub const fn is_prepared(self) -> bool {
        matches!(self, Self::PrepareCommit | Self::PrepareAbort)
    }
}
