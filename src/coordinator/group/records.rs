//! Keys and values of `__consumer_offsets`, byte-equal with Kafka's (schemas `OffsetCommitKey`, `OffsetCommitValue`,
//! `GroupMetadataKey`, `GroupMetadataValue`; class `GroupMetadataManager`).
//!
//! The key's version says what a record is: 0 and 1 an offset, 2 a group. Written: offsets as value v3, or v1 when the
//! commit carries its own expiry; groups as value v3. Read: value v0–v4 (v4 is flexible, KIP-915).

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

use crate::common::{
    LeaderEpoch, Offset, Timestamp, TopicPartition,
    ids::{NO_LEADER_EPOCH, NO_TIMESTAMP},
};
use crate::coordinator::codec::{Reader, RecordError, put_bytes, put_nullable_string, put_string};

pub use crate::coordinator::machine::CoordinatorRecord;

/// What a key speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordKey {
    Offset {
        group: Arc<str>,
        topic_partition: TopicPartition,
    },
    Group {
        group: Arc<str>,
    },
    /// Left over from a newer Kafka; ignored.
    Unknown {
        version: i16,
    },
}

/// A committed position (class `OffsetAndMetadata`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetAndMetadata {
    pub offset: Offset,
    /// −1: none given.
    pub leader_epoch: LeaderEpoch,
    pub metadata: Arc<str>,
    pub commit_timestamp: Timestamp,
    /// Set only by OffsetCommit v2–v4 with an explicit retention.
    pub expire_timestamp: Option<Timestamp>,
}

/// A generation of a group, as written when its assignment is known or when it has become empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMetadataValue {
    pub protocol_type: Arc<str>,
    pub generation: i32,
    pub protocol: Option<Arc<str>>,
    pub leader: Option<Arc<str>>,
    /// −1 in versions 0 and 1.
    pub current_state_timestamp: Timestamp,
    pub members: Vec<MemberValue>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberValue {
    pub member_id: Arc<str>,
    pub group_instance_id: Option<Arc<str>>,
    pub client_id: Arc<str>,
    pub client_host: Arc<str>,
    pub rebalance_timeout_ms: i32,
    pub session_timeout_ms: i32,
    pub subscription: Bytes,
    pub assignment: Bytes,
}

const OFFSET_KEY_VERSION: i16 = 1;
const GROUP_KEY_VERSION: i16 = 2;
const OFFSET_VALUE_VERSION: i16 = 3;
const OFFSET_VALUE_VERSION_WITH_EXPIRY: i16 = 1;
const GROUP_VALUE_VERSION: i16 = 3;
const FIRST_FLEXIBLE_VALUE_VERSION: i16 = 4;

#[must_use]
pub fn offset_key(group: &str, tp: &TopicPartition) -> Bytes {
    let mut out = BytesMut::with_capacity(10 + group.len() + tp.topic.len());
    out.put_i16(OFFSET_KEY_VERSION);
    put_string(&mut out, group);
    put_string(&mut out, &tp.topic);
    out.put_i32(tp.partition);
    out.freeze()
}

#[must_use]
pub fn group_key(group: &str) -> Bytes {
    let mut out = BytesMut::with_capacity(4 + group.len());
    out.put_i16(GROUP_KEY_VERSION);
    put_string(&mut out, group);
    out.freeze()
}

#[must_use]
pub fn offset_value(value: &OffsetAndMetadata) -> Bytes {
    let mut out = BytesMut::with_capacity(32 + value.metadata.len());
    match value.expire_timestamp {
        None => {
            out.put_i16(OFFSET_VALUE_VERSION);
            out.put_i64(value.offset);
            out.put_i32(value.leader_epoch);
            put_string(&mut out, &value.metadata);
            out.put_i64(value.commit_timestamp);
        }
        Some(expire_timestamp) => {
            out.put_i16(OFFSET_VALUE_VERSION_WITH_EXPIRY);
            out.put_i64(value.offset);
            put_string(&mut out, &value.metadata);
            out.put_i64(value.commit_timestamp);
            out.put_i64(expire_timestamp);
        }
    }
    out.freeze()
}

#[must_use]
pub fn group_value(value: &GroupMetadataValue) -> Bytes {
    let mut out = BytesMut::with_capacity(64 + 256 * value.members.len());
    out.put_i16(GROUP_VALUE_VERSION);
    put_string(&mut out, &value.protocol_type);
    out.put_i32(value.generation);
    put_nullable_string(&mut out, value.protocol.as_deref());
    put_nullable_string(&mut out, value.leader.as_deref());
    out.put_i64(value.current_state_timestamp);
    out.put_i32(i32::try_from(value.members.len()).unwrap_or(i32::MAX));
    for member in &value.members {
        put_string(&mut out, &member.member_id);
        put_nullable_string(&mut out, member.group_instance_id.as_deref());
        put_string(&mut out, &member.client_id);
        put_string(&mut out, &member.client_host);
        out.put_i32(member.rebalance_timeout_ms);
        out.put_i32(member.session_timeout_ms);
        put_bytes(&mut out, &member.subscription);
        put_bytes(&mut out, &member.assignment);
    }
    out.freeze()
}

#[must_use]
pub fn offset_record(group: &str, tp: &TopicPartition, value: &OffsetAndMetadata) -> CoordinatorRecord {
    CoordinatorRecord { key: offset_key(group, tp), value: Some(offset_value(value)) }
}

#[must_use]
pub fn offset_tombstone(group: &str, tp: &TopicPartition) -> CoordinatorRecord {
    CoordinatorRecord { key: offset_key(group, tp), value: None }
}

#[must_use]
pub fn group_record(group: &str, value: &GroupMetadataValue) -> CoordinatorRecord {
    CoordinatorRecord { key: group_key(group), value: Some(group_value(value)) }
}

#[must_use]
pub fn group_tombstone(group: &str) -> CoordinatorRecord {
    CoordinatorRecord { key: group_key(group), value: None }
}

pub fn read_key(key: &[u8]) -> Result<RecordKey, RecordError> {
    let mut reader = Reader::new(key);
    match reader.i16()? {
        0 | 1 => {
            let group = reader.string()?;
            let topic = reader.string()?;
            Ok(RecordKey::Offset { group, topic_partition: TopicPartition::new(topic, reader.i32()?) })
        }
        2 => Ok(RecordKey::Group { group: reader.string()? }),
        version => Ok(RecordKey::Unknown { version }),
    }
}

pub fn read_offset_value(value: &[u8]) -> Result<OffsetAndMetadata, RecordError> {
    let mut reader = Reader::new(value);
    let version = value_version(&mut reader)?;
    let offset = reader.i64()?;
    let leader_epoch = if version >= 3 { reader.i32()? } else { NO_LEADER_EPOCH };
    let metadata = reader.string()?;
    let commit_timestamp = reader.i64()?;
    let expire_timestamp = if version == 1 { reader.i64()? } else { NO_TIMESTAMP };
    reader.tagged_fields()?;
    Ok(OffsetAndMetadata {
        offset,
        leader_epoch,
        metadata,
        commit_timestamp,
        expire_timestamp: (expire_timestamp != NO_TIMESTAMP).then_some(expire_timestamp),
    })
}

pub fn read_group_value(value: &[u8]) -> Result<GroupMetadataValue, RecordError> {
    let mut reader = Reader::new(value);
    let version = value_version(&mut reader)?;
    let mut group = GroupMetadataValue {
        protocol_type: reader.string()?,
        generation: reader.i32()?,
        protocol: reader.nullable_string()?,
        leader: reader.nullable_string()?,
        current_state_timestamp: if version >= 2 { reader.i64()? } else { NO_TIMESTAMP },
        members: Vec::new(),
    };
    for _ in 0..reader.count()? {
        group.members.push(read_member(&mut reader, version)?);
    }
    reader.tagged_fields()?;
    Ok(group)
}

fn value_version(reader: &mut Reader<'_>) -> Result<i16, RecordError> {
    let version = reader.i16()?;
    if !(0..=4).contains(&version) {
        return Err(RecordError::UnknownVersion(version));
    }
    reader.flexible = version >= FIRST_FLEXIBLE_VALUE_VERSION;
    Ok(version)
}

fn read_member(reader: &mut Reader<'_>, version: i16) -> Result<MemberValue, RecordError> {
    let member_id = reader.string()?;
    let group_instance_id = if version >= 3 { reader.nullable_string()? } else { None };
    let client_id = reader.string()?;
    let client_host = reader.string()?;
    let rebalance_timeout_ms = if version >= 1 { Some(reader.i32()?) } else { None };
    let session_timeout_ms = reader.i32()?;
    let subscription = reader.bytes()?;
    let assignment = reader.bytes()?;
    reader.tagged_fields()?;
    Ok(MemberValue {
        member_id,
        group_instance_id,
        client_id,
        client_host,
        rebalance_timeout_ms: rebalance_timeout_ms.unwrap_or(session_timeout_ms),
        session_timeout_ms,
        subscription,
        assignment,
    })
}
