//! What comes out of the state machine, and what a write's end leads to.
//!
//! Commands own their strings: a slice of a request would keep the whole frame alive.

use std::sync::Arc;

use super::metadata::Transition;
pub use crate::coordinator::machine::{Now, ReplyTo, WriteOutcome};
use crate::{
    common::{ErrorCode, ProducerEpoch, ProducerId, TopicPartition},
    coordinator::machine,
};

/// What a command decided.
pub type Step = machine::Step<Reply, After, SendMarkers>;
pub type Write = machine::Write<After>;

#[derive(Debug, Clone)]
pub struct InitProducerId {
    pub transactional_id: Arc<str>,
    pub timeout_ms: i32,
    /// The id and epoch the producer has already (KIP-360).
    pub expected: Option<(ProducerId, ProducerEpoch)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    Initialized {
        producer_id: ProducerId,
        producer_epoch: ProducerEpoch,
    },
    /// To be asked again with a fresh producer id.
    NeedsProducerId,
    /// NONE or what went wrong.
    Code(ErrorCode),
}

/// A write's continuation, as data.
#[derive(Debug)]
pub enum After {
    Transition(Box<Transitioned>),
    /// A tombstone: forget the id.
    Expired {
        transactional_id: Arc<str>,
        producer_epoch: ProducerEpoch,
    },
}

#[derive(Debug)]
pub struct Transitioned {
    pub transactional_id: Arc<str>,
    pub transition: Transition,
    pub then: Then,
}

#[derive(Debug, Clone, Copy)]
pub enum Then {
    /// Answer with the new id and epoch.
    Initialized(ReplyTo),
    PartitionsAdded(ReplyTo),
    /// Send markers; answer `told` whoever asked.
    Ended {
        reply: Option<ReplyTo>,
        told: ErrorCode,
        is_epoch_fence: bool,
    },
    /// The transaction is over.
    Completed,
}

/// An outcome is in the log: markers are to be written to the partitions' leaders, and what came of it goes back in
/// through `markers_written`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendMarkers {
    pub transactional_id: Arc<str>,
    pub producer_id: ProducerId,
    pub producer_epoch: ProducerEpoch,
    pub coordinator_epoch: i32,
    pub is_commit: bool,
    pub partitions: Vec<TopicPartition>,
    /// The last try did not get everywhere: wait a little.
    pub is_retry: bool,
}

/// What a failed write is told to clients as (`TransactionStateManager.appendTransactionToLog`).
#[must_use]
pub fn write_error(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::UnknownTopicOrPartition
        | ErrorCode::NotEnoughReplicas
        | ErrorCode::NotEnoughReplicasAfterAppend
        | ErrorCode::RequestTimedOut => ErrorCode::CoordinatorNotAvailable,
        ErrorCode::NotLeaderOrFollower | ErrorCode::KafkaStorageError => ErrorCode::NotCoordinator,
        ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge => ErrorCode::UnknownServerError,
        other => other,
    }
}
