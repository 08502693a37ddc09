//! Offsets by time (`Partition.fetchOffsetForTimestamp`).

use super::{ListOffsetsAnswer, ReplicaManager, hosted::Partition};
use crate::{
    common::{
        ErrorCode, LeaderEpoch, Offset, Timestamp, TopicPartition,
        ids::{NO_LEADER_EPOCH, NO_OFFSET, NO_TIMESTAMP},
    },
    storage::{FetchIsolation, OffsetAndEpoch, StorageError, UnifiedLog, log::TimestampAndOffset},
};

/// ListOffsets' special timestamps.
pub const LATEST_TIMESTAMP: Timestamp = -1;
pub const EARLIEST_TIMESTAMP: Timestamp = -2;
/// KIP-734.
pub const MAX_TIMESTAMP: Timestamp = -3;
/// KIP-405: the first offset on local disk. Without tiered storage the same as the earliest.
pub const EARLIEST_LOCAL_TIMESTAMP: Timestamp = -4;
/// KIP-1005: the last offset in remote storage.
pub const LATEST_TIERED_TIMESTAMP: Timestamp = -5;

impl ReplicaManager {
    /// ListOffsets of one partition. `timestamp` may be −1 latest, −2 earliest, −3 max timestamp, −4 earliest local,
    /// −5 latest tiered. `isolation` `None` = replica (log end). OFFSET_NOT_AVAILABLE while the high watermark has not
    /// reached the start of this leader's epoch (KIP-207).
    pub fn list_offsets(
        &self,
        tp: &TopicPartition,
        timestamp: Timestamp,
        isolation: Option<FetchIsolation>,
        current_leader_epoch: LeaderEpoch,
    ) -> ListOffsetsAnswer {
        self.list_offsets_from(tp, timestamp, isolation, current_leader_epoch, true)
    }

    /// As [`Self::list_offsets`]; with `only_leader` false a follower answers too (replica id −2, for debugging).
    pub fn list_offsets_from(
        &self,
        tp: &TopicPartition,
        timestamp: Timestamp,
        isolation: Option<FetchIsolation>,
        current_leader_epoch: LeaderEpoch,
        only_leader: bool,
    ) -> ListOffsetsAnswer {
        let partition = match self.partition(tp) {
            Ok(partition) => partition,
            Err(code) => return ListOffsetsAnswer::none(code),
        };
        match offset_for_timestamp(&partition, timestamp, isolation, current_leader_epoch, only_leader) {
            Ok(Ok(answer)) => answer,
            Ok(Err(code)) => ListOffsetsAnswer::none(code),
            Err(failure) => ListOffsetsAnswer::none(self.note_failure(tp, &failure)),
        }
    }

    /// ListOffsets v0: up to `max_offsets` starts of segments whose last change is not after `timestamp`, newest first.
    /// Consumers don't see beyond the high watermark.
    pub fn legacy_list_offsets(
        &self,
        tp: &TopicPartition,
        timestamp: Timestamp,
        max_offsets: usize,
        from_consumer: bool,
        only_leader: bool,
    ) -> Result<Vec<Offset>, ErrorCode> {
        let partition = self.partition(tp)?;
        partition.check(NO_LEADER_EPOCH, only_leader)?;
        let log = partition.log();
        let (start, now) = (log.log_start_offset(), self.clock.now_ms());
        let last_has_records = log.segments().last().is_some_and(|last| last.size_bytes > 0);
        let changed = log.segments_changed();
        let mut segments: Vec<_> = changed.into_iter().map(|(base, time)| (base.max(start), time)).collect();
        if last_has_records {
            segments.push((log.log_end_offset(), now));
        }
        let offsets = legacy_offsets_before(&segments, timestamp, max_offsets);
        Ok(if from_consumer { clamp_to(log.high_watermark(), offsets) } else { offsets })
    }

    /// OffsetForLeaderEpoch of one partition; `None`: the epoch is not known here.
    pub fn end_offset_for_epoch(
        &self,
        tp: &TopicPartition,
        current_leader_epoch: LeaderEpoch,
        epoch: LeaderEpoch,
    ) -> Result<Option<OffsetAndEpoch>, ErrorCode> {
        let partition = self.partition(tp)?;
        partition.check(current_leader_epoch, true)?;
        Ok(partition.log().end_offset_for_epoch(epoch))
    }
}

fn offset_for_timestamp(
    partition: &Partition,
    timestamp: Timestamp,
    isolation: Option<FetchIsolation>,
    current_leader_epoch: LeaderEpoch,
    only_leader: bool,
) -> Result<Result<ListOffsetsAnswer, ErrorCode>, StorageError> {
    let leader_epoch = match partition.check(current_leader_epoch, only_leader) {
        Ok(epoch) => epoch,
        Err(code) => return Ok(Err(code)),
    };
    let log = partition.log();
    let limits = Limits {
        last_fetchable: match isolation {
            Some(FetchIsolation::TxnCommitted) => log.last_stable_offset(),
            Some(FetchIsolation::HighWatermark) => log.high_watermark(),
            Some(FetchIsolation::LogEnd) | None => log.log_end_offset(),
        },
        is_lagging: isolation.is_some() && partition.state().epoch_start_offset() > log.high_watermark(),
    };
    let found = match timestamp {
        LATEST_TIMESTAMP => return Ok(limits.latest(leader_epoch)),
        EARLIEST_TIMESTAMP | EARLIEST_LOCAL_TIMESTAMP => return Ok(Ok(earliest(&log))),
        LATEST_TIERED_TIMESTAMP => {
            Some(TimestampAndOffset { timestamp: NO_TIMESTAMP, offset: NO_OFFSET, leader_epoch: NO_LEADER_EPOCH })
        }
        MAX_TIMESTAMP => log.offset_of_max_timestamp()?,
        time => log.offset_for_timestamp(time)?,
    };
    Ok(limits.by_time(found))
}

/// What a client may be told.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Log end, high watermark or last stable offset, by isolation.
    last_fetchable: Offset,
    /// After an election the high watermark may be behind what earlier leaders already showed (KIP-207).
    is_lagging: bool,
}

impl Limits {
    fn latest(self, leader_epoch: LeaderEpoch) -> Result<ListOffsetsAnswer, ErrorCode> {
        if self.is_lagging {
            return Err(ErrorCode::OffsetNotAvailable);
        }
        Ok(ListOffsetsAnswer {
            error: ErrorCode::None,
            timestamp: NO_TIMESTAMP,
            offset: self.last_fetchable,
            leader_epoch,
        })
    }

    /// A record beyond the limit counts as not found; while lagging that is not certain.
    fn by_time(self, found: Option<TimestampAndOffset>) -> Result<ListOffsetsAnswer, ErrorCode> {
        match found {
            Some(TimestampAndOffset { timestamp, offset, leader_epoch }) if offset < self.last_fetchable => {
                Ok(ListOffsetsAnswer { error: ErrorCode::None, timestamp, offset, leader_epoch })
            }
            _ if self.is_lagging => Err(ErrorCode::OffsetNotAvailable),
            _ => Ok(ListOffsetsAnswer::none(ErrorCode::None)),
        }
    }
}

fn earliest(log: &UnifiedLog) -> ListOffsetsAnswer {
    let offset = log.log_start_offset();
    ListOffsetsAnswer {
        error: ErrorCode::None,
        timestamp: NO_TIMESTAMP,
        offset,
        leader_epoch: log.earliest_epoch().unwrap_or(NO_LEADER_EPOCH),
    }
}

impl ListOffsetsAnswer {
    /// An error, or "no such record".
    #[must_use]
    pub fn none(error: ErrorCode) -> Self {
        Self { error, timestamp: NO_TIMESTAMP, offset: NO_OFFSET, leader_epoch: NO_LEADER_EPOCH }
    }
}

/// ListOffsets v0 over `segments`: (base offset, last change) ascending, the log end with the present as the last one.
#[must_use]
pub fn legacy_offsets_before(
    segments: &[(Offset, Timestamp)],
    timestamp: Timestamp,
    max_offsets: usize,
) -> Vec<Offset> {
    let count = match timestamp {
        LATEST_TIMESTAMP => segments.len(),
        EARLIEST_TIMESTAMP => segments.len().min(1),
        time => segments.iter().rposition(|(_, changed)| *changed <= time).map_or(0, |at| at + 1),
    };
    let mut offsets: Vec<Offset> = segments[..count].iter().rev().take(max_offsets).map(|(base, _)| *base).collect();
    offsets.sort_unstable_by(|one, other| other.cmp(one));
    offsets
}

/// Offsets beyond the high watermark become the high watermark, once.
fn clamp_to(high_watermark: Offset, offsets: Vec<Offset>) -> Vec<Offset> {
    if !offsets.iter().any(|offset| *offset > high_watermark) {
        return offsets;
    }
    let below = offsets.into_iter().skip_while(|offset| *offset > high_watermark);
    std::iter::once(high_watermark).chain(below).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offset: Offset) -> Option<TimestampAndOffset> {
        Some(TimestampAndOffset { timestamp: 7, offset, leader_epoch: 3 })
    }

    #[test]
    fn records_beyond_the_limit_are_not_found() {
        let limits = Limits { last_fetchable: 10, is_lagging: false };
        assert_eq!(limits.by_time(at(9)).map(|answer| (answer.offset, answer.timestamp)), Ok((9, 7)));
        assert_eq!(limits.by_time(at(10)).map(|answer| (answer.offset, answer.timestamp)), Ok((-1, -1)));
        assert_eq!(limits.by_time(None).map(|answer| answer.offset), Ok(-1));
        assert_eq!(limits.latest(3).map(|answer| (answer.offset, answer.leader_epoch)), Ok((10, 3)));
    }

    /// A new leader that has not committed the start of its epoch would show consumers an older end than they know.
    #[test]
    fn a_lagging_high_watermark_is_not_told() {
        let limits = Limits { last_fetchable: 10, is_lagging: true };
        assert_eq!(limits.latest(3).map(|answer| answer.offset), Err(ErrorCode::OffsetNotAvailable));
        assert_eq!(limits.by_time(None).map(|answer| answer.offset), Err(ErrorCode::OffsetNotAvailable));
        assert_eq!(limits.by_time(at(4)).map(|answer| answer.offset), Ok(4));
    }

    #[test]
    fn version_0_lists_segments() {
        let segments = [(0, 100), (50, 200), (80, 300), (95, 1_000)];
        assert_eq!(legacy_offsets_before(&segments, LATEST_TIMESTAMP, 2), [95, 80]);
        assert_eq!(legacy_offsets_before(&segments, LATEST_TIMESTAMP, 10), [95, 80, 50, 0]);
        assert_eq!(legacy_offsets_before(&segments, EARLIEST_TIMESTAMP, 10), [0]);
        assert_eq!(legacy_offsets_before(&segments, 250, 10), [50, 0]);
        assert_eq!(legacy_offsets_before(&segments, 99, 10), Vec::<Offset>::new());
        assert_eq!(clamp_to(90, vec![95, 80, 50]), [90, 80, 50]);
        assert_eq!(clamp_to(95, vec![95, 80]), [95, 80]);
    }
}
