//! Produce (key 0), v0–11: the request with its records cut out of the frame, and the response.
//! v1 throttle time · v2 append time · v3 transactional id, magic 2 · v5 log start offset · v8 record errors (KIP-467) ·
//! v9 flexible · v10 current leader (KIP-951) · v11 same bytes as v10 (KIP-890)

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::protocol::StrBytes;
use smallvec::SmallVec;

use super::{
    CurrentLeader, Malformed, NodeEndpoint,
    wire::{Reader, Writer},
};
use crate::{
    common::{ErrorCode, Offset, Timestamp, ids::NO_OFFSET, ids::NO_TIMESTAMP},
    protocol::frame::{begin_response, finish_response},
};

const FLEXIBLE_SINCE: i16 = 9;

/// Strings are slices of the frame: copy them before keeping them.
#[derive(Debug)]
pub struct ProduceRequest {
    /// From version 3; `None` if the producer is not transactional.
    pub transactional_id: Option<StrBytes>,
    /// −1 all in-sync replicas, 0 no answer, 1 the leader.
    pub acks: i16,
    pub timeout_ms: i32,
    pub topics: SmallVec<[ProduceTopic; 1]>,
}

#[derive(Debug)]
pub struct ProduceTopic {
    pub name: StrBytes,
    pub partitions: SmallVec<[ProducePartition; 1]>,
}

#[derive(Debug)]
pub struct ProducePartition {
    pub index: i32,
    /// The received bytes themselves, mutable, so that offsets are written into the batches in place.
    pub records: Option<BytesMut>,
}

impl ProduceRequest {
    /// Reads `body`, the frame after its header. Does its own guarding: lengths and counts are held to the bytes that
    /// are there, and what the arrays take to the guard's budget.
    pub fn decode(version: i16, body: BytesMut) -> Result<Self, Malformed> {
        let flexible = version >= FLEXIBLE_SINCE;
        let mut reader = Reader::new(body, flexible);
        let transactional_id = if version >= 3 { reader.nullable_text("transactional id")? } else { None };
        let acks = reader.i16("acks")?;
        let timeout_ms = reader.i32("timeout")?;
        let wire = if flexible { 3 } else { 6 };
        let count = reader.count(wire, size_of::<ProduceTopic>(), "topics")?;
        let mut topics = SmallVec::with_capacity(count);
        for _ in 0..count {
            topics.push(ProduceTopic::decode(&mut reader, flexible)?);
        }
        reader.end_structure()?;
        Ok(Self { transactional_id, acks, timeout_ms, topics })
    }
}

impl ProduceTopic {
    fn decode(reader: &mut Reader<BytesMut>, flexible: bool) -> Result<Self, Malformed> {
        let name = reader.text("topic name")?;
        let wire = if flexible { 6 } else { 8 };
        let count = reader.count(wire, size_of::<ProducePartition>(), "partitions")?;
        let mut partitions = SmallVec::with_capacity(count);
        for _ in 0..count {
            let index = reader.i32("partition index")?;
            let records = reader.nullable_bytes("records")?;
            reader.end_structure()?;
            partitions.push(ProducePartition { index, records });
        }
        reader.end_structure()?;
        Ok(Self { name, partitions })
    }
}

#[derive(Debug, Clone, Default)]
pub struct ProduceResponse {
    pub topics: SmallVec<[ProduceTopicResponse; 1]>,
    pub throttle_time_ms: i32,
    /// From version 10: where the leaders named in the partitions are reached.
    pub node_endpoints: Vec<NodeEndpoint>,
}

#[derive(Debug, Clone)]
pub struct ProduceTopicResponse {
    pub name: StrBytes,
    pub partitions: SmallVec<[ProducePartitionResponse; 1]>,
}

/// One partition's outcome. Fields that the client's version lacks are left out.
#[derive(Debug, Clone)]
pub struct ProducePartitionResponse {
    pub index: i32,
    pub error: ErrorCode,
    pub base_offset: Offset,
    /// −1 unless the topic's timestamps are LogAppendTime.
    pub log_append_time_ms: Timestamp,
    pub log_start_offset: Offset,
    pub record_errors: Vec<RecordError>,
    pub error_message: Option<String>,
    pub current_leader: Option<CurrentLeader>,
}

/// A record that made its batch be refused.
#[derive(Debug, Clone)]
pub struct RecordError {
    pub batch_index: i32,
    pub message: Option<String>,
}

impl ProducePartitionResponse {
    /// An outcome without offsets.
    #[must_use]
    pub fn failed(index: i32, error: ErrorCode) -> Self {
        Self {
            index,
            error,
            base_offset: NO_OFFSET,
            log_append_time_ms: NO_TIMESTAMP,
            log_start_offset: NO_OFFSET,
            record_errors: Vec::new(),
            error_message: None,
            current_leader: None,
        }
    }
}

impl ProduceResponse {
    /// The whole frame: length, header, body.
    #[must_use]
    pub fn encode(&self, correlation_id: i32, version: i16) -> Bytes {
        let flexible = version >= FLEXIBLE_SINCE;
        let mut out = begin_response(correlation_id, flexible, 128);
        let mut writer = Writer { out: &mut out, flexible };
        writer.count(self.topics.len());
        for topic in &self.topics {
            writer.text(&topic.name);
            writer.count(topic.partitions.len());
            for partition in &topic.partitions {
                partition.encode(&mut writer, version);
            }
            writer.end_structure();
        }
        if version >= 1 {
            writer.out.put_i32(self.throttle_time_ms);
        }
        writer.end_with_endpoints(version >= 10, &self.node_endpoints);
        // A response to at most 2 GiB of request, with fewer bytes per partition than the request had.
        let fits = finish_response(&mut out, 0);
        debug_assert!(fits.is_some());
        out.freeze()
    }
}

impl ProducePartitionResponse {
    fn encode(&self, writer: &mut Writer<'_>, version: i16) {
        writer.out.put_i32(self.index);
        writer.out.put_i16(self.error.code());
        writer.out.put_i64(self.base_offset);
        if version >= 2 {
            writer.out.put_i64(self.log_append_time_ms);
        }
        if version >= 5 {
            writer.out.put_i64(self.log_start_offset);
        }
        if version >= 8 {
            writer.count(self.record_errors.len());
            for error in &self.record_errors {
                writer.out.put_i32(error.batch_index);
                writer.nullable_text(error.message.as_deref());
                writer.end_structure();
            }
            writer.nullable_text(self.error_message.as_deref());
        }
        match self.current_leader {
            Some(leader) if version >= 10 => {
                writer.unsigned_varint(1);
                writer.current_leader(0, leader);
            }
            _ => writer.end_structure(),
        }
    }
}

#[cfg(test)]
mod tests;
