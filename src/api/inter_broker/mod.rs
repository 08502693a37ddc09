//! Requests among brokers. What the controller asks is decoded and fenced by broker epoch here, and carried out in one
//! place and one order with what a controller in this process decides ([`ClusterUpdates`]).

pub mod allocate_producer_ids;
pub mod alter_partition;
pub mod controlled_shutdown;
pub mod leader_and_isr;
pub mod stop_replica;
pub mod update_metadata;

use std::sync::atomic::Ordering;

use tokio::sync::{mpsc, oneshot};

use super::Context;
use crate::{
    common::{BrokerId, ErrorCode},
    controller::output::{LeaderAndIsrPartition, StopReplicaPartition},
    metadata::MetadataUpdate,
};

/// "Does not know" (`AbstractControlRequest.UNKNOWN_BROKER_EPOCH`).
const UNKNOWN_BROKER_EPOCH: i64 = -1;
/// Requests that may wait to be carried out; a controller has one in flight.
const UPDATES_MAX: usize = 16;

/// An answer to a controller: one code per partition, or the whole refused (STALE_CONTROLLER_EPOCH).
pub type Codes = Result<Vec<ErrorCode>, ErrorCode>;

/// What a controller elsewhere asks of this broker.
#[derive(Debug)]
pub enum ClusterUpdate {
    LeaderAndIsr { controller_epoch: i32, partitions: Vec<LeaderAndIsrPartition>, reply: oneshot::Sender<Codes> },
    UpdateMetadata { controller_epoch: i32, update: MetadataUpdate, reply: oneshot::Sender<Codes> },
    StopReplica { controller_epoch: i32, partitions: Vec<StopReplicaPartition>, reply: oneshot::Sender<Codes> },
}

/// The way to whoever carries updates out, in the order they were sent.
#[derive(Clone)]
pub struct ClusterUpdates(mpsc::Sender<ClusterUpdate>);

impl ClusterUpdates {
    /// The two ends.
    #[must_use]
    pub fn channel() -> (Self, mpsc::Receiver<ClusterUpdate>) {
        let (sender, receiver) = mpsc::channel(UPDATES_MAX);
        (Self(sender), receiver)
    }

    async fn carry_out(&self, update: impl FnOnce(oneshot::Sender<Codes>) -> ClusterUpdate) -> Codes {
        let (reply, answer) = oneshot::channel();
        // A broker that is stopping carries nothing out any more.
        let Ok(()) = self.0.send(update(reply)).await else { return Err(ErrorCode::UnknownServerError) };
        answer.await.unwrap_or(Err(ErrorCode::UnknownServerError))
    }
}

/// Whether a request was meant for an earlier life of this broker (KIP-380). An epoch ahead of ours is news that this
/// broker has yet to hear itself.
fn is_broker_epoch_stale(ctx: &Context<'_>, asked: i64, controller: BrokerId, controller_epoch: i32) -> bool {
    let current = ctx.services.broker_epoch.load(Ordering::Acquire);
    let is_stale = asked != UNKNOWN_BROKER_EPOCH && asked < current;
    if is_stale {
        let api_key = ctx.api_key;
        tracing::info!(api_key, asked, current, controller, controller_epoch, "request for an earlier broker epoch");
    }
    is_stale
}
