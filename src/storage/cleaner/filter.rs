//! One batch through the rules: copied as it is, written anew, left as an empty header, or gone
//! (`MemoryRecords.filterTo`).
//!
//! Offsets never change, nor does a batch's first and last offset: sequence numbers count on them.

use std::ops::ControlFlow;

use bytes::{BufMut, BytesMut};

use super::{
    Fault,
    retain::{BatchDecision, BatchRetention, CleanedTransactions, Rules, Verdict},
    stats::CleanerStats,
};
use crate::{
    common::{Timestamp, ids::NO_TIMESTAMP},
    protocol::records::{
        RecordBatchBuilder, RecordView,
        batch::{
            BATCH_OVERHEAD_V2, BatchHeader, CompressionType, LOG_OVERHEAD, TimestampType, is_crc_valid, update_crc,
        },
        compression::Compression,
        control::ControlRecordType,
        iter::{Batch, try_for_each_view},
        legacy::{LegacyBatchBuilder, for_each_message},
    },
};

/// Which records of a batch stay.
#[derive(Default)]
struct Survivors {
    keep: Vec<bool>,
    kept: usize,
    has_tombstones: bool,
    /// False if the batch cannot be copied as it is.
    is_original: bool,
}

/// Appends to `out` what stays of `batch`.
pub fn filter_batch(
    batch: &Batch<'_>,
    rules: &Rules<'_>,
    transactions: &mut CleanedTransactions,
    out: &mut BytesMut,
    stats: &mut CleanerStats,
) -> Result<(), Fault> {
    let header = &batch.header;
    let can_discard = if header.is_control() {
        transactions.on_control_batch(header, marker_kind(batch)?)
    } else {
        transactions.on_batch(header)
    };
    let decision = rules.decide_batch(header, can_discard);
    stats.bytes_read += batch.bytes.len() as u64;
    if decision.retention == BatchRetention::Delete {
        return Ok(());
    }
    let survivors = survivors(batch, rules, &decision, stats)?;
    let before = out.len();
    if survivors.kept > 0 {
        let wants_horizon = header.magic >= 2
            && (survivors.has_tombstones || decision.marker_of_empty_txn)
            && !header.has_delete_horizon();
        if survivors.is_original && !wants_horizon {
            out.extend_from_slice(batch.bytes);
        } else {
            // A new checksum must not make damaged bytes look sound.
            if !is_crc_valid(header, batch.bytes) {
                return Err(Fault::Unfit(format!("the checksum of the batch at {} is wrong", header.base_offset)));
            }
            let horizon = match (wants_horizon, header.has_delete_horizon()) {
                (true, _) => Some(rules.now.saturating_add(rules.delete_retention_ms)),
                (false, true) => Some(header.base_timestamp),
                (false, false) => None,
            };
            rebuild(batch, &survivors, horizon, out)?;
        }
    } else if decision.retention == BatchRetention::RetainEmpty {
        put_empty(header, out);
    }
    stats.messages_written += survivors.kept as u64;
    stats.bytes_written += (out.len() - before) as u64;
    Ok(())
}

/// What a control batch's first record says; `None` if none is left.
pub fn marker_kind(batch: &Batch<'_>) -> Result<Option<ControlRecordType>, Fault> {
    let mut kind = None;
    if batch.header.record_count > 0 {
        try_for_each_view(batch.bytes, &mut |record| {
            kind = Some(ControlRecordType::parse(record.key.unwrap_or(&[]))?);
            Ok(ControlFlow::Break(()))
        })?;
    }
    Ok(kind)
}

fn survivors(
    batch: &Batch<'_>,
    rules: &Rules<'_>,
    decision: &BatchDecision,
    stats: &mut CleanerStats,
) -> Result<Survivors, Fault> {
    let header = &batch.header;
    let mut found = Survivors { is_original: true, ..Survivors::default() };
    let mut judge = |record: &RecordView<'_>, magic: i8| {
        stats.messages_read += 1;
        let verdict = rules.should_retain(header, decision, record.offset, record.key, record.value.is_some());
        let keep = verdict == Verdict::Keep;
        stats.invalid_messages_read += u64::from(verdict == Verdict::Invalid);
        found.kept += usize::from(keep);
        found.has_tombstones |= keep && record.value.is_none();
        // KAFKA-4298: wrappers whose magic is not that of what they hold are set right.
        found.is_original &= keep && magic == header.magic;
        found.keep.push(keep);
    };
    if header.magic >= 2 {
        try_for_each_view(batch.bytes, &mut |record| {
            judge(record, header.magic);
            Ok(ControlFlow::Continue(()))
        })?;
    } else {
        for_each_message(header, batch.bytes, &mut |message| {
            judge(&message.view(), message.magic);
            Ok(ControlFlow::Continue(()))
        })?;
    }
    Ok(found)
}

/// Writes the surviving records with the batch's own codec and identity.
fn rebuild(
    batch: &Batch<'_>,
    survivors: &Survivors,
    horizon: Option<Timestamp>,
    out: &mut BytesMut,
) -> Result<(), Fault> {
    let header = &batch.header;
    let compression = Compression::of(header.compression().unwrap_or(CompressionType::None));
    let append_time = header.timestamp_type() == TimestampType::LogAppendTime;
    let mut keep = survivors.keep.iter().copied();
    if header.magic < 2 {
        return rebuild_legacy(batch, survivors, compression, out);
    }
    let mut builder = RecordBatchBuilder::new(header.base_offset)
        .compression(compression)
        .producer(header.producer_id, header.producer_epoch, header.base_sequence)
        .transactional(header.is_transactional())
        .control(header.is_control())
        .leader_epoch(header.leader_epoch)
        .last_offset(header.last_offset());
    if append_time {
        builder = builder.log_append_time(header.max_timestamp);
    }
    if let Some(horizon) = horizon {
        builder = builder.delete_horizon(horizon);
    }
    try_for_each_view(batch.bytes, &mut |record| {
        if keep.next() == Some(true) {
            builder.append_view(record.offset, record);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    out.extend_from_slice(&builder.build());
    Ok(())
}

fn rebuild_legacy(
    batch: &Batch<'_>,
    survivors: &Survivors,
    compression: Compression,
    out: &mut BytesMut,
) -> Result<(), Fault> {
    let header = &batch.header;
    let kind = header.timestamp_type();
    let append_time = if kind == TimestampType::LogAppendTime { header.max_timestamp } else { NO_TIMESTAMP };
    let mut keep = survivors.keep.iter().copied();
    let mut builder = None;
    try_for_each_view(batch.bytes, &mut |record| {
        if keep.next() == Some(true) {
            let builder = builder.get_or_insert_with(|| {
                let out = std::mem::take(out);
                LegacyBatchBuilder::new(out, header.magic, compression, kind, append_time, record.offset)
            });
            builder.append(record.offset, record.timestamp, record.key, record.value);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    if let Some(builder) = builder {
        *out = builder.build();
    }
    Ok(())
}

/// The header alone (`DefaultRecordBatch.writeEmptyHeader`): producer, sequence and offsets stay known.
fn put_empty(header: &BatchHeader, out: &mut BytesMut) {
    let start = out.len();
    out.put_i64(header.base_offset);
    out.put_i32((BATCH_OVERHEAD_V2 - LOG_OVERHEAD) as i32);
    out.put_i32(header.leader_epoch);
    out.put_i8(2);
    out.put_u32(0);
    // Timestamp type, transactional, control: the codec and the horizon belong to records.
    out.put_i16(header.attributes & 0x38);
    out.put_i32(header.last_offset_delta);
    out.put_i64(NO_TIMESTAMP);
    out.put_i64(header.max_timestamp);
    out.put_i64(header.producer_id);
    out.put_i16(header.producer_epoch);
    out.put_i32(header.base_sequence);
    out.put_i32(0);
    update_crc(&mut out[start..]);
}
