//! Compaction against a list of records: nothing is lost that must stay, nothing stays that must go, nothing moves.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Op {
    /// `(key, has a value)` each, by producer 0 (none), 1 or 2 (idempotent).
    Put {
        producer: i64,
        records: Vec<(u8, bool)>,
        packed: bool,
    },
    /// A transaction of producer 11 or 12 begins or goes on.
    InTxn {
        producer: i64,
        records: Vec<(u8, bool)>,
    },
    End {
        producer: i64,
        commit: bool,
    },
    Roll,
    Clean,
    Wait {
        ms: i64,
    },
    Reload,
    DeleteRecords {
        share: u8,
    },
}

fn some_records() -> impl Strategy<Value = Vec<(u8, bool)>> {
    proptest::collection::vec((0..6u8, proptest::bool::weighted(0.8)), 1..4)
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (0..3i64, some_records(), any::<bool>())
            .prop_map(|(producer, records, packed)| Op::Put { producer, records, packed }),
        4 => (11..13i64, some_records()).prop_map(|(producer, records)| Op::InTxn { producer, records }),
        3 => (11..13i64, any::<bool>()).prop_map(|(producer, commit)| Op::End { producer, commit }),
        3 => Just(Op::Roll),
        3 => Just(Op::Clean),
        2 => (100..1_500i64).prop_map(|ms| Op::Wait { ms }),
        1 => Just(Op::Reload),
        1 => any::<u8>().prop_map(|share| Op::DeleteRecords { share }),
    ]
}

/// A data record as it was written.
#[derive(Debug, Clone)]
struct Written {
    found: Found,
    producer: i64,
    /// Of its transaction, once that has ended.
    aborted: Option<bool>,
    /// When a cleaning first went over it.
    first_cleaned: Option<i64>,
}

#[derive(Default)]
struct Model {
    written: Vec<Written>,
    /// First and last offset of each batch.
    extents: Vec<(Offset, Offset)>,
    sequences: HashMap<i64, i32>,
    open: HashMap<i64, Vec<usize>>,
    /// Records and marker of each ended transaction.
    ended: Vec<(Vec<usize>, Offset)>,
}

impl Model {
    fn put(&mut self, bench: &Bench, producer: i64, records: &[(u8, bool)], in_txn: bool, packed_batch: bool) {
        let mut batch = RecordBatchBuilder::new(0).transactional(in_txn);
        if packed_batch {
            batch = batch.compression(Compression::of(crate::protocol::records::batch::CompressionType::Lz4));
        }
        if producer > 0 {
            let sequence = self.sequences.entry(producer).or_insert(0);
            // DeleteRecords may take all of a producer's records and leave its marker; without a snapshot a reload then
            // knows no sequence, and Kafka takes nothing but 0. While its records are there, compaction may not forget it.
            if bench.log.active_producers().iter().any(|it| it.producer_id == producer && it.last_sequence < 0) {
                let last = self.written.iter().rfind(|it| it.producer == producer).map(|it| it.found.offset);
                assert!(last < Some(bench.log.log_start_offset()), "producer {producer}'s sequence is lost: {last:?}");
                *sequence = 0;
            }
            batch = batch.producer(producer, 0, *sequence);
            *sequence += records.len() as i32;
        }
        let first = bench.log.log_end_offset();
        for (at, (key, has_value)) in records.iter().enumerate() {
            let offset = first + at as i64;
            let key = vec![b'k', *key];
            let value = has_value.then(|| format!("value {offset}").into_bytes());
            batch.append(bench.now(), Some(&key), value.as_deref(), &[]);
            if in_txn {
                self.open.entry(producer).or_default().push(self.written.len());
            }
            let found = Found { offset, key, value, timestamp: bench.now() };
            let aborted = (!in_txn).then_some(false);
            self.written.push(Written { found, producer, aborted, first_cleaned: None });
        }
        assert_eq!(bench.append(batch), first);
        self.extents.push((first, bench.log.log_end_offset() - 1));
    }

    fn end(&mut self, bench: &Bench, producer: i64, commit: bool) {
        let Some(records) = self.open.remove(&producer) else { return };
        for at in &records {
            self.written[*at].aborted = Some(!commit);
        }
        let offset = bench.end_txn(producer, commit);
        self.extents.push((offset, offset));
        self.ended.push((records, offset));
    }

    /// After a cleaning that made everything below `clean` clean and went over all segments below it.
    fn cleaned(&mut self, bench: &Bench, clean: Offset) {
        let now = bench.now();
        let left: Vec<Offset> = bench.offsets();
        let mut latest: BTreeMap<Vec<u8>, Offset> = BTreeMap::new();
        for it in self.written.iter().filter(|it| it.found.offset < clean && it.aborted == Some(false)) {
            latest.insert(it.found.key.clone(), it.found.offset);
        }
        for it in self.written.iter_mut().filter(|it| it.found.offset < clean) {
            let stays = left.contains(&it.found.offset);
            let is_latest = it.aborted == Some(false) && latest.get(&it.found.key) == Some(&it.found.offset);
            let spent = it.found.value.is_none() && it.first_cleaned.is_some_and(|first| now >= first + 1_000);
            // The cleaner learns no key from below the log start, where nobody reads: what only such a record supersedes stays.
            let start = bench.log.log_start_offset();
            let is_superseded_above = latest.get(&it.found.key).is_some_and(|latest| *latest >= start);
            let is_unseen = it.found.offset < start && it.aborted == Some(false) && !is_superseded_above;
            assert!(!stays || is_latest || is_unseen, "{it:?} should be gone");
            assert!(!stays || !spent, "{it:?} is spent");
            let may_go = !is_latest || spent || it.found.offset < bench.log.log_start_offset();
            assert!(stays || may_go || it.found.value.is_none() && it.first_cleaned.is_some(), "{it:?} is lost");
            it.first_cleaned.get_or_insert(now);
        }
    }

    fn check(&self, bench: &Bench) {
        let start = bench.log.log_start_offset();
        let by_offset: HashMap<Offset, &Written> = self.written.iter().map(|it| (it.found.offset, it)).collect();
        let found = bench.records();
        for record in &found {
            assert_eq!(record, &by_offset[&record.offset].found);
        }
        let headers = bench.headers();
        for (records, marker) in &self.ended {
            let has_data = records.iter().any(|at| found.contains(&self.written[*at].found));
            let is_there = headers.iter().any(|header| header.base_offset == *marker && header.record_count == 1);
            assert!(is_there || !has_data, "the marker at {marker} is lost");
        }
        for header in headers {
            assert!(self.extents.contains(&(header.base_offset, header.last_offset())), "{header:?}");
        }
        // The last value of every key is there for whoever reads from the start.
        let mut latest: BTreeMap<&[u8], &Written> = BTreeMap::new();
        for it in self.written.iter().filter(|it| it.aborted == Some(false)) {
            latest.insert(&it.found.key, it);
        }
        for it in latest.values().filter(|it| it.found.value.is_some() && it.found.offset >= start) {
            assert!(found.contains(&it.found), "{it:?} is lost");
        }
        self.check_committed(bench);
    }

    /// A consumer of committed data never sees what was aborted.
    fn check_committed(&self, bench: &Bench) {
        let mut offset = bench.log.log_start_offset();
        let end = bench.log.last_stable_offset();
        while offset < end {
            let data = bench.log.read(offset, 1, FetchIsolation::TxnCommitted, true).unwrap();
            let Some(region) = data.region else { break };
            let mut bytes = vec![0; region.length];
            region.file.read_exact_at(&mut bytes, region.position).unwrap();
            let header = BatchHeader::parse(&bytes).unwrap();
            let aborted = data.aborted.unwrap();
            for it in records(&bytes).iter().filter_map(|it| self.written.iter().find(|w| w.found.offset == it.offset))
            {
                let hidden =
                    aborted.iter().any(|txn| txn.producer_id == it.producer && txn.first_offset <= it.found.offset);
                if it.aborted == Some(true) {
                    assert!(hidden, "{it:?} would be read");
                }
            }
            offset = header.next_offset();
        }
    }
}

fn producers(log: &UnifiedLog) -> Vec<(i64, i16, i32)> {
    log.active_producers().iter().map(|it| (it.producer_id, it.producer_epoch, it.last_sequence)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]
    #[test]
    fn keeps_what_a_list_would_keep(ops in proptest::collection::vec(op(), 1..60), segment_bytes in 200..900i32) {
        let mut bench = Bench::new(LogConfig { segment_bytes, ..compact() });
        let mut model = Model::default();
        for op in ops {
            match op {
                Op::Put { producer, records, packed } => model.put(&bench, producer, &records, false, packed),
                Op::InTxn { producer, records } => model.put(&bench, producer, &records, true, false),
                Op::End { producer, commit } => model.end(&bench, producer, commit),
                Op::Roll => bench.log.roll().unwrap(),
                Op::Wait { ms } => bench.clock.advance(ms),
                Op::Clean => {
                    bench.log.roll().unwrap();
                    if bench.cleaner.clean_filthiest(0, &bench.settings) {
                        model.cleaned(&bench, bench.cleaner.manager().checkpoint(&tp()).unwrap());
                    }
                }
                Op::Reload => {
                    let known = producers(&bench.log);
                    for name in bench.names().iter().filter(|name| name.ends_with(".snapshot")) {
                        fs::remove_file(bench.path().join(name)).unwrap();
                    }
                    let start = bench.log.log_start_offset();
                    bench.logs.checkpoint_log_start_offsets();
                    bench.reload();
                    if start == 0 {
                        prop_assert_eq!(producers(&bench.log), known);
                    }
                }
                Op::DeleteRecords { share } => {
                    let stable = bench.log.last_stable_offset();
                    let to = bench.log.log_start_offset().max(stable * i64::from(share) / 1_000);
                    bench.log.advance_log_start_offset(to, bench.now()).unwrap();
                }
            }
            model.check(&bench);
        }
    }
}
