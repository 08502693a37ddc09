//! Between shards and the log's bytes: a write becomes a batch, a log becomes a shard.

use std::ops::ControlFlow;

use bytes::BytesMut;

use super::ports::LogReader;
use crate::{
    common::{Offset, Timestamp},
    coordinator::machine::{BatchFacts, CoordinatorRecord, Machine, Now, TransactionalProducer},
    protocol::records::{
        RecordBatchBuilder,
        control::ControlRecordType,
        iter::{Batch, batches, for_each_record_view},
    },
};

/// One batch of `records`, all stamped `now`: uncompressed, as `offsets.topic.compression.codec` is
/// by default and transactions always are.
pub(super) fn encode<'a>(
    records: impl Iterator<Item = &'a CoordinatorRecord>,
    now: Timestamp,
    transaction: Option<TransactionalProducer>,
) -> BytesMut {
    let mut batch = RecordBatchBuilder::new(0);
    if let Some(producer) = transaction {
        batch = batch.producer(producer.id, producer.epoch, 0).transactional(true);
    }
    for record in records {
        batch.append(now, Some(&record.key), record.value.as_deref(), &[]);
    }
    batch.build()
}

/// Why a partition cannot be loaded; for one log line.
pub(super) type LoadError = String;

/// Replays the whole log. `is_wanted` is asked between reads: leadership may be lost meanwhile.
pub(super) fn load(
    log: &dyn LogReader,
    shard: &mut impl Machine,
    now: Now,
    buffer_bytes: usize,
    is_wanted: &dyn Fn() -> bool,
) -> Result<(), LoadError> {
    let mut offset = log.start_offset();
    let mut buffer = Vec::new();
    while offset < log.end_offset() && is_wanted() {
        log.read(offset, buffer_bytes, &mut buffer)?;
        let next = apply(&buffer, shard, now)?.unwrap_or(offset);
        if next <= offset {
            break;
        }
        offset = next;
    }
    Ok(())
}

/// Applies the whole batches in `bytes`; returns the offset after the last one. A batch cut short at the end is left.
pub(super) fn apply(bytes: &[u8], shard: &mut impl Machine, now: Now) -> Result<Option<Offset>, LoadError> {
    let mut next = None;
    for batch in batches(bytes) {
        let batch = batch.map_err(|fault| fault.to_string())?;
        apply_batch(&batch, shard, now)?;
        next = Some(batch.header.next_offset());
    }
    Ok(next)
}

fn apply_batch(batch: &Batch<'_>, shard: &mut impl Machine, now: Now) -> Result<(), LoadError> {
    if batch.header.is_control() {
        let mut marker = None;
        for_each_record_view(batch.bytes, &mut |record| {
            marker = record.key.map(ControlRecordType::parse);
            ControlFlow::Break(())
        })?;
        if let Some(marker) = marker {
            // Any other marker ends the transaction's offsets too, without making them visible.
            let committed = matches!(marker, Ok(ControlRecordType::Commit));
            shard.replay_marker(batch.header.producer_id, committed);
        }
        return Ok(());
    }
    let producer = batch.header.is_transactional().then_some(batch.header.producer_id);
    let mut first_offset = None;
    for_each_record_view(batch.bytes, &mut |record| {
        let first_offset = *first_offset.get_or_insert(record.offset);
        match record.key {
            Some(key) => shard.replay(now, key, record.value, BatchFacts { first_offset, producer }),
            None => tracing::error!(offset = record.offset, "record of a coordinator's topic without a key, ignored"),
        }
        ControlFlow::Continue(())
    })
}
