//! What a produce request of some version may carry (class `ProduceRequest.validateRecords`), before any log is asked.

use super::{
    RecordsError,
    batch::{CompressionType, OFFSET_ATTRIBUTES, OFFSET_MAGIC, TRANSACTIONAL_BIT},
    iter::{batches, whole_frame},
};
use crate::common::ErrorCode;

/// Checks one partition's records. From v3 on: exactly one batch, of magic 2; zstd from v7 on (KIP-110). Older
/// versions are not looked at, as Kafka lets clients send the wrong magic there.
pub fn check_produce_records(version: i16, records: &[u8]) -> Result<(), (ErrorCode, String)> {
    if version < 3 {
        return Ok(());
    }
    check(version, records).map_err(|error| (error.code(), error.to_string()))
}

/// Whether the first batch says that it belongs to a transaction (`RequestUtils.hasTransactionalRecords`). Bytes of which
/// even that cannot be told make Kafka refuse the whole request they came in, with the error's own words.
pub fn begins_transactional(records: &[u8]) -> Result<bool, (ErrorCode, String)> {
    match whole_frame(records) {
        Ok(Some(batch)) => Ok(batch[OFFSET_MAGIC] == 2 && batch[OFFSET_ATTRIBUTES + 1] & TRANSACTIONAL_BIT != 0),
        Ok(None) => Ok(false),
        Err(error) => Err((error.code(), error.to_string())),
    }
}

fn check(version: i16, records: &[u8]) -> Result<(), RecordsError> {
    let requests = format_args!("Produce requests with version {version}");
    let mut found = batches(records);
    let Some(first) = found.next().transpose()? else {
        return Err(RecordsError::invalid(format!("{requests} must have at least one record batch per partition")));
    };
    if first.header.magic != 2 {
        return Err(RecordsError::invalid(format!(
            "{requests} are only allowed to contain record batches with magic version 2"
        )));
    }
    if version < 7 && first.header.compression() == Some(CompressionType::Zstd) {
        return Err(RecordsError::UnsupportedCompression(format!(
            "{requests} are not allowed to use ZStandard compression"
        )));
    }
    match found.next().transpose()? {
        None => Ok(()),
        Some(_) => Err(RecordsError::invalid(format!(
            "{requests} are only allowed to contain exactly one record batch per partition"
        ))),
    }
}
