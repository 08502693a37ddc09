//! Validating records and giving them offsets (class `LogValidator`).

use bytes::BytesMut;

use super::AppendOrigin;
use crate::{
    common::{LeaderEpoch, Offset, Timestamp, TopicPartition, ids::NO_TIMESTAMP},
    config::topic::LogConfig,
    protocol::records::batch::{BatchHeader, set_base_offset, set_leader_epoch},
    storage::StorageError,
};

pub struct ValidationParams<'a> {
    pub topic_partition: &'a TopicPartition,
    pub config: &'a LogConfig,
    pub origin: AppendOrigin,
    pub leader_epoch: LeaderEpoch,
    pub now: Timestamp,
    pub first_offset: Offset,
}

pub struct Validated {
    pub records: BytesMut,
    pub last_offset: Offset,
    pub max_timestamp: Timestamp,
    pub offset_of_max_timestamp: Offset,
    pub log_append_time: Timestamp,
    pub record_count: i32,
    pub converted: bool,
}

pub fn validate_and_assign(mut records: BytesMut, params: &ValidationParams<'_>) -> Result<Validated, StorageError> {
    let mut at = 0;
    let mut offset = params.first_offset;
    let (mut max_timestamp, mut offset_of_max, mut count) = (NO_TIMESTAMP, -1, 0);
    while at < records.len() {
        let header = BatchHeader::parse(&records[at..])
            .map_err(|error| StorageError::refused(crate::common::ErrorCode::CorruptMessage, error.to_string()))?;
        set_base_offset(&mut records[at..], offset);
        set_leader_epoch(&mut records[at..], params.leader_epoch);
        offset += i64::from(header.last_offset_delta) + 1;
        if header.max_timestamp > max_timestamp {
            max_timestamp = header.max_timestamp;
            offset_of_max = offset - 1;
        }
        count += header.record_count;
        at += header.size;
    }
    Ok(Validated {
        records,
        last_offset: offset - 1,
        max_timestamp,
        offset_of_max_timestamp: offset_of_max,
        log_append_time: NO_TIMESTAMP,
        record_count: count,
        converted: false,
    })
}
