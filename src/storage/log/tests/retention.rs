//! What retention and truncation take away.

use super::*;
use crate::common::ErrorCode;

#[test]
fn by_time_the_oldest_segments_go_and_their_files_later() {
    let mut one = Fixture::new(LogConfig { retention_ms: 1_000, file_delete_delay_ms: 500, ..small() });
    one.append_many(40);
    let newest = 1_000 + 39 * 10 + 2;
    assert_eq!(one.log.delete_old_segments(newest).unwrap(), 0);
    let segments = one.log.segments().len();
    let deleted = one.log.delete_old_segments(1_000 + 1_200).unwrap();
    assert!(deleted > 0 && deleted < segments);
    assert_eq!(one.log.log_start_offset(), one.log.segments()[0].base_offset);
    assert_eq!(one.log.read(0, 1, FetchIsolation::LogEnd, true).unwrap_err().code(), ErrorCode::OffsetOutOfRange);
    assert!(one.names().iter().any(|name| name.ends_with(".log.deleted")));
    assert!(one.context.deferred.take(1_000).deletions.is_empty());
    assert!(one.context.deferred.take(1_000 + 1_200 + 500).deletions.len() >= deleted * 3);
    // At last all go, and an empty segment takes the log's end.
    one.log.delete_old_segments(100_000).unwrap();
    assert_eq!(one.log.segments().len(), 1);
    assert_eq!(one.log.log_start_offset(), one.log.log_end_offset());
    one.reload_clean();
    assert_eq!(one.log.log_start_offset(), one.log.log_end_offset());
    // An epoch without a record is forgotten at start, as in Kafka; the next leadership tells it again.
    assert_eq!(one.log.latest_epoch(), None);
    one.append(&Batch::default()).unwrap();
}

#[test]
fn by_size_and_never_beyond_the_high_watermark() {
    let one = Fixture::new(LogConfig { retention_bytes: 1_000, retention_ms: -1, ..small() });
    for at in 0..40 {
        one.log
            .append_as_leader(Batch { timestamp: at, ..Batch::default() }.bytes(), 0, AppendOrigin::Client, 0)
            .unwrap();
    }
    assert_eq!(one.log.delete_old_segments(0).unwrap(), 0);
    one.log.update_high_watermark(40);
    assert!(one.log.delete_old_segments(0).unwrap() > 0);
    assert!((1_000..1_600).contains(&one.log.size_bytes()), "{}", one.log.size_bytes());
}

#[test]
fn delete_records_moves_the_start_and_survives() {
    let mut one = Fixture::new(small());
    one.append_many(40);
    let third = one.log.segments()[2].base_offset;
    let error = one.log.advance_log_start_offset(one.log.log_end_offset() + 1, 0).unwrap_err();
    assert_eq!(error.code(), ErrorCode::OffsetOutOfRange);
    assert_eq!(one.log.advance_log_start_offset(third + 1, 0).unwrap(), third + 1);
    assert_eq!(one.log.segments()[0].base_offset, third);
    assert_eq!(one.log.read(third, 1, FetchIsolation::LogEnd, true).unwrap_err().code(), ErrorCode::OffsetOutOfRange);
    assert_eq!(one.log.advance_log_start_offset(3, 0).unwrap(), third + 1);
    one.reload_clean();
    assert_eq!(one.log.log_start_offset(), third + 1);
    assert_eq!(one.log.earliest_epoch(), Some(0));
}

#[test]
fn truncation_cuts_batches_epochs_and_producers() {
    let mut one = Fixture::new(small());
    for sequence in 0..30 {
        let epoch = sequence / 10;
        one.log.append_as_leader(Batch::by(1, 0, sequence).bytes(), epoch, AppendOrigin::Client, 0).unwrap();
    }
    one.log.update_high_watermark(30);
    assert_eq!(one.log.end_offset_for_epoch(1).unwrap().offset, 20);
    assert!(!one.log.truncate_to(30).unwrap());
    assert!(one.log.truncate_to(13).unwrap());
    assert_eq!((one.log.log_end_offset(), one.log.high_watermark()), (13, 13));
    assert_eq!(one.log.latest_epoch(), Some(1));
    assert_eq!(all_batches(&one.log).len(), 13);
    assert_eq!(one.append(&Batch::by(1, 0, 20)).unwrap_err().code(), ErrorCode::OutOfOrderSequenceNumber);
    one.log.append_as_leader(Batch::by(1, 0, 13).bytes(), 1, AppendOrigin::Client, 0).unwrap();
    one.reload_crashed();
    assert_eq!(all_batches(&one.log).len(), 14);
    one.log.truncate_fully_and_start_at(500).unwrap();
    assert_eq!((one.log.log_start_offset(), one.log.log_end_offset(), one.log.high_watermark()), (500, 500, 500));
    assert_eq!(one.log.latest_epoch(), None);
    one.append(&Batch::by(1, 0, 77)).unwrap();
    one.reload_clean();
    assert_eq!(all_batches(&one.log), [(500, 500)]);
}
