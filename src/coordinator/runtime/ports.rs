//! What the runtime needs of the log, as small traits; and their real implementation over `ReplicaManager`.

use std::{os::unix::fs::FileExt, sync::Arc};

use bytes::BytesMut;
use futures::future::BoxFuture;

use crate::{
    common::{ErrorCode, Offset, TopicPartition, ids::NO_LEADER_EPOCH},
    replication::{ReplicaManager, manager::AppendRequest},
    storage::{AppendOrigin, FetchIsolation, UnifiedLog, Verification},
};

/// Appends a coordinator's batch to a partition this broker leads.
pub trait PartitionWriter: Send + Sync + 'static {
    /// Resolves once the batch is committed as `offsets.commit.required.acks` demands, with the offset of its first
    /// record. Appends of one partition are begun one after the other, never two at a time.
    /// `verification` is of the transaction that the batch belongs to.
    fn append(
        &self,
        tp: &TopicPartition,
        batch: BytesMut,
        verification: Verification,
    ) -> BoxFuture<'static, Result<Offset, ErrorCode>>;
}

/// Opens a partition's log for loading.
pub trait LogSource: Send + Sync + 'static {
    fn open(&self, tp: &TopicPartition) -> Result<Box<dyn LogReader>, ErrorCode>;
}

/// A log being loaded. Blocking.
pub trait LogReader: Send {
    fn start_offset(&self) -> Offset;
    fn end_offset(&self) -> Offset;
    /// Whether all of it is on every in-sync replica: no election may take it back.
    fn is_committed(&self) -> bool;
    /// Fills `buffer` with whole batches from the one that holds `offset`: about `bytes_max`, at least one. Empty at
    /// the end.
    fn read(&self, offset: Offset, bytes_max: usize, buffer: &mut Vec<u8>) -> Result<(), String>;
}

/// Both ports in one object.
pub trait Ports: PartitionWriter + LogSource {}
impl<T: PartitionWriter + LogSource> Ports for T {}

/// The broker's own partitions.
pub struct ReplicaPorts {
    pub replicas: Arc<ReplicaManager>,
    /// `offsets.commit.required.acks`
    pub acks: i16,
    /// `offsets.commit.timeout.ms`
    pub timeout_ms: i32,
}

impl PartitionWriter for ReplicaPorts {
    fn append(
        &self,
        tp: &TopicPartition,
        batch: BytesMut,
        verification: Verification,
    ) -> BoxFuture<'static, Result<Offset, ErrorCode>> {
        let replicas = Arc::clone(&self.replicas);
        let (acks, timeout_ms) = (self.acks, self.timeout_ms);
        let request = AppendRequest { topic_partition: tp.clone(), records: batch, verification };
        Box::pin(async move {
            let answers = replicas.append(vec![request], acks, timeout_ms, AppendOrigin::Coordinator, true).await;
            match answers.first() {
                Some(answer) if answer.error.is_none() => Ok(answer.base_offset),
                Some(answer) => Err(answer.error),
                None => Err(ErrorCode::UnknownServerError),
            }
        })
    }
}

impl LogSource for ReplicaPorts {
    fn open(&self, tp: &TopicPartition) -> Result<Box<dyn LogReader>, ErrorCode> {
        let (log, _) = self.replicas.leader_log(tp, NO_LEADER_EPOCH)?;
        Ok(Box::new(log))
    }
}

impl LogReader for Arc<UnifiedLog> {
    fn start_offset(&self) -> Offset {
        self.log_start_offset()
    }

    fn end_offset(&self) -> Offset {
        self.log_end_offset()
    }

    fn is_committed(&self) -> bool {
        self.high_watermark() >= self.log_end_offset()
    }

    fn read(&self, offset: Offset, bytes_max: usize, buffer: &mut Vec<u8>) -> Result<(), String> {
        buffer.clear();
        let found = UnifiedLog::read(self, offset, bytes_max, FetchIsolation::LogEnd, true);
        let Some(region) = found.map_err(|fault| fault.to_string())?.region else { return Ok(()) };
        buffer.resize(region.length, 0);
        region.file.read_exact_at(buffer, region.position).map_err(|fault| fault.to_string())
    }
}
