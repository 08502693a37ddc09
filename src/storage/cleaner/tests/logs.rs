//! Whole logs on a disk, cleaned by hand.

use super::*;
use crate::{
    protocol::records::batch::CompressionType,
    storage::{checkpoint::offset, log::transaction_index},
};

#[test]
fn the_last_value_of_each_key_stays_where_it_was() {
    let bench = Bench::new(compact());
    for round in 0..5 {
        for key in ["a", "b", "c"] {
            bench.put(key, Some(&format!("{key}{round}")));
        }
        bench.log.roll().unwrap();
    }
    let active = bench.put("a", Some("new"));
    bench.clean();
    assert_eq!(bench.offsets(), [12, 13, 14, 15][1..].to_vec());
    assert_eq!(bench.records().last().unwrap().offset, active);
    assert_eq!(bench.log.log_start_offset(), 0);
    // Five small segments and the one that was active became one.
    assert_eq!(bench.log.segments().iter().map(|one| one.base_offset).collect::<Vec<_>>(), [0, 16]);
    assert_eq!(bench.cleaner.manager().checkpoint(&tp()), Some(16));
    assert_eq!(
        offset::read(&bench.dir.join("cleaner-offset-checkpoint")).unwrap().into_iter().collect::<Vec<_>>(),
        [(tp(), 16)]
    );
    assert!(!bench.cleaner.clean_filthiest(0, &bench.settings), "nothing is dirty any more");
}

#[test]
fn reading_anywhere_finds_what_comes_next() {
    let bench = Bench::new(LogConfig { index_interval_bytes: 50, ..compact() });
    for at in 0..300 {
        bench.put(&format!("{}", at % 50), Some(&"v".repeat(at % 40)));
        if at % 37 == 0 {
            bench.log.roll().unwrap();
        }
    }
    bench.clean();
    let left = bench.offsets();
    assert_eq!(left, (250..300).collect::<Vec<_>>());
    for from in 0..300 {
        let data = bench.log.read(from, 1, FetchIsolation::HighWatermark, true).unwrap();
        assert_eq!(data.base_offset, *left.iter().find(|offset| **offset >= from).unwrap());
    }
}

#[test]
fn a_tombstone_goes_when_its_time_has_come() {
    let bench = Bench::new(compact());
    bench.put("a", Some("1"));
    let tombstone = bench.put("a", None);
    bench.clean();
    assert_eq!(bench.offsets(), [tombstone], "consumers must hear of it");
    let horizon = bench.headers()[0];
    assert!(horizon.has_delete_horizon());
    assert_eq!(horizon.base_timestamp, START + 1_000);
    bench.clock.advance(999);
    bench.clean_again();
    assert!(bench.offsets().contains(&tombstone));
    bench.clock.advance(1);
    bench.clean_again();
    assert!(!bench.offsets().contains(&tombstone));
}

#[test]
fn aborted_data_goes_at_once_and_its_marker_later() {
    let mut bench = Bench::new(compact());
    bench.put("a", Some("old"));
    let lost = bench.produce(1, 0, true, &[("a", Some("lost")), ("b", Some("lost"))]);
    let abort = bench.end_txn(1, false);
    let kept = bench.produce(1, 2, true, &[("c", Some("kept"))]);
    let commit = bench.end_txn(1, true);
    bench.clean();
    assert_eq!(bench.offsets(), [0, kept], "what was aborted hides nothing");
    let bases = |bench: &Bench| bench.headers().iter().map(|it| it.base_offset).collect::<Vec<_>>();
    assert_eq!(bases(&bench), [0, abort, kept, commit]);
    assert!(!bases(&bench).contains(&lost));
    let marker = bench.headers()[1];
    assert!(!marker.has_delete_horizon(), "its data was still met in this pass");
    let entries = transaction_index::read(&bench.path().join("00000000000000000000.txnindex"), 0).unwrap();
    assert_eq!(entries.iter().map(|it| (it.first_offset, it.last_offset)).collect::<Vec<_>>(), [(lost, abort)]);
    // Now no data is left: the marker gets its horizon, and goes when that has passed.
    bench.clean_again();
    assert_eq!(bench.headers()[1].base_timestamp, START + 1_000);
    assert!(!bench.path().join("00000000000000000000.txnindex").exists());
    bench.clock.advance(1_000);
    bench.clean_again();
    assert!(!bases(&bench).contains(&abort));
    assert!(bases(&bench).contains(&commit), "its data is still there");
    bench.reload();
    assert_eq!(bench.records()[1].offset, kept);
}

#[test]
fn nothing_beyond_the_last_stable_offset_is_touched() {
    let bench = Bench::new(compact());
    bench.put("a", Some("1"));
    bench.put("a", Some("2"));
    bench.log.roll().unwrap();
    bench.produce(1, 0, true, &[("b", Some("open"))]);
    bench.put("b", Some("3"));
    bench.put("b", Some("4"));
    bench.clean();
    assert_eq!(bench.offsets(), [1, 2, 3, 4]);
    assert_eq!(bench.cleaner.manager().checkpoint(&tp()), Some(2));
    bench.end_txn(1, true);
    bench.clean_again();
    assert_eq!(bench.offsets(), [1, 4, 6]);
}

#[test]
fn a_producers_sequence_survives_a_restart() {
    let mut bench = Bench::new(compact());
    bench.produce(9, 0, false, &[("a", Some("1")), ("a", Some("2"))]);
    bench.put("a", Some("3"));
    bench.clean();
    assert_eq!(bench.offsets(), [2]);
    assert_eq!(bench.headers()[0].record_count, 0, "an empty batch keeps the number");
    for name in bench.names().iter().filter(|name| name.ends_with(".snapshot")) {
        fs::remove_file(bench.path().join(name)).unwrap();
    }
    bench.reload();
    assert_eq!(bench.log.active_producers()[0].last_sequence, 1);
    // A retry of the compacted batch is known, and the producer goes on.
    let again = bench.batch(&[("a", Some("1")), ("a", Some("2"))]).producer(9, 0, 0).build();
    assert!(matches!(
        bench.log.append_as_leader(again, 0, AppendOrigin::Client, START),
        Err(crate::storage::StorageError::DuplicateSequence { base_offset: 0, last_offset: 1, .. })
    ));
    bench.produce(9, 2, false, &[("b", Some("1"))]);
    bench.clean();
    assert_eq!(bench.headers()[0].base_offset, 2, "a later batch takes over");
}

#[test]
fn a_small_map_takes_several_passes() {
    let mut bench = Bench::new(compact());
    bench.settings = CleanerConfig { dedupe_buffer_bytes: 24 * 20, dedupe_buffer_load_factor: 0.5, ..bench.settings };
    for at in 0..100 {
        bench.put(&format!("k{}", at % 40), Some("v"));
        if at % 10 == 9 {
            bench.log.roll().unwrap();
        }
    }
    bench.clean();
    assert_eq!(bench.cleaner.manager().checkpoint(&tp()), Some(10), "ten keys fit");
    let mut passes = 1;
    while bench.cleaner.clean_filthiest(0, &bench.settings) {
        passes += 1;
    }
    assert_eq!(passes, 10);
    assert_eq!(bench.offsets(), (60..100).collect::<Vec<_>>());
}

#[test]
fn compressed_batches_stay_compressed() {
    use CompressionType::{Gzip, Lz4, Snappy, Zstd};
    let bench = Bench::new(compact());
    for kind in [Gzip, Snappy, Lz4, Zstd] {
        let mut batch = packed(kind);
        for at in 0..200 {
            let value = format!("{kind:?} {}", "pad ".repeat(at));
            batch.append(
                START,
                Some(format!("{}", at % 20 + kind as usize * 10).as_bytes()),
                Some(value.as_bytes()),
                &[],
            );
        }
        bench.append(batch);
        bench.log.roll().unwrap();
    }
    bench.clean();
    let headers = bench.headers();
    assert_eq!(headers.iter().map(|it| it.compression().unwrap()).collect::<Vec<_>>(), [Gzip, Snappy, Lz4, Zstd]);
    assert_eq!(bench.records().len(), 50);
    assert!(headers.iter().all(|it| it.last_offset_delta == 199));
}

#[test]
fn compact_and_delete_also_forgets_by_age() {
    let config = LogConfig { cleanup_delete: true, retention_ms: 10_000, ..compact() };
    let bench = Bench::new(config);
    bench.put("a", Some("1"));
    bench.log.roll().unwrap();
    bench.clock.advance(20_000);
    bench.put("b", Some("1"));
    bench.logs.delete_old_segments(bench.now());
    assert_eq!(bench.log.log_start_offset(), 0, "left to the cleaner");
    bench.cleaner.delete_old_segments();
    assert_eq!(bench.log.log_start_offset(), 1);
    bench.clean();
    assert_eq!(bench.offsets(), [1]);
}

#[test]
fn a_log_nobody_can_read_is_left_alone() {
    let bench = Bench::new(compact());
    bench.put("a", Some("1"));
    bench.append(bench.batch(&[("a", Some("2")), ("b", Some("2"))]));
    bench.log.roll().unwrap();
    let path = bench.path().join("00000000000000000000.log");
    let mut bytes = fs::read(&path).unwrap();
    bytes[61] = 0x7f;
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&bytes, 0).unwrap();
    bench.put("a", Some("3"));
    bench.log.roll().unwrap();
    assert!(!bench.cleaner.clean_filthiest(0, &bench.settings));
    assert!(bench.cleaner.manager().is_uncleanable(&tp()));
    assert_eq!(bench.cleaner.manager().status().uncleanable_partitions, 1);
    assert!(bench.names().iter().all(|name| !name.ends_with(".cleaned")), "{:?}", bench.names());
    assert_eq!(fs::read(&path).unwrap(), bytes);
    bench.logs.delete(&tp(), START).unwrap();
    bench.logs.get_or_create(&tp(), None, bench.config.clone()).unwrap();
    assert!(!bench.cleaner.manager().is_uncleanable(&tp()), "its successor is another log");
}

#[test]
fn a_deleted_logs_checkpoint_goes_with_it() {
    let bench = Bench::new(compact());
    bench.put("a", Some("1"));
    bench.put("a", Some("2"));
    bench.clean();
    bench.logs.delete(&tp(), START).unwrap();
    assert!(offset::read(&bench.dir.join("cleaner-offset-checkpoint")).unwrap().is_empty());
    let fresh = bench.logs.get_or_create(&tp(), None, bench.config.clone()).unwrap();
    assert_eq!(bench.cleaner.manager().checkpoint(fresh.topic_partition()), None);
}

#[test]
fn a_truncation_takes_the_checkpoint_along() {
    let bench = Bench::new(compact());
    for at in 0..30 {
        bench.put(&format!("k{}", at % 3), Some("v"));
        if at % 10 == 9 {
            bench.log.roll().unwrap();
        }
    }
    bench.settings_bytes_small();
    bench.clean();
    assert_eq!(bench.cleaner.manager().checkpoint(&tp()), Some(30));
    bench.log.truncate_to(28).unwrap();
    for _ in 0..10 {
        bench.put("k0", Some("after"));
    }
    bench.clean();
    let last: Vec<_> = bench.records().into_iter().map(|it| (it.offset, it.key)).collect();
    assert_eq!(last.iter().filter(|(_, key)| key == b"k0").count(), 1, "{last:?}");
}

impl Bench {
    /// Keeps cleaned segments apart.
    fn settings_bytes_small(&self) {
        let config = LogConfig { segment_bytes: 100, ..self.config.clone() };
        self.log.update_config(Arc::new(config));
    }
}
