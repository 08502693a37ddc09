//! Keys and values of `__transaction_state`, byte-equal with Kafka's (schemas `TransactionLogKey`,
//! `TransactionLogValue`; class `TransactionLog`).
//!
//! Written: value v0. Read: v0 and v1 (flexible, written by brokers with `transaction.version` 1 or higher).

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use indexmap::IndexMap;

use super::{
    metadata::{Partitions, TransactionMetadata, Transition},
    state::TransactionState,
};
use crate::{
    common::{
        TopicPartition,
        ids::{NO_PRODUCER_EPOCH, NO_PRODUCER_ID},
    },
    coordinator::{
        codec::{Reader, RecordError, put_string},
        machine::{CoordinatorRecord, Now},
    },
};

/// What a key speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordKey {
    Transaction {
        transactional_id: Arc<str>,
    },
    /// Left over from an aborted upgrade, perhaps.
    Unknown {
        version: i16,
    },
}

/// The record of a transition.
#[must_use]
pub fn record(transactional_id: &str, transition: &Transition) -> CoordinatorRecord {
    CoordinatorRecord { key: key(transactional_id), value: Some(value(transition)) }
}

/// The record that makes an id forgotten.
#[must_use]
pub fn tombstone(transactional_id: &str) -> CoordinatorRecord {
    CoordinatorRecord { key: key(transactional_id), value: None }
}

#[must_use]
pub fn key(transactional_id: &str) -> Bytes {
    let mut out = BytesMut::with_capacity(4 + transactional_id.len());
    out.put_i16(0);
    put_string(&mut out, transactional_id);
    out.freeze()
}

#[must_use]
pub fn value(transition: &Transition) -> Bytes {
    let mut out = BytesMut::with_capacity(64 + transition.partitions.len() * 16);
    out.put_i16(0);
    out.put_i64(transition.producer_id);
    out.put_i16(transition.producer_epoch);
    out.put_i32(transition.timeout_ms);
    out.put_i8(transition.state as i8);
    if transition.state == TransactionState::Empty {
        out.put_i32(-1);
    } else {
        put_partitions(&mut out, &transition.partitions);
    }
    out.put_i64(transition.last_update_timestamp);
    out.put_i64(transition.start_timestamp);
    out.freeze()
}

fn put_partitions(out: &mut BytesMut, partitions: &Partitions) {
    let mut topics: IndexMap<&str, Vec<i32>> = IndexMap::new();
    for tp in partitions {
        topics.entry(&tp.topic).or_default().push(tp.partition);
    }
    put_count(out, topics.len());
    for (topic, ids) in topics {
        put_string(out, topic);
        put_count(out, ids.len());
        ids.into_iter().for_each(|id| out.put_i32(id));
    }
}

fn put_count(out: &mut BytesMut, count: usize) {
    out.put_i32(i32::try_from(count).unwrap_or(i32::MAX));
}

pub fn read_key(bytes: &[u8]) -> Result<RecordKey, RecordError> {
    let mut reader = Reader::new(bytes);
    match reader.i16()? {
        0 => Ok(RecordKey::Transaction { transactional_id: reader.string()? }),
        version => Ok(RecordKey::Unknown { version }),
    }
}

/// A transactional id as it was logged. What is not in the log — the last id and epoch — is unknown then.
pub fn read_value(now: Now, bytes: &[u8]) -> Result<TransactionMetadata, RecordError> {
    let mut reader = Reader::new(bytes);
    let version = reader.i16()?;
    if !(0..=1).contains(&version) {
        return Err(RecordError::UnknownVersion(version));
    }
    reader.flexible = version >= 1;
    let producer_id = reader.i64()?;
    let producer_epoch = reader.i16()?;
    let timeout_ms = reader.i32()?;
    let id = reader.i8()?;
    let state = TransactionState::from_id(id).ok_or(RecordError::Length(i64::from(id)))?;
    let mut partitions = read_partitions(&mut reader)?;
    if state == TransactionState::Empty {
        partitions.clear();
    }
    let last_update_timestamp = reader.i64()?;
    let start_timestamp = reader.i64()?;
    let age_ms = now.wall_ms.saturating_sub(start_timestamp).max(0);
    Ok(TransactionMetadata {
        last_producer_id: NO_PRODUCER_ID,
        producer_epoch,
        last_producer_epoch: NO_PRODUCER_EPOCH,
        state,
        partitions,
        start_timestamp,
        last_update_timestamp,
        started_monotonic_ms: now.monotonic_ms.saturating_sub(age_ms),
        ..TransactionMetadata::new(producer_id, timeout_ms, last_update_timestamp)
    })
}

fn read_partitions(reader: &mut Reader<'_>) -> Result<Partitions, RecordError> {
    let mut partitions = Partitions::default();
    for _ in 0..reader.nullable_count()? {
        let topic = reader.string()?;
        for _ in 0..reader.count()? {
            partitions.insert(TopicPartition::new(Arc::clone(&topic), reader.i32()?));
        }
        reader.tagged_fields()?;
    }
    Ok(partitions)
}
