//! Control records: the markers that end transactions (classes `ControlRecordType`, `EndTransactionMarker`).

use std::ops::ControlFlow;

use bytes::BytesMut;

use super::{RecordBatchBuilder, RecordsError, iter::try_for_each_view};
use crate::common::{ProducerEpoch, ProducerId, Timestamp, ids::NO_SEQUENCE};

/// What a control record's key names. Kinds of KRaft's own logs are of no concern here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControlRecordType {
    Abort,
    Commit,
    /// To be passed over.
    Unknown(i16),
}

impl ControlRecordType {
    /// Parses a key: version and type, 16 bits each. A version above 0 is read as 0.
    pub fn parse(key: &[u8]) -> Result<Self, RecordsError> {
        let &[v0, v1, t0, t1, ..] = key else {
            return Err(RecordsError::invalid(format!(
                "Invalid value size found for end control record key. Must have at least 4 bytes, but found only {}",
                key.len()
            )));
        };
        let version = i16::from_be_bytes([v0, v1]);
        if version < 0 {
            return Err(RecordsError::invalid(format!(
                "Invalid version found for control record: {version}. May indicate data corruption"
            )));
        }
        Ok(match i16::from_be_bytes([t0, t1]) {
            0 => Self::Abort,
            1 => Self::Commit,
            other => Self::Unknown(other),
        })
    }
}

/// The end of a transaction in one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndTransactionMarker {
    pub is_commit: bool,
    /// Fences markers of coordinators that were replaced.
    pub coordinator_epoch: i32,
}

impl EndTransactionMarker {
    #[must_use]
    pub const fn key(&self) -> [u8; 4] {
        [0, 0, 0, self.is_commit as u8]
    }

    #[must_use]
    pub const fn value(&self) -> [u8; 6] {
        let [a, b, c, d] = self.coordinator_epoch.to_be_bytes();
        [0, 0, a, b, c, d]
    }

    /// Parses a control record; `None` if it is one of another kind.
    pub fn parse(key: &[u8], value: &[u8]) -> Result<Option<Self>, RecordsError> {
        let is_commit = match ControlRecordType::parse(key)? {
            ControlRecordType::Abort => false,
            ControlRecordType::Commit => true,
            ControlRecordType::Unknown(_) => return Ok(None),
        };
        let &[v0, v1, a, b, c, d, ..] = value else {
            return Err(RecordsError::invalid(format!(
                "Invalid value size found for end transaction marker. Must have at least 6 bytes, but found only {}",
                value.len()
            )));
        };
        let version = i16::from_be_bytes([v0, v1]);
        if version < 0 {
            return Err(RecordsError::invalid(format!(
                "Invalid version found for end transaction marker: {version}. May indicate data corruption"
            )));
        }
        Ok(Some(Self { is_commit, coordinator_epoch: i32::from_be_bytes([a, b, c, d]) }))
    }

    /// The first record of a control batch, if it ends a transaction.
    pub fn of_batch(batch: &[u8]) -> Result<Option<Self>, RecordsError> {
        let mut marker = None;
        try_for_each_view(batch, &mut |record| {
            marker = Self::parse(record.key.unwrap_or(&[]), record.value.unwrap_or(&[]))?;
            Ok(ControlFlow::Break(()))
        })?;
        Ok(marker)
    }

    /// A batch of this one marker, as WriteTxnMarkers appends it.
    #[must_use]
    pub fn to_batch(&self, now: Timestamp, producer_id: ProducerId, producer_epoch: ProducerEpoch) -> BytesMut {
        let mut batch = RecordBatchBuilder::new(0)
            .producer(producer_id, producer_epoch, NO_SEQUENCE)
            .transactional(true)
            .control(true);
        batch.append(now, Some(&self.key()), Some(&self.value()), &[]);
        batch.build()
    }
}
