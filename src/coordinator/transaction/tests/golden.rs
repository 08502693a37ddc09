//! Keys and values as Apache Kafka 3.9.1 writes them (`TransactionLog`).

use crate::{
    common::TopicPartition,
    coordinator::{
        machine::Now,
        transaction::{
            TransactionState,
            metadata::Transition,
            records::{RecordKey, key, read_key, read_value, value},
        },
    },
};

const KEY: &str = "0000000a7a61686c756e672dc3bc";
/// State, value v0, value v1.
const VALUES: [(TransactionState, &str, &str); 6] = [
    (
        TransactionState::Empty,
        "0000000000000000126700030000ea6000ffffffff0000018bcfe569c8ffffffffffffffff",
        "0001000000000000126700030000ea6000000000018bcfe569c8ffffffffffffffff00",
    ),
    (
        TransactionState::Ongoing,
        "0000000000000000126700030000ea60010000000100066f72646572730000000200000007000000020000018bcfe569c80000018bcfe5687b",
        "0001000000000000126700030000ea600102076f7264657273030000000700000002000000018bcfe569c80000018bcfe5687b00",
    ),
    (
        TransactionState::PrepareCommit,
        "0000000000000000126700030000ea60020000000100066f72646572730000000200000007000000020000018bcfe569c80000018bcfe5687b",
        "0001000000000000126700030000ea600202076f7264657273030000000700000002000000018bcfe569c80000018bcfe5687b00",
    ),
    (
        TransactionState::PrepareAbort,
        "0000000000000000126700030000ea60030000000100066f72646572730000000200000007000000020000018bcfe569c80000018bcfe5687b",
        "0001000000000000126700030000ea600302076f7264657273030000000700000002000000018bcfe569c80000018bcfe5687b00",
    ),
    (
        TransactionState::CompleteCommit,
        "0000000000000000126700030000ea6004000000000000018bcfe569c80000018bcfe5687b",
        "0001000000000000126700030000ea6004010000018bcfe569c80000018bcfe5687b00",
    ),
    (
        TransactionState::CompleteAbort,
        "0000000000000000126700030000ea6005000000000000018bcfe569c80000018bcfe5687b",
        "0001000000000000126700030000ea6005010000018bcfe569c80000018bcfe5687b00",
    ),
];

const NOW: Now = Now { wall_ms: 1_700_000_001_123, monotonic_ms: 5_000 };

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn transition(state: TransactionState) -> Transition {
    let has_partitions =
        matches!(state, TransactionState::Ongoing | TransactionState::PrepareCommit | TransactionState::PrepareAbort);
    let partitions = [7, 2].map(|index| TopicPartition::new("orders", index)).into_iter().filter(|_| has_partitions);
    Transition {
        state,
        producer_id: 4711,
        last_producer_id: 4710,
        producer_epoch: 3,
        last_producer_epoch: 2,
        timeout_ms: 60_000,
        partitions: partitions.collect(),
        start_timestamp: if state == TransactionState::Empty { -1 } else { 1_700_000_000_123 },
        last_update_timestamp: 1_700_000_000_456,
    }
}

#[test]
fn records_are_kafkas() {
    assert_eq!(key("zahlung-ü"), unhex(KEY));
    assert_eq!(read_key(&unhex(KEY)), Ok(RecordKey::Transaction { transactional_id: "zahlung-ü".into() }));
    assert_eq!(read_key(&[0, 9, 1]), Ok(RecordKey::Unknown { version: 9 }));
    for (state, v0, v1) in VALUES {
        let written = transition(state);
        assert_eq!(value(&written), unhex(v0), "{state:?}");
        for bytes in [unhex(v0), unhex(v1)] {
            let read = read_value(NOW, &bytes).unwrap();
            assert_eq!((read.state, read.producer_id, read.producer_epoch), (state, 4711, 3));
            assert_eq!((read.timeout_ms, &read.partitions), (60_000, &written.partitions));
            assert_eq!(read.start_timestamp, written.start_timestamp);
            assert_eq!(read.last_update_timestamp, written.last_update_timestamp);
            assert_eq!((read.last_producer_id, read.last_producer_epoch, read.pending), (-1, -1, None));
        }
    }
    let ongoing = read_value(NOW, &unhex(VALUES[1].1)).unwrap();
    assert_eq!(ongoing.started_monotonic_ms, 4_000, "it is one second old");
}

#[test]
fn cut_and_lying_records_are_refused() {
    for (_, v0, v1) in VALUES {
        for whole in [unhex(v0), unhex(v1)] {
            for length in 0..whole.len() - 1 {
                assert!(read_value(NOW, &whole[..length]).is_err());
            }
        }
    }
    let mut unknown_state = unhex(VALUES[0].1);
    unknown_state[16] = 9;
    assert!(read_value(NOW, &unknown_state).is_err());
    assert!(read_value(NOW, &[0, 7]).is_err());
}
