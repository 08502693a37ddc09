//! From a log to a shard: reads batches, hands records to `replay`.

use super::{batch, ports::LogReader};
use crate::{
    common::Offset,
    coordinator::group::{
        GroupShard,
        command::Now,
        replay::{BatchFacts, is_commit_marker},
    },
    protocol::records::batch::{BatchHeader, HeaderError},
};

/// Why a partition cannot be loaded; for one log line.
pub(super) type LoadError = String;

/// Replays the whole log. `is_wanted` is asked between reads: leadership may be lost meanwhile.
pub(super) fn load(
    log: &dyn LogReader,
    shard: &mut GroupShard,
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
pub(super) fn apply(bytes: &[u8], shard: &mut GroupShard, now: Now) -> Result<Option<Offset>, LoadError> {
    let mut rest = bytes;
    let mut next = None;
    while !rest.is_empty() {
        let header = match BatchHeader::parse(rest) {
            Ok(header) => header,
            Err(HeaderError::Truncated) => break,
            Err(fault) => return Err(fault.to_string()),
        };
        let Some((batch, after)) = rest.split_at_checked(header.size) else { break };
        apply_batch(&header, batch, shard, now)?;
        next = Some(header.next_offset());
        rest = after;
    }
    Ok(next)
}

fn apply_batch(header: &BatchHeader, bytes: &[u8], shard: &mut GroupShard, now: Now) -> Result<(), LoadError> {
    if header.is_control() {
        let mut marker = None;
        batch::for_each_record(header, bytes, &mut |_, key, _| {
            marker = marker.or_else(|| is_commit_marker(key.unwrap_or_default()));
        })?;
        // Any other marker ends the transaction's offsets too, without making them visible.
        shard.replay_marker(header.producer_id, marker.unwrap_or(false));
        return Ok(());
    }
    let producer = header.is_transactional().then_some(header.producer_id);
    let mut first_offset = None;
    batch::for_each_record(header, bytes, &mut |offset, key, value| {
        let first_offset = *first_offset.get_or_insert(offset);
        let Some(key) = key else {
            return tracing::error!(offset, "record of __consumer_offsets without a key, ignored");
        };
        shard.replay(now, key, value, BatchFacts { first_offset, producer });
    })
}
