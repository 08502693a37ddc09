//! Which offsets, which log, which segments.

#![allow(clippy::single_range_in_vec_init)]

use crate::storage::cleaner::choose::{
    Dirtiness, LogFacts, OffsetsToClean, SegmentFacts, SegmentSize, group_segments, needs_cleaning,
};

const SEGMENTS: [SegmentFacts; 4] = [
    SegmentFacts { base_offset: 0, bytes: 100 },
    SegmentFacts { base_offset: 10, bytes: 200 },
    SegmentFacts { base_offset: 20, bytes: 400 },
    SegmentFacts { base_offset: 30, bytes: 800 },
];

fn facts() -> LogFacts<'static> {
    LogFacts {
        log_start_offset: 0,
        log_end_offset: 40,
        last_stable_offset: 40,
        segments: &SEGMENTS,
        min_lag_ms: 0,
        max_lag_ms: i64::MAX,
    }
}

fn offsets(facts: &LogFacts<'_>, checkpoint: Option<i64>, largest: [i64; 3]) -> OffsetsToClean {
    facts.offsets_to_clean::<()>(checkpoint, 1_000, &mut |at| Ok(largest[at])).unwrap()
}

#[test]
fn where_cleaning_begins_and_ends() {
    let start5 = LogFacts { log_start_offset: 5, ..facts() };
    let unstable = LogFacts { last_stable_offset: 15, ..facts() };
    let lagging = LogFacts { min_lag_ms: 100, ..facts() };
    let old = [0; 3];
    // what, facts, checkpoint, largest timestamps → first dirty, first uncleanable, reset
    let cases = [
        ("never cleaned", facts(), None, old, (0, 30, false)),
        ("never cleaned, records deleted", start5, None, old, (5, 30, false)),
        ("cleaned up to here", facts(), Some(20), old, (20, 30, false)),
        ("all clean", facts(), Some(30), old, (30, 30, false)),
        ("the start has passed the checkpoint", start5, Some(3), old, (5, 30, true)),
        ("the end is before the checkpoint", start5, Some(41), old, (5, 30, true)),
        ("an open transaction", unstable, None, old, (0, 15, false)),
        ("an open transaction before the checkpoint", unstable, Some(20), old, (20, 20, false)),
        ("the second segment is too young", lagging, None, [0, 901, 0], (0, 10, false)),
        ("just old enough", lagging, None, [0, 900, 900], (0, 30, false)),
        ("young, but clean already", lagging, Some(20), [0, 901, 0], (20, 30, false)),
    ];
    for (what, facts, checkpoint, largest, expected) in cases {
        let found = offsets(&facts, checkpoint, largest);
        assert_eq!((found.first_dirty, found.first_uncleanable, found.resets_checkpoint), expected, "{what}");
    }
}

#[test]
fn how_dirty_a_log_is() {
    let range =
        |first_dirty, first_uncleanable| OffsetsToClean { first_dirty, first_uncleanable, resets_checkpoint: false };
    // The segment that holds the first dirty offset counts on both sides, as in Kafka.
    let cases = [
        (range(0, 30), (30, 0, 700)),
        (range(20, 30), (30, 300, 400)),
        (range(15, 30), (30, 300, 600)),
        (range(0, 15), (10, 0, 100)),
        (range(0, 5), (0, 0, 0)),
        (range(30, 30), (30, 700, 0)),
        (range(20, 20), (20, 300, 0)),
    ];
    for (range, (segment, clean, cleanable)) in cases {
        let expected = Dirtiness { first_uncleanable_segment: segment, clean_bytes: clean, cleanable_bytes: cleanable };
        assert_eq!(facts().dirtiness(&range), expected, "{range:?}");
    }
    let half = Dirtiness { first_uncleanable_segment: 30, clean_bytes: 50, cleanable_bytes: 50 };
    let clean = Dirtiness { cleanable_bytes: 0, ..half };
    let empty = Dirtiness { clean_bytes: 0, ..clean };
    assert!(needs_cleaning(&half, 0.49, 0) && !needs_cleaning(&half, 0.5, 0));
    assert!(needs_cleaning(&half, 0.9, 1) && !needs_cleaning(&clean, 0.9, 1));
    assert!(!needs_cleaning(&empty, 0.0, 5));
}

#[test]
fn records_must_not_wait_for_ever() {
    let delay = |max_lag_ms, first_dirty, firsts: [i64; 3]| {
        let facts = LogFacts { max_lag_ms, ..facts() };
        facts.compaction_delay_ms::<()>(first_dirty, 1_000, &mut |at| Ok(firsts[at])).unwrap()
    };
    assert_eq!(delay(i64::MAX, 0, [1, 1, 1]), 0);
    assert_eq!(delay(100, 0, [850, 800, 950]), 100);
    assert_eq!(delay(100, 20, [850, 800, 950]), 0);
    assert_eq!(delay(100, 0, [-1, 0, 950]), 0, "no timestamp, no hurry");
}

#[test]
fn small_neighbours_become_one() {
    let segment = |base_offset, bytes, index_bytes, time_index_bytes| SegmentSize {
        base_offset,
        bytes,
        index_bytes,
        time_index_bytes,
    };
    let even = [segment(0, 40, 8, 12), segment(10, 40, 8, 12), segment(20, 40, 8, 12), segment(30, 40, 8, 12)];
    assert_eq!(group_segments(&even, 100, 100, 40), [0..2, 2..4]);
    assert_eq!(group_segments(&even, 30, 100, 40), [0..1, 1..2, 2..3, 3..4]);
    assert_eq!(group_segments(&even, 1_000, 24, 40), [0..2, 2..4]);
    assert_eq!(group_segments(&even, 1_000, 16, 40), [0..1, 1..2, 2..3, 3..4]);
    assert!(group_segments(&[], 1, 1, 0).is_empty());
}

/// A merge whose last offset could not be written relative to its first would lose records.
#[test]
fn no_group_spans_more_than_an_int32() {
    let far = i64::from(i32::MAX);
    let segment = |base_offset, bytes| SegmentSize { base_offset, bytes, index_bytes: 0, time_index_bytes: 0 };
    let fits = [segment(0, 1), segment(far - 1, 1)];
    assert_eq!(group_segments(&fits, 100, 100, far + 1), vec![0..2]);
    assert_eq!(group_segments(&fits, 100, 100, far + 2), [0..1, 1..2]);
    let three = [segment(0, 1), segment(10, 1), segment(far + 2, 1)];
    assert_eq!(group_segments(&three, 100, 100, far + 9), [0..1, 1..3]);
    // An empty one may join, whatever comes after.
    let empty = [segment(0, 1), segment(5, 0), segment(far + 2, 1)];
    assert_eq!(group_segments(&empty, 100, 100, far + 9), [0..2, 2..3]);
}
