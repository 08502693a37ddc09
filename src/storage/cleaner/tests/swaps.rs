//! A swap that is interrupted, by a crash at any rename or by a log that changes meanwhile.

use super::*;
use crate::storage::log::{file_records::BatchAt, segment::Segment};

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Three sealed segments with an idempotent producer and an aborted transaction, and an active one.
fn three_segments() -> Bench {
    let bench = Bench::new(compact());
    for segment in 0..3i32 {
        bench.produce(5, segment * 2, false, &[("a", Some("v")), ("b", Some("v"))]);
        bench.produce(6, segment, true, &[("lost", Some("v"))]);
        bench.end_txn(6, false);
        bench.put(&format!("only{segment}"), Some("v"));
        bench.log.roll().unwrap();
    }
    bench.put("a", Some("last"));
    bench
}

/// The segments of `bench` but the active one, and one that holds every batch of theirs that `keep` wants.
fn rewritten(bench: &Bench, keep: impl Fn(&BatchHeader) -> bool) -> (Arc<Segment>, Vec<Arc<Segment>>) {
    let mut old = bench.log.segment_list();
    old.pop();
    let dir = bench.log.dir();
    let cleaned = Segment::create_cleaned(&dir, 0, &bench.config, START).unwrap();
    let file = cleaned.open_active(&dir).unwrap();
    let raw = bench.raw();
    let end = bench.log.segment_list().last().unwrap().base_offset();
    let size = cleaned
        .fill(&dir, |rebuild| {
            let mut position = 0;
            for batch in batches(&raw).map(Result::unwrap) {
                if batch.header.base_offset < end && keep(&batch.header) {
                    file.write_all_at(batch.bytes, position)?;
                    rebuild.add(&BatchAt { position, header: batch.header })?;
                    position += batch.bytes.len() as u64;
                }
            }
            Ok::<u64, std::io::Error>(position)
        })
        .unwrap();
    cleaned.set_size(size);
    cleaned.sync_all_files(&dir).unwrap();
    (cleaned, old)
}

#[test]
fn a_crash_at_any_rename_leaves_the_old_or_the_new() {
    let bench = three_segments();
    let before = bench.offsets();
    // The last batch of the last segment goes too: a start must still know which segments were replaced.
    let (cleaned, old) = rewritten(&bench, |batch| batch.base_offset >= 5 && !batch.is_control());
    let crashes = tempfile::tempdir().unwrap();
    let mut steps = vec![crashes.path().join("0")];
    copy_dir(&bench.dir, &steps[0]);
    let truncations = bench.log.truncations();
    let mut renamed = |_: &Path| {
        let step = crashes.path().join(steps.len().to_string());
        copy_dir(&bench.dir, &step);
        steps.push(step);
    };
    assert!(bench.log.replace_step_by_step(&[cleaned], &old, truncations, &mut renamed).unwrap());
    let after = bench.offsets();
    assert!(after.len() < before.len());
    assert!(steps.len() > 15, "three files in, eleven out, three in: {}", steps.len());
    let mut seen_new = false;
    for (number, step) in steps.iter().enumerate() {
        let names_before = names(&step.join("t-0"));
        let reloaded = Bench::open(step.clone(), bench.config.clone(), Arc::clone(&bench.clock));
        let offsets = reloaded.offsets();
        assert!(offsets == before || offsets == after, "step {number}: {offsets:?}\n{names_before:?}");
        assert!(!seen_new || offsets == after, "step {number} went back");
        seen_new |= offsets == after;
        let odd: Vec<_> = reloaded
            .names()
            .into_iter()
            .filter(|name| [".cleaned", ".swap", ".deleted"].iter().any(|end| name.ends_with(end)))
            .collect();
        assert!(odd.is_empty(), "step {number}: {odd:?}");
        reloaded.put("z", Some("goes on"));
    }
    assert!(seen_new);
}

/// A record that only the dropped tail of the replaced segments held may come back after a crash, none may be lost.
#[test]
fn a_crash_after_the_tail_was_dropped_loses_nothing() {
    let bench = three_segments();
    let before = bench.offsets();
    let (cleaned, old) = rewritten(&bench, |batch| batch.base_offset < 6);
    let crashes = tempfile::tempdir().unwrap();
    let mut steps = Vec::new();
    let truncations = bench.log.truncations();
    let mut renamed = |_: &Path| {
        let step = crashes.path().join(steps.len().to_string());
        copy_dir(&bench.dir, &step);
        steps.push(step);
    };
    assert!(bench.log.replace_step_by_step(&[cleaned], &old, truncations, &mut renamed).unwrap());
    let after = bench.offsets();
    for step in steps {
        let offsets = Bench::open(step, bench.config.clone(), Arc::clone(&bench.clock)).offsets();
        assert!(after.iter().all(|offset| offsets.contains(offset)));
        assert!(offsets.iter().all(|offset| before.contains(offset)));
    }
}

#[test]
fn what_was_read_before_a_truncation_is_not_swapped_in() {
    let bench = three_segments();
    let (cleaned, old) = rewritten(&bench, |_| true);
    let truncations = bench.log.truncations();
    bench.log.truncate_to(6).unwrap();
    assert!(!bench.log.replace_segments(&[cleaned], &old, truncations).unwrap());
    assert_eq!(bench.log.log_end_offset(), 6);
    assert!(bench.offsets().iter().all(|offset| *offset < 6));
}

#[test]
fn what_retention_took_does_not_come_back() {
    let bench = three_segments();
    let (cleaned, old) = rewritten(&bench, |_| true);
    bench.log.advance_log_start_offset(6, START).unwrap();
    assert!(!bench.log.replace_segments(&[cleaned], &old, bench.log.truncations()).unwrap());
    assert!(bench.offsets().iter().all(|offset| *offset >= 5));
}

#[test]
fn a_log_that_is_deleted_while_it_is_cleaned_stays_deleted() {
    let bench = three_segments();
    let (cleaned, old) = rewritten(&bench, |_| true);
    bench.logs.delete(&tp(), START).unwrap();
    assert!(!bench.log.replace_segments(&[cleaned], &old, bench.log.truncations()).unwrap());
    assert!(!bench.path().exists());
}

#[test]
fn a_reader_of_a_replaced_segment_reads_on() {
    let bench = three_segments();
    let dir = bench.log.dir();
    let old_first = bench.log.segment_list().remove(1);
    let region = bench.log.read(0, 1 << 20, FetchIsolation::HighWatermark, true).unwrap().region.unwrap();
    let mut expected = vec![0; region.length];
    region.file.read_exact_at(&mut expected, region.position).unwrap();
    bench.clean();
    let mut bytes = vec![0; region.length];
    region.file.read_exact_at(&mut bytes, region.position).unwrap();
    assert_eq!(bytes, expected);
    // By name too, with the index: until its files are really gone.
    let file = bench.log.open_segment(&old_first).unwrap();
    let found = old_first.locate(&dir, &file, 7, old_first.size()).unwrap().unwrap();
    assert_eq!(found.header.base_offset, 7);
    assert!(!old_first.aborted_entries(&dir).unwrap().is_empty());
}
