//! What a flush has promised: names as well as bytes. A file that is synced and cannot be found is lost.

use super::*;
use crate::storage::checkpoint::synced;

#[test]
fn the_first_flush_makes_the_logs_own_name_durable() {
    let one = Fixture::new(small());
    one.append_many(1);
    synced::take();
    one.log.flush().unwrap();
    assert_eq!(synced::take(), [one.path(), one.dir.path().to_owned()]);
    one.append(&Batch::default()).unwrap();
    one.log.flush().unwrap();
    assert_eq!(synced::take(), [] as [std::path::PathBuf; 0], "known files in a known directory");
}

/// A follower whose leader has deleted its first records starts over at an offset before anything was flushed.
#[test]
fn a_log_that_begins_elsewhere_is_made_durable_too() {
    let one = Fixture::new(small());
    one.log.truncate_fully_and_start_at(1_000).unwrap();
    one.append_many(1);
    synced::take();
    one.log.flush().unwrap();
    assert_eq!(synced::take(), [one.path(), one.dir.path().to_owned()]);
}

/// Who made the directory may have been killed before he synced it.
#[test]
fn a_start_does_not_take_the_name_for_durable() {
    let mut one = Fixture::new(small());
    one.log.truncate_fully_and_start_at(1_000).unwrap();
    one.append_many(1);
    one.reload_crashed();
    one.append(&Batch::default()).unwrap();
    synced::take();
    one.log.flush().unwrap();
    assert!(synced::take().contains(&one.dir.path().to_owned()));
}

#[test]
fn a_flush_of_a_new_segment_syncs_the_directory_that_names_it() {
    let one = Fixture::new(small());
    one.append_many(1);
    one.log.flush().unwrap();
    for _ in 0..3 {
        one.append(&Batch::default()).unwrap();
        // The bytes before the roll become durable on their own, as the background does it.
        one.log.roll().unwrap();
        let base_offset = one.log.log_end_offset();
        one.log.flush_up_to(base_offset).unwrap();
        synced::take();
        one.append(&Batch::default()).unwrap();
        one.log.flush().unwrap();
        assert_eq!(synced::take(), [one.path()], "{base_offset}");
        assert_eq!(one.log.recovery_point(), one.log.log_end_offset());
    }
    // Two rolls between two flushes, and one onto an empty segment.
    one.append_many(12);
    one.log.roll().unwrap();
    one.log.roll().unwrap();
    one.append(&Batch::default()).unwrap();
    synced::take();
    one.log.flush().unwrap();
    assert_eq!(synced::take(), [one.path()]);
}

/// A copy in another log dir takes the log's name before the log goes.
#[test]
fn a_moved_log_is_found_under_its_new_name() {
    let one = Fixture::new(small());
    one.append_many(3);
    one.log.flush().unwrap();
    synced::take();
    one.log.move_dir(&one.dir.path().join("t-0.moved")).unwrap();
    assert_eq!(synced::take(), [one.dir.path().to_owned()]);
}
