//! Start, stop and failure of a whole set of logs.

use std::{fs, sync::Arc};

use bytes::BytesMut;

use super::{AppendOrigin, LogManager, LogManagerConfig, StorageError};
use crate::{
    common::{TopicPartition, time::ManualClock},
    config::topic::LogConfig,
};

fn config(dirs: &[&std::path::Path]) -> LogManagerConfig {
    LogManagerConfig {
        log_dirs: dirs.iter().map(|dir| dir.join("data")).collect(),
        recovery_threads_per_dir: 1,
        producer_id_expiration_ms: 86_400_000,
        default_log_config: LogConfig { file_delete_delay_ms: 100, ..LogConfig::default() },
    }
}

fn open(dirs: &[&std::path::Path]) -> LogManager {
    LogManager::open(config(dirs), Arc::new(ManualClock::at(1_000))).unwrap()
}

fn load(manager: &LogManager) -> bool {
    manager.load(&|_| LogConfig { file_delete_delay_ms: 100, ..LogConfig::default() }).unwrap()
}

fn batch() -> BytesMut {
    // offset, length, epoch, magic, crc, attributes, last delta, two times, producer, record count, one record
    let mut batch = vec![0u8; 61];
    batch.extend_from_slice(&[14, 0, 0, 0, 1, 2, b'x', 0]);
    batch[11] = (batch.len() - 12) as u8;
    batch[12..16].fill(0xff);
    batch[16] = 2;
    batch[43..57].fill(0xff);
    batch[60] = 1;
    let crc = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    BytesMut::from(&batch[..])
}

#[test]
fn logs_survive_clean_stops_and_crashes() {
    let dir = tempfile::tempdir().unwrap();
    let tp = |partition| TopicPartition::new("a.b-c", partition);
    let id = crate::common::topic_id::random();
    for round in 0..4i64 {
        let manager = open(&[dir.path()]);
        assert_eq!(load(&manager), round == 1 || round == 2, "round {round}");
        assert_eq!(manager.previous_broker_epoch(), (round == 1 || round == 2).then_some(round - 1));
        manager.write_identity(7, "cluster").unwrap();
        for partition in 0..3 {
            let log = manager.get_or_create(&tp(partition), Some(id), LogConfig::default()).unwrap();
            assert_eq!(log.log_end_offset(), round * 5);
            assert_eq!(log.topic_id(), Some(id));
            if round > 0 {
                assert!(manager.checkpointed_high_watermark(&tp(partition)).is_some());
            }
            for _ in 0..5 {
                log.append_as_leader(batch(), 0, AppendOrigin::Client, 1).unwrap();
            }
            log.update_high_watermark(log.log_end_offset());
        }
        assert!(manager.get_or_create(&tp(0), Some(crate::common::topic_id::random()), LogConfig::default()).is_err());
        assert_eq!(manager.describe()[0].replicas.len(), 3);
        if round == 2 {
            manager.checkpoint_high_watermarks();
            manager.checkpoint_recovery_points();
            continue;
        }
        manager.shutdown(round);
        if round == 0 || round == 1 {
            assert!(dir.path().join("data/.kafka_cleanshutdown").exists());
        }
    }
}

#[test]
fn a_deleted_log_leaves_nothing_to_its_successor() {
    let dir = tempfile::tempdir().unwrap();
    let tp = TopicPartition::new("t", 0);
    {
        let manager = open(&[dir.path()]);
        load(&manager);
        let log = manager.get_or_create(&tp, None, LogConfig::default()).unwrap();
        for _ in 0..5 {
            log.append_as_leader(batch(), 0, AppendOrigin::Client, 1).unwrap();
        }
        log.update_high_watermark(5);
        log.advance_log_start_offset(3, 0).unwrap();
        log.flush().unwrap();
        manager.checkpoint_recovery_points();
        manager.checkpoint_log_start_offsets();
        manager.checkpoint_high_watermarks();
        manager.delete(&tp, 1_000).unwrap();
        assert!(log.append_as_leader(batch(), 0, AppendOrigin::Client, 1).is_err());
        let fresh = manager.get_or_create(&tp, None, LogConfig::default()).unwrap();
        fresh.append_as_leader(batch(), 0, AppendOrigin::Client, 1).unwrap();
        assert_eq!(
            fs::read_dir(dir.path().join("data")).unwrap().filter(|e| e.as_ref().unwrap().path().is_dir()).count(),
            2
        );
        manager.delete_pending(1_000 + 59_999);
        assert_eq!(
            fs::read_dir(dir.path().join("data")).unwrap().filter(|e| e.as_ref().unwrap().path().is_dir()).count(),
            2
        );
        manager.delete_pending(1_000 + 60_000);
        assert_eq!(
            fs::read_dir(dir.path().join("data")).unwrap().filter(|e| e.as_ref().unwrap().path().is_dir()).count(),
            1
        );
        assert!(manager.has_online_dir());
    }
    let manager = open(&[dir.path()]);
    assert!(!load(&manager));
    let log = manager.get(&tp).unwrap();
    assert_eq!((log.log_start_offset(), log.log_end_offset()), (0, 1));
}

#[test]
fn damaged_checkpoints_cost_recovery_and_nothing_else() {
    let names = ["recovery-point-offset-checkpoint", "replication-offset-checkpoint", "log-start-offset-checkpoint"];
    for clean in [true, false] {
        for name in names {
            for content in [None, Some(&b""[..]), Some(&[0; 64][..]), Some(b"0\n9\nt 0 5\n"), Some(b"\xff\xfe\n")] {
                let dir = tempfile::tempdir().unwrap();
                let tp = TopicPartition::new("t", 0);
                let manager = open(&[dir.path()]);
                load(&manager);
                let log = manager.get_or_create(&tp, None, LogConfig::default()).unwrap();
                log.append_as_leader(batch(), 0, AppendOrigin::Client, 1).unwrap();
                manager.shutdown(1);
                drop(manager);
                let path = dir.path().join("data").join(name);
                match content {
                    None => fs::remove_file(path).unwrap(),
                    Some(content) => fs::write(path, content).unwrap(),
                }
                if !clean {
                    fs::remove_file(dir.path().join("data/.kafka_cleanshutdown")).unwrap();
                }
                let manager = open(&[dir.path()]);
                assert_eq!(load(&manager), clean);
                let log = manager.get(&tp).unwrap();
                assert_eq!((log.log_start_offset(), log.log_end_offset()), (0, 1), "{name}");
            }
        }
    }
}

#[test]
fn dirs_that_do_not_fit_together_refuse_to_start() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    open(&[one.path()]).write_identity(1, "x").unwrap();
    open(&[two.path()]).write_identity(2, "x").unwrap();
    let both = open(&[one.path(), two.path()]);
    assert!(matches!(both.identity(), Err(StorageError::Startup(_))));
    drop(both);
    assert!(open(&[one.path()]).write_identity(1, "y").is_err());
    fs::create_dir(one.path().join("data/holiday_pictures")).unwrap();
    assert!(matches!(open(&[one.path()]).load(&|_| LogConfig::default()), Err(StorageError::Startup(_))));
}

#[test]
fn a_failed_dir_takes_its_logs_along() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let manager = open(&[one.path(), two.path()]);
    load(&manager);
    for partition in 0..4 {
        manager.get_or_create(&TopicPartition::new("t", partition), None, LogConfig::default()).unwrap();
    }
    let gone = manager.mark_offline(&one.path().join("data"));
    assert_eq!(gone.len(), 2);
    assert_eq!(manager.all().len(), 2);
    assert_eq!(manager.describe().iter().map(|dir| dir.online).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn a_dir_that_cannot_be_opened_is_offline_while_another_can() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(one.path().join("data"), "a file where the dir should be").unwrap();
    let manager = open(&[one.path(), two.path()]);
    assert!(manager.has_online_dir() && manager.has_offline_dir());
    manager.write_identity(1, "c").unwrap();
    load(&manager);
    manager.get_or_create(&TopicPartition::new("t", 0), None, LogConfig::default()).unwrap();
    assert_eq!(manager.describe().iter().map(|dir| dir.online).collect::<Vec<_>>(), [false, true]);
    drop(manager);
    fs::remove_dir_all(two.path().join("data")).unwrap();
    fs::write(two.path().join("data"), "").unwrap();
    let config = config(&[one.path(), two.path()]);
    assert!(LogManager::open(config, Arc::new(ManualClock::at(0))).is_err());
}

/// Prints how long many partitions take: `cargo test --release -- --ignored --nocapture ten_thousand`.
#[test]
#[ignore = "a measurement"]
fn ten_thousand_logs() {
    let dir = tempfile::tempdir().unwrap();
    let begin = std::time::Duration::ZERO;
    let clock = rustix::time::ClockId::Monotonic;
    let seconds = || {
        let now = rustix::time::clock_gettime(clock);
        now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
    };
    let manager = open(&[dir.path()]);
    load(&manager);
    let started = seconds();
    for partition in 0..10_000 {
        let tp = TopicPartition::new("t", partition);
        let id = Some(crate::common::topic_id::random());
        let log = manager.get_or_create(&tp, id, LogConfig::default()).unwrap();
        log.assign_epoch_start(0).unwrap();
        log.append_as_leader(batch(), 0, AppendOrigin::Client, 1).unwrap();
    }
    println!("created in {:.2} s {begin:?}", seconds() - started);
    let started = seconds();
    manager.shutdown(1);
    drop(manager);
    println!("stopped in {:.2} s", seconds() - started);
    let started = seconds();
    let manager = open(&[dir.path()]);
    assert!(load(&manager));
    println!("loaded in {:.2} s", seconds() - started);
    let status = fs::read_to_string("/proc/self/status").unwrap();
    println!("{}", status.lines().find(|line| line.starts_with("VmRSS")).unwrap());
}
