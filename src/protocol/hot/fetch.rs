//! Fetch (key 1), v0–17: the response, as bytes around records nobody has read. (The request goes through the guard and
//! the generated decoder.)
//! v1 throttle time · v4 LSO, aborted transactions · v5 log start offset · v7 sessions (KIP-227) · v11 preferred replica
//! (KIP-392) · v12 flexible, diverging epoch (KIP-595) · v13 topic ids (KIP-516) · v16 endpoints (KIP-951)

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use smallvec::SmallVec;

use super::{CurrentLeader, NodeEndpoint, wire::Writer};
use crate::{
    common::{BrokerId, ErrorCode, LeaderEpoch, Offset, ProducerId, ids::NO_OFFSET, topic_id::Uuid},
    protocol::{
        chunk::{Chunk, Records},
        frame::{begin_response, finish_response},
    },
};

const FLEXIBLE_SINCE: i16 = 12;
/// Records in memory up to this size are copied between their neighbours rather than sent as a piece of their own.
const INLINE_MAX: usize = 4096;
const TOPIC_SIZE: usize = 64;
const PARTITION_SIZE: usize = 64;

#[derive(Debug, Clone)]
pub struct FetchResponse {
    pub throttle_time_ms: i32,
    /// Of the whole request, from version 7.
    pub error: ErrorCode,
    pub session_id: i32,
    pub topics: Vec<FetchTopic>,
    /// From version 16: where the leaders named in the partitions are reached.
    pub node_endpoints: Vec<NodeEndpoint>,
}

#[derive(Debug, Clone)]
pub struct FetchTopic {
    /// Sent up to version 12.
    pub name: Arc<str>,
    /// Sent from version 13.
    pub topic_id: Uuid,
    pub partitions: Vec<FetchPartitionOut>,
}

/// One partition's records and marks. Fields that the client's version lacks are left out.
#[derive(Debug, Clone)]
pub struct FetchPartitionOut {
    pub index: i32,
    pub error: ErrorCode,
    pub high_watermark: Offset,
    pub last_stable_offset: Offset,
    pub log_start_offset: Offset,
    /// `None` goes out as null: the client did not read committed.
    pub aborted: Option<Vec<AbortedTxn>>,
    /// −1 for none.
    pub preferred_read_replica: BrokerId,
    pub diverging_epoch: Option<DivergingEpoch>,
    pub current_leader: Option<CurrentLeader>,
    pub records: Records,
}

/// A transaction whose records from `first_offset` on are not to be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbortedTxn {
    pub producer_id: ProducerId,
    pub first_offset: Offset,
}

/// Where the follower's log parts from the leader's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DivergingEpoch {
    pub epoch: LeaderEpoch,
    pub end_offset: Offset,
}

/// The response is longer than a frame's length can say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("fetch response over 2 GiB")]
pub struct TooLarge;

impl FetchPartitionOut {
    /// No records, no marks. The aborted transactions are none rather than null, as in Kafka for what was not read.
    #[must_use]
    pub fn failed(index: i32, error: ErrorCode) -> Self {
        Self {
            index,
            error,
            high_watermark: NO_OFFSET,
            last_stable_offset: NO_OFFSET,
            log_start_offset: NO_OFFSET,
            aborted: Some(Vec::new()),
            preferred_read_replica: -1,
            diverging_epoch: None,
            current_leader: None,
            records: Records::Empty,
        }
    }

    /// Bytes this partition takes in a response of `version`, records included (`FetchResponse.sizeOf`).
    #[must_use]
    pub fn encoded_size(&self, version: i16) -> usize {
        let mut out = BytesMut::with_capacity(PARTITION_SIZE);
        self.encode_head(&mut Writer { out: &mut out, flexible: version >= FLEXIBLE_SINCE }, version);
        self.encode_tail(&mut Writer { out: &mut out, flexible: version >= FLEXIBLE_SINCE });
        out.len() + self.records.len()
    }
}

impl Default for FetchResponse {
    fn default() -> Self {
        Self {
            throttle_time_ms: 0,
            error: ErrorCode::None,
            session_id: 0,
            topics: Vec::new(),
            node_endpoints: Vec::new(),
        }
    }
}

impl FetchResponse {
    /// The whole frame, in wire order: length, header, body, with file regions unopened.
    pub fn encode(self, correlation_id: i32, version: i16) -> Result<SmallVec<[Chunk; 1]>, TooLarge> {
        let flexible = version >= FLEXIBLE_SINCE;
        let partitions: usize = self.topics.iter().map(|topic| topic.partitions.len()).sum();
        let capacity = 64 + self.topics.len() * TOPIC_SIZE + partitions * PARTITION_SIZE;
        let mut out = begin_response(correlation_id, flexible, capacity);
        let mut pieces: SmallVec<[(usize, Chunk); 4]> = SmallVec::new();
        let mut writer = Writer { out: &mut out, flexible };
        if version >= 1 {
            writer.out.put_i32(self.throttle_time_ms);
        }
        if version >= 7 {
            writer.out.put_i16(self.error.code());
            writer.out.put_i32(self.session_id);
        }
        writer.count(self.topics.len());
        for topic in self.topics {
            if version >= 13 {
                writer.out.put_slice(topic.topic_id.as_bytes());
            } else {
                writer.text(&topic.name);
            }
            writer.count(topic.partitions.len());
            for partition in topic.partitions {
                partition.encode_head(&mut writer, version);
                match &partition.records {
                    Records::Empty => {}
                    Records::Memory(bytes) if bytes.len() <= INLINE_MAX => writer.out.put_slice(bytes),
                    Records::Memory(bytes) => pieces.push((writer.out.len(), Chunk::Bytes(bytes.clone()))),
                    Records::File(region) if region.length == 0 => {}
                    Records::File(region) => pieces.push((writer.out.len(), Chunk::File(region.clone()))),
                }
                partition.encode_tail(&mut writer);
            }
            writer.end_structure();
        }
        writer.end_with_endpoints(version >= 16, &self.node_endpoints);
        let beyond = pieces.iter().map(|(_, piece)| piece.len()).sum();
        finish_response(&mut out, beyond).ok_or(TooLarge)?;
        Ok(interleave(out.freeze(), pieces))
    }
}

/// Cuts `bytes` where the pieces belong and puts them there.
fn interleave(mut bytes: Bytes, pieces: SmallVec<[(usize, Chunk); 4]>) -> SmallVec<[Chunk; 1]> {
    let mut chunks = SmallVec::with_capacity(2 * pieces.len() + 1);
    let mut done = 0;
    for (at, piece) in pieces {
        if at > done {
            chunks.push(Chunk::Bytes(bytes.split_to(at - done)));
            done = at;
        }
        chunks.push(piece);
    }
    if !bytes.is_empty() {
        chunks.push(Chunk::Bytes(bytes));
    }
    chunks
}

impl FetchPartitionOut {
    /// Everything before the records, and their length.
    fn encode_head(&self, writer: &mut Writer<'_>, version: i16) {
        writer.out.put_i32(self.index);
        writer.out.put_i16(self.error.code());
        writer.out.put_i64(self.high_watermark);
        if version >= 4 {
            writer.out.put_i64(self.last_stable_offset);
            if version >= 5 {
                writer.out.put_i64(self.log_start_offset);
            }
            match &self.aborted {
                None => writer.null_array(),
                Some(aborted) => {
                    writer.count(aborted.len());
                    for txn in aborted {
                        writer.out.put_i64(txn.producer_id);
                        writer.out.put_i64(txn.first_offset);
                        writer.end_structure();
                    }
                }
            }
        }
        if version >= 11 {
            writer.out.put_i32(self.preferred_read_replica);
        }
        writer.records_length(self.records.len());
    }

    /// Everything after the records.
    fn encode_tail(&self, writer: &mut Writer<'_>) {
        if !writer.flexible {
            return;
        }
        let tags = u32::from(self.diverging_epoch.is_some()) + u32::from(self.current_leader.is_some());
        writer.unsigned_varint(tags);
        if let Some(diverging) = self.diverging_epoch {
            writer.unsigned_varint(0);
            writer.unsigned_varint(13);
            writer.out.put_i32(diverging.epoch);
            writer.out.put_i64(diverging.end_offset);
            writer.end_structure();
        }
        if let Some(leader) = self.current_leader {
            writer.current_leader(1, leader);
        }
    }
}

#[cfg(test)]
mod tests;
