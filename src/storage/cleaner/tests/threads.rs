//! The threads, and who may stop them.

use std::time::{Duration, Instant};

use super::*;

fn eventually(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what} did not come");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn threads_clean_what_becomes_dirty_and_stop_at_once() {
    let bench = Bench::new(compact());
    let settings = CleanerConfig { threads: 2, backoff_ms: 5, ..bench.settings.clone() };
    bench.cleaner.reconfigure(settings.clone());
    for _ in 0..3 {
        bench.put("a", Some("1"));
        bench.put("a", Some("2"));
        bench.log.roll().unwrap();
        let end = bench.log.log_end_offset();
        eventually("cleaning", || bench.cleaner.manager().checkpoint(&tp()) == Some(end));
        assert_eq!(bench.offsets(), [end - 1]);
    }
    // Asleep for an hour, and still stopped at once.
    bench.cleaner.reconfigure(CleanerConfig { backoff_ms: 3_600_000, ..settings });
    let start = Instant::now();
    bench.cleaner.shutdown();
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_paused_log_is_not_cleaned_until_all_have_let_go() {
    let bench = Bench::new(compact());
    let manager = bench.cleaner.manager();
    bench.put("a", Some("1"));
    bench.put("a", Some("2"));
    bench.log.roll().unwrap();
    manager.abort_and_pause(&tp());
    manager.abort_and_pause(&tp());
    assert!(!bench.cleaner.clean_filthiest(0, &bench.settings));
    manager.resume(&tp());
    assert!(!bench.cleaner.clean_filthiest(0, &bench.settings));
    manager.resume(&tp());
    assert!(bench.cleaner.clean_filthiest(0, &bench.settings));
}

#[test]
fn pausing_waits_for_the_cleaner() {
    let bench = Bench::new(compact());
    bench.put("a", Some("1"));
    bench.put("a", Some("2"));
    bench.log.roll().unwrap();
    let manager = bench.cleaner.manager();
    let task = manager.grab_filthiest(&bench.logs, START).unwrap();
    assert!(manager.grab_filthiest(&bench.logs, START).is_none(), "one cleaner per log");
    std::thread::scope(|scope| {
        let pausing = scope.spawn(|| manager.abort_and_pause(&tp()));
        eventually("the wish to stop", || manager.is_aborted(&tp()));
        assert!(!pausing.is_finished());
        manager.done_cleaning(&bench.logs, &task, Some(2));
        pausing.join().unwrap();
    });
    assert_eq!(manager.checkpoint(&tp()), None, "an aborted cleaning counts for nothing");
    assert!(!manager.is_idle(&tp()));
    manager.resume(&tp());
    assert!(manager.is_idle(&tp()));
}

#[test]
fn the_dirtiest_log_comes_first() {
    let bench = Bench::new(LogConfig { min_cleanable_dirty_ratio: 0.5, ..compact() });
    let other = TopicPartition::new("u", 3);
    let log = bench.logs.get_or_create(&other, None, bench.config.clone()).unwrap();
    for _ in 0..4 {
        bench.put("a", Some("1"));
    }
    bench.clean();
    bench.put("a", Some("1"));
    bench.log.roll().unwrap();
    assert!(!bench.cleaner.clean_filthiest(0, &bench.settings), "exactly half dirty is not enough");
    bench.put("a", Some("1"));
    bench.log.roll().unwrap();
    log.append_as_leader(bench.batch(&[("a", Some("1"))]).build(), 0, AppendOrigin::Client, START).unwrap();
    log.update_high_watermark(1);
    log.roll().unwrap();
    let first = bench.cleaner.manager().grab_filthiest(&bench.logs, START).unwrap();
    assert_eq!(*first.log.topic_partition(), other, "all of it is dirty");
    let second = bench.cleaner.manager().grab_filthiest(&bench.logs, START).unwrap();
    assert_eq!(*second.log.topic_partition(), tp());
    assert_eq!(bench.cleaner.manager().status().max_dirty_percent, 66);
}

#[test]
fn a_checkpoint_is_found_again_after_a_restart() {
    let mut bench = Bench::new(compact());
    bench.put("a", Some("1"));
    bench.put("a", Some("2"));
    bench.clean();
    bench.reload();
    assert_eq!(bench.cleaner.manager().checkpoint(&tp()), Some(2));
    fs::write(bench.dir.join("cleaner-offset-checkpoint"), "0\n2\nnonsense").unwrap();
    bench.reload();
    assert_eq!(bench.cleaner.manager().checkpoint(&tp()), None);
    assert!(bench.cleaner.clean_filthiest(0, &bench.settings));
    assert_eq!(bench.offsets(), [1]);
}
