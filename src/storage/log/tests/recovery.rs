//! Logs that were damaged, or not closed.

use super::*;

/// Files of the newest state that a crash or a careless hand may damage.
fn damage(path: &Path, how: usize) {
    match how {
        0 => fs::remove_file(path).unwrap(),
        1 => fs::write(path, vec![0; fs::metadata(path).unwrap().len().max(24) as usize]).unwrap(),
        2 => fs::write(path, "").unwrap(),
        _ => garble(path),
    }
}

#[test]
fn a_tail_torn_at_any_byte_of_the_last_three_batches() {
    let one = Fixture::new(small());
    one.append_many(11);
    let batches = all_batches(&one.log);
    one.log.flush().unwrap();
    one.log.close().unwrap();
    let active = *one.log.segments().last().unwrap();
    let path = one.path().join(format!("{:020}.log", active.base_offset));
    let whole = fs::read(&path).unwrap();
    let mut starts = vec![0];
    while *starts.last().unwrap() < whole.len() {
        let at = *starts.last().unwrap();
        starts.push(at + BatchHeader::parse(&whole[at..]).unwrap().size);
    }
    let first = starts[starts.len().saturating_sub(4)];
    for cut in first..=whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        let log = one.load(LoadParams { recovery_point: 0, ..one.params(false) });
        let complete = starts.iter().filter(|start| **start <= cut).count() - 1;
        let lost = starts.len() - 1 - complete;
        assert_eq!(all_batches(&log), batches[..batches.len() - lost], "cut at {cut}");
        assert_eq!(fs::metadata(&path).unwrap().len(), starts[complete] as u64);
        let next = log.append_as_leader(Batch::default().bytes(), 1, AppendOrigin::Client, 0).unwrap();
        assert_eq!(next.first_offset, batches.get(batches.len() - lost - 1).map_or(active.base_offset, |b| b.1 + 1));
    }
    // Bits, too: a flipped one ends the log before its batch.
    let mut flipped = whole.clone();
    let at = starts[starts.len() - 2] + 70;
    flipped[at] ^= 0x10;
    fs::write(&path, &flipped).unwrap();
    let log = one.load(LoadParams { recovery_point: 0, ..one.params(false) });
    assert_eq!(all_batches(&log), batches[..batches.len() - 1]);
}

#[test]
fn corruption_in_the_middle_drops_what_follows_but_only_above_the_recovery_point() {
    let one = Fixture::new(small());
    one.append_many(20);
    one.log.flush().unwrap();
    one.log.close().unwrap();
    let second = one.log.segments()[1].base_offset;
    let path = one.path().join(format!("{second:020}.log"));
    let mut bytes = fs::read(&path).unwrap();
    bytes[70] ^= 1;
    fs::write(&path, &bytes).unwrap();
    // Sealed and flushed segments are not read again.
    let log = one.load(one.params(false));
    assert_eq!(log.log_end_offset(), one.log.log_end_offset());
    let log = one.load(LoadParams { recovery_point: 0, ..one.params(false) });
    assert_eq!(log.log_end_offset(), second);
    assert_eq!(log.segments().len(), 2);
    assert_eq!(
        log.append_as_leader(Batch::default().bytes(), 1, AppendOrigin::Client, 0).unwrap().first_offset,
        second
    );
}

#[test]
fn every_helper_file_may_be_lost_zeroed_emptied_or_garbled() {
    for clean in [true, false] {
        for how in 0..4 {
            let mut one = Fixture::new(small());
            one.append_many(25);
            one.append(&Batch::txn(5, 0, 0)).unwrap();
            one.append(&Batch::marker(5, 0, false)).unwrap();
            let batches = all_batches(&one.log);
            let sizes = one.log.size_bytes();
            let max = one.log.offset_of_max_timestamp().unwrap();
            one.log.flush().unwrap();
            one.log.close().unwrap();
            for name in one.names() {
                // That aborted transactions are missing shows in no other file after a clean stop.
                let unseen = clean && name.ends_with(".txnindex") && (how == 0 || how == 2);
                if unseen || name.ends_with(".log") {
                    continue;
                }
                damage(&one.path().join(&name), how);
                let params =
                    if clean { one.params(true) } else { LoadParams { recovery_point: 0, ..one.params(false) } };
                let log = one.load(params);
                assert_eq!(all_batches(&log), batches, "{name} damaged by {how}, clean: {clean}");
                assert_eq!(log.size_bytes(), sizes);
                let read = log.read(0, 1 << 20, FetchIsolation::TxnCommitted, true).unwrap();
                let last = log.log_end_offset() - 2;
                let tail = log.read(last, 1 << 20, FetchIsolation::TxnCommitted, true).unwrap();
                assert!(read.aborted.is_some());
                assert_eq!(tail.aborted.unwrap().len(), 1, "{name} damaged by {how}, clean: {clean}");
                assert_eq!(log.latest_epoch(), Some(0), "{name} damaged by {how}, clean: {clean}");
                assert_eq!(log.delete_old_segments(2_000).unwrap(), 0, "{name} damaged by {how}, clean: {clean}");
                assert_eq!(
                    log.offset_of_max_timestamp().unwrap().map(|m| m.timestamp),
                    max.map(|m| m.timestamp),
                    "{name}"
                );
                log.append_as_leader(Batch::default().bytes(), 0, AppendOrigin::Client, 0).unwrap();
                log.truncate_to(one.log.log_end_offset()).unwrap();
                log.flush().unwrap();
                log.close().unwrap();
            }
            one.reload_crashed();
            assert_eq!(all_batches(&one.log), batches);
        }
    }
}

#[test]
fn leftovers_are_cleared_and_swaps_finished() {
    let one = Fixture::new(small());
    one.append_many(20);
    one.log.flush().unwrap();
    one.log.close().unwrap();
    let batches = all_batches(&one.load(one.params(true)));
    let path = |name: &str| one.path().join(name);
    fs::write(path("00000000000000000000.log.cleaned"), "junk").unwrap();
    fs::write(path("00000000000000000003.index"), "").unwrap();
    fs::write(path("00000000000000000001.log.deleted"), "junk").unwrap();
    assert_eq!(all_batches(&one.load(one.params(true))), batches);
    // A compaction of the first segment that had got as far as renaming to .swap.
    fs::copy(path("00000000000000000000.log"), path("00000000000000000000.log.swap")).unwrap();
    fs::write(path("00000000000000000000.index.swap"), "").unwrap();
    fs::write(path("00000000000000000000.timeindex.swap"), "").unwrap();
    assert_eq!(all_batches(&one.load(one.params(true))), batches);
    assert!(
        !one.names()
            .iter()
            .any(|name| name.ends_with(".swap") || name.ends_with(".cleaned") || name.ends_with(".deleted"))
    );
    assert!(!one.names().contains(&"00000000000000000003.index".to_owned()));
}

#[test]
fn a_start_offset_beyond_the_end_starts_over_there() {
    let one = Fixture::new(small());
    one.append_many(5);
    one.log.flush().unwrap();
    one.log.close().unwrap();
    let log = one.load(LoadParams { log_start_offset: 100, ..one.params(false) });
    assert_eq!((log.log_start_offset(), log.log_end_offset(), log.high_watermark()), (100, 100, 100));
    assert_eq!(log.append_as_leader(Batch::default().bytes(), 1, AppendOrigin::Client, 0).unwrap().first_offset, 100);
}
