//! The log against a list of batches.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Op {
    Append { records: i32, payload: usize },
    Read { at: u64 },
    Truncate { at: u64 },
    DeleteRecords { at: u64 },
    Roll,
    ReloadClean,
    ReloadCrashed,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (1..5i32, 0..80usize).prop_map(|(records, payload)| Op::Append { records, payload }),
        4 => any::<u64>().prop_map(|at| Op::Read { at }),
        1 => any::<u64>().prop_map(|at| Op::Truncate { at }),
        1 => any::<u64>().prop_map(|at| Op::DeleteRecords { at }),
        1 => Just(Op::Roll),
        1 => Just(Op::ReloadClean),
        1 => Just(Op::ReloadCrashed),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn behaves_as_a_list_of_batches(ops in proptest::collection::vec(op(), 1..50)) {
        let mut one = Fixture::new(small());
        let (mut model, mut start, mut end) = (Vec::<(i64, i64)>::new(), 0i64, 0i64);
        let mut clock = 0;
        for op in ops {
            let spot = |at: u64| start + (at % (end - start + 1) as u64) as i64;
            match op {
                Op::Append { records, payload } => {
                    clock += 5;
                    one.append(&Batch { records, payload, timestamp: clock, ..Batch::default() }).unwrap();
                    model.push((end, end + i64::from(records) - 1));
                    end += i64::from(records);
                }
                Op::Read { at } => {
                    let offset = spot(at);
                    let data = one.log.read(offset, 1, FetchIsolation::HighWatermark, true).unwrap();
                    let expected = model.iter().find(|batch| batch.1 >= offset);
                    let found = data.region.as_ref().map(|_| {
                        let header = BatchHeader::parse(&bytes_of(&data)).unwrap();
                        (header.base_offset, header.last_offset())
                    });
                    prop_assert_eq!(found.as_ref(), expected);
                }
                Op::Truncate { at } => {
                    let offset = spot(at);
                    one.log.truncate_to(offset).unwrap();
                    model.retain(|batch| batch.1 < offset);
                    end = offset;
                }
                Op::DeleteRecords { at } => {
                    start = spot(at);
                    one.log.advance_log_start_offset(start, 0).unwrap();
                }
                Op::Roll => one.log.roll().unwrap(),
                Op::ReloadClean => one.reload_clean(),
                Op::ReloadCrashed => one.reload_crashed(),
            }
            // A truncation into a batch leaves a gap that a restart does not know of.
            if matches!(op, Op::ReloadClean | Op::ReloadCrashed) {
                end = one.log.log_end_offset();
                prop_assert!(model.last().is_none_or(|last| last.1 < end));
            }
            prop_assert_eq!(one.log.log_end_offset(), end);
            prop_assert_eq!(one.log.log_start_offset(), start);
        }
        let visible: Vec<_> = model.into_iter().filter(|batch| batch.1 >= start).collect();
        prop_assert_eq!(all_batches(&one.log), visible);
    }
}
