//! Appends, reads and refusals on one log.

use super::*;
use crate::common::ErrorCode;

#[test]
fn what_is_appended_is_read_back_across_rolls_and_restarts() {
    let mut one = Fixture::new(small());
    one.append_many(40);
    assert!(one.log.segments().len() > 3);
    let before = all_batches(&one.log);
    assert_eq!(before.len(), 40);
    assert_eq!(before.last().unwrap().1 + 1, one.log.log_end_offset());
    one.reload_clean();
    assert_eq!(all_batches(&one.log), before);
    assert_eq!(one.log.high_watermark(), one.log.log_end_offset());
    one.append_many(5);
    assert_eq!(all_batches(&one.log).len(), 45);
    one.reload_crashed();
    assert_eq!(all_batches(&one.log).len(), 45);
}

#[test]
fn a_directory_has_kafkas_file_names() {
    let mut one = Fixture::new(small());
    let fresh = [
        "00000000000000000000.index",
        "00000000000000000000.log",
        "00000000000000000000.timeindex",
        "leader-epoch-checkpoint",
        "partition.metadata",
    ];
    assert_eq!(one.names(), fresh);
    for at in 0..9 {
        one.append(&Batch { timestamp: 1_000 + at, ..Batch::by(7, 0, at as i32) }).unwrap();
    }
    one.append(&Batch::txn(8, 0, 0)).unwrap();
    one.append(&Batch::marker(8, 0, false)).unwrap();
    one.reload_clean();
    let base = one.log.segments()[1].base_offset;
    let expected = [
        "00000000000000000000.index".to_owned(),
        "00000000000000000000.log".to_owned(),
        "00000000000000000000.timeindex".to_owned(),
        format!("{base:020}.index"),
        format!("{base:020}.log"),
        format!("{base:020}.snapshot"),
        format!("{base:020}.timeindex"),
        format!("{base:020}.txnindex"),
        format!("{:020}.snapshot", one.log.log_end_offset()),
        "leader-epoch-checkpoint".to_owned(),
        "partition.metadata".to_owned(),
    ];
    assert_eq!(one.log.segments().len(), 2);
    assert_eq!(one.names(), expected);
    assert_eq!(fs::read_to_string(one.path().join("leader-epoch-checkpoint")).unwrap(), "0\n1\n0 0\n");
}

#[test]
fn regions_obey_limits_and_isolation() {
    let one = Fixture::new(LogConfig::default());
    for at in 0..10 {
        one.log
            .append_as_leader(Batch { timestamp: at, ..Batch::default() }.bytes(), 3, AppendOrigin::Client, 0)
            .unwrap();
    }
    let size = Batch::default().bytes().len();
    let read = |offset, max, isolation, min_one| one.log.read(offset, max, isolation, min_one).unwrap();
    assert!(read(0, 1 << 20, FetchIsolation::HighWatermark, true).region.is_none());
    assert_eq!(one.log.update_high_watermark(4), 4);
    assert_eq!(read(0, 1 << 20, FetchIsolation::HighWatermark, true).region.unwrap().length, 4 * size);
    assert_eq!(read(2, 1 << 20, FetchIsolation::HighWatermark, true).region.unwrap().length, 2 * size);
    assert!(read(7, 1 << 20, FetchIsolation::HighWatermark, true).region.is_none());
    assert_eq!(read(2, 1 << 20, FetchIsolation::LogEnd, true).region.unwrap().length, 8 * size);
    assert_eq!(read(2, size + 5, FetchIsolation::LogEnd, true).region.unwrap().length, size + 5);
    assert_eq!(read(2, 1, FetchIsolation::LogEnd, true).region.unwrap().length, size);
    let cut = read(2, 1, FetchIsolation::LogEnd, false);
    assert!(cut.region.is_none() && cut.first_entry_incomplete);
    assert!(read(10, 1, FetchIsolation::LogEnd, true).region.is_none());
    for offset in [-1, 11] {
        let error = one.log.read(offset, 1, FetchIsolation::LogEnd, true).unwrap_err();
        assert_eq!(error.code(), ErrorCode::OffsetOutOfRange);
    }
    let header = BatchHeader::parse(&bytes_of(&read(5, 1, FetchIsolation::LogEnd, true))).unwrap();
    assert_eq!((header.base_offset, header.leader_epoch), (5, 3));
}

#[test]
fn refusals_carry_kafkas_codes_and_change_nothing() {
    let one = Fixture::new(LogConfig { max_message_bytes: 300, segment_bytes: 250, ..LogConfig::default() });
    let code = |bytes: BytesMut| one.log.append_as_leader(bytes, 0, AppendOrigin::Client, 0).unwrap_err().code();
    assert_eq!(code(Batch { payload: 400, ..Batch::default() }.bytes()), ErrorCode::MessageTooLarge);
    assert_eq!(code(Batch { payload: 200, ..Batch::default() }.bytes()), ErrorCode::RecordListTooLarge);
    let two = Batch::default().bytes();
    assert_eq!(code(BytesMut::from(&[&two[..], &two[..]].concat()[..])), ErrorCode::InvalidRecord);
    let mut bad = Batch::default().bytes();
    let last = bad.len() - 1;
    bad[last] ^= 1;
    assert_eq!(code(bad), ErrorCode::CorruptMessage);
    let mut bad = Batch::default().bytes();
    bad[16] = 9;
    assert_eq!(code(bad), ErrorCode::CorruptMessage);
    let mut bad = Batch::default().bytes();
    bad[7] = 1;
    assert_eq!(code(bad), ErrorCode::InvalidRecord);
    assert_eq!(one.log.log_end_offset(), 0);
    assert_eq!(one.log.size_bytes(), 0);
    assert_eq!(one.append(&Batch::default()).unwrap().first_offset, 0);
}

#[test]
fn followers_keep_offsets_and_refuse_old_ones() {
    let leader = Fixture::new(small());
    leader.append_many(12);
    let follower = Fixture::new(small());
    while follower.log.log_end_offset() < leader.log.log_end_offset() {
        let data = leader.log.read(follower.log.log_end_offset(), 250, FetchIsolation::LogEnd, true).unwrap();
        follower.log.append_as_follower(BytesMut::from(&bytes_of(&data)[..]), 0).unwrap();
    }
    assert_eq!(all_batches(&follower.log), all_batches(&leader.log));
    assert_eq!(follower.log.latest_epoch(), Some(0));
    let again = leader.log.read(0, 1, FetchIsolation::LogEnd, true).unwrap();
    assert!(follower.log.append_as_follower(BytesMut::from(&bytes_of(&again)[..]), 0).is_err());
}

#[test]
fn rolls_by_time_of_records_and_by_full_index() {
    let one = Fixture::new(LogConfig { segment_ms: 1_000, ..LogConfig::default() });
    for timestamp in [0, 1_000, 1_001, 2_000, 2_002] {
        one.append(&Batch { timestamp, ..Batch::default() }).unwrap();
    }
    let bases: Vec<_> = one.log.segments().iter().map(|segment| segment.base_offset).collect();
    assert_eq!(bases, [0, 2, 4]);

    let full = Fixture::new(LogConfig { segment_index_bytes: 24, index_interval_bytes: 1, ..LogConfig::default() });
    for timestamp in 0..12 {
        full.append(&Batch { timestamp, ..Batch::default() }).unwrap();
    }
    assert!(full.log.segments().len() > 2, "{:?}", full.log.segments());
}

#[test]
fn finds_offsets_by_time_within_a_batch() {
    let mut one = Fixture::new(small());
    for at in 0..30 {
        one.append(&Batch { records: 2, timestamp: 1_000 + at * 100, ..Batch::default() }).unwrap();
    }
    for reloaded in [false, true] {
        if reloaded {
            one.reload_clean();
        }
        let at = |timestamp| one.log.offset_for_timestamp(timestamp).unwrap().map(|found| found.offset / 2);
        assert_eq!(at(0), Some(0));
        assert_eq!(at(1_101), Some(1));
        assert_eq!(at(2_050), Some(11));
        assert_eq!(at(3_901), Some(29));
        assert_eq!(at(3_902), None);
        assert_eq!(one.log.offset_of_max_timestamp().unwrap().unwrap().timestamp, 3_901);
    }
}

#[test]
fn flush_messages_and_rolls_move_the_recovery_point() {
    let one = Fixture::new(LogConfig { flush_messages: 3, ..LogConfig::default() });
    one.append(&Batch::default()).unwrap();
    one.append(&Batch::default()).unwrap();
    assert_eq!(one.log.recovery_point(), 0);
    one.append(&Batch::default()).unwrap();
    assert_eq!(one.log.recovery_point(), 3);
    one.log.roll().unwrap();
    one.append(&Batch::default()).unwrap();
    let work = one.context.deferred.take(0);
    assert_eq!(work.flushes, [(tp(), 3)]);
    one.log.flush().unwrap();
    assert_eq!(one.log.recovery_point(), 4);
}
