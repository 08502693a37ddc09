//! What a log remembers of producers and transactions.

use super::*;
use crate::common::ErrorCode;

fn code(one: &Fixture, batch: &Batch) -> ErrorCode {
    one.append(batch).map_or_else(|error| error.code(), |_| ErrorCode::None)
}

fn duplicate_of(one: &Fixture, batch: &Batch) -> Option<(i64, i64)> {
    match one.append(batch) {
        Err(StorageError::DuplicateSequence { base_offset, last_offset, .. }) => Some((base_offset, last_offset)),
        _ => None,
    }
}

fn of(records: i32, batch: Batch) -> Batch {
    Batch { records, ..batch }
}

#[test]
fn sequence_rules() {
    let one = Fixture::new(LogConfig::default());
    let table: &[(i32, Batch, ErrorCode)] = &[
        // An unknown producer may begin anywhere (KIP-360).
        (3, Batch::by(1, 0, 40), ErrorCode::None),
        (1, Batch::by(1, 0, 43), ErrorCode::None),
        (1, Batch::by(1, 0, 45), ErrorCode::OutOfOrderSequenceNumber),
        (1, Batch::by(1, 0, 42), ErrorCode::OutOfOrderSequenceNumber),
        // A new epoch begins at 0.
        (1, Batch::by(1, 1, 44), ErrorCode::OutOfOrderSequenceNumber),
        (1, Batch::by(1, 1, 0), ErrorCode::None),
        (1, Batch::by(1, 0, 44), ErrorCode::InvalidProducerEpoch),
        // Sequences wrap at 2³¹.
        (2, Batch::by(2, 0, i32::MAX - 1), ErrorCode::None),
        (1, Batch::by(2, 0, 0), ErrorCode::None),
        (4, Batch::by(3, 0, i32::MAX - 1), ErrorCode::None),
        (1, Batch::by(3, 0, 2), ErrorCode::None),
    ];
    for (at, (records, batch, expected)) in table.iter().enumerate() {
        assert_eq!(code(&one, &of(*records, batch.clone())), *expected, "row {at}");
    }
}

#[test]
fn the_last_five_batches_are_remembered() {
    let mut one = Fixture::new(LogConfig::default());
    for sequence in 0..7 {
        one.append(&Batch::by(1, 0, sequence * 2)).err();
        one.append(&of(2, Batch::by(9, 0, sequence * 2))).unwrap();
    }
    let end = one.log.log_end_offset();
    let last = duplicate_of(&one, &of(2, Batch::by(9, 0, 12))).unwrap();
    assert_eq!(last.1 - last.0, 1);
    assert!(duplicate_of(&one, &of(2, Batch::by(9, 0, 4))).is_some());
    assert_eq!(code(&one, &of(2, Batch::by(9, 0, 2))), ErrorCode::OutOfOrderSequenceNumber);
    assert_eq!(one.log.log_end_offset(), end);
    // One batch survives a restart in the snapshot; a crash reads them from the log.
    one.reload_clean();
    assert_eq!(duplicate_of(&one, &of(2, Batch::by(9, 0, 12))), Some(last));
    assert_eq!(code(&one, &of(2, Batch::by(9, 0, 14))), ErrorCode::None);
    one.reload_crashed();
    assert!(duplicate_of(&one, &of(2, Batch::by(9, 0, 14))).is_some());
    assert_eq!(duplicate_of(&one, &of(2, Batch::by(9, 0, 12))), Some(last));
}

#[test]
fn a_lost_or_damaged_snapshot_is_made_up_from_the_log() {
    for crash in [false, true] {
        let mut one = Fixture::new(small());
        for sequence in 0..30 {
            one.append(&Batch::by(9, 0, sequence)).unwrap();
        }
        one.log.flush().unwrap();
        one.log.close().unwrap();
        let snapshots: Vec<_> = one.names().into_iter().filter(|name| name.ends_with(".snapshot")).collect();
        assert!(snapshots.len() > 2);
        for (at, name) in snapshots.iter().enumerate() {
            let path = one.path().join(name);
            if at % 2 == 0 { garble(&path) } else { fs::remove_file(path).unwrap() }
        }
        let params = one.params(!crash);
        one.log = one.load(params);
        assert!(duplicate_of(&one, &Batch::by(9, 0, 29)).is_some());
        assert_eq!(code(&one, &Batch::by(9, 0, 30)), ErrorCode::None);
    }
}

#[test]
fn transactions_hold_the_last_stable_offset_and_aborts_are_told() {
    let mut one = Fixture::new(small());
    one.append(&Batch::default()).unwrap();
    one.append(&Batch::txn(1, 0, 0)).unwrap();
    one.append(&Batch::txn(2, 0, 0)).unwrap();
    assert_eq!(one.log.last_stable_offset(), 1);
    one.append(&Batch::marker(2, 0, false)).unwrap();
    assert_eq!(one.log.last_stable_offset(), 1);
    assert_eq!(code(&one, &Batch::by(1, 0, 1)), ErrorCode::InvalidTxnState);
    one.append(&Batch::marker(1, 0, true)).unwrap();
    assert_eq!(one.log.last_stable_offset(), 5);
    one.append(&Batch::txn(3, 0, 0)).unwrap();
    for step in ["as written", "after a clean stop", "after a crash"] {
        match step {
            "after a clean stop" => one.reload_clean(),
            "after a crash" => {
                let index = one.path().join("00000000000000000000.txnindex");
                garble(&index);
                one.reload_crashed();
            }
            _ => {}
        }
        one.log.update_high_watermark(one.log.log_end_offset());
        assert_eq!(one.log.last_stable_offset(), 5, "{step}");
        let data = one.log.read(0, 1 << 20, FetchIsolation::TxnCommitted, true).unwrap();
        let aborted: Vec<_> =
            data.aborted.clone().unwrap().iter().map(|txn| (txn.producer_id, txn.first_offset)).collect();
        assert_eq!(aborted, [(2, 2)], "{step}");
        let last =
            BatchHeader::parse(&bytes_of(&one.log.read(4, 1, FetchIsolation::TxnCommitted, true).unwrap())).unwrap();
        assert!(last.is_control());
        assert!(one.log.read(5, 1, FetchIsolation::TxnCommitted, true).unwrap().region.is_none());
    }
    let producers = one.log.active_producers();
    assert_eq!(producers.len(), 3);
    assert_eq!(producers[2].current_txn_start_offset, 5);
    assert_eq!(producers[0].coordinator_epoch, 7);
}

#[test]
fn an_ended_transaction_waits_for_the_high_watermark() {
    let one = Fixture::new(LogConfig::default());
    let append = |batch: Batch, origin| one.log.append_as_leader(batch.bytes(), 0, origin, 0).unwrap();
    append(Batch::txn(1, 0, 0), AppendOrigin::Client);
    append(Batch::marker(1, 0, true), AppendOrigin::Coordinator);
    one.log.update_high_watermark(1);
    assert_eq!(one.log.last_stable_offset(), 0);
    one.log.update_high_watermark(2);
    assert_eq!(one.log.last_stable_offset(), 2);
}

#[test]
fn idle_producers_expire() {
    let one = Fixture::new(LogConfig::default());
    one.append(&Batch { timestamp: 5_000, ..Batch::by(1, 0, 0) }).unwrap();
    one.append(&Batch { timestamp: 5_000, ..Batch::txn(2, 0, 0) }).unwrap();
    one.log.expire_producers(5_000 + 86_400_000 - 1);
    assert_eq!(one.log.active_producers().len(), 2);
    one.log.expire_producers(5_000 + 86_400_000);
    assert_eq!(one.log.active_producers().iter().map(|one| one.producer_id).collect::<Vec<_>>(), [2]);
}
