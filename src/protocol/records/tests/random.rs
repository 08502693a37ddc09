//! Any records survive the way through a batch; any bytes are survived.

use std::ops::ControlFlow;

use proptest::{collection::vec, option, prelude::*};

use super::CODECS;
use crate::protocol::records::{
    RecordBatchBuilder,
    compression::Compression,
    convert::down_convert,
    iter::{batches, for_each_record, for_each_record_view},
};

type OwnedHeader = (String, Option<Vec<u8>>);
type Owned = (i64, Option<Vec<u8>>, Option<Vec<u8>>, Vec<OwnedHeader>);

fn record() -> impl Strategy<Value = Owned> {
    let bytes = || option::of(vec(any::<u8>(), 0..300));
    (-1..i64::MAX, bytes(), bytes(), vec((".{0,5}", option::of(vec(any::<u8>(), 0..5))), 0..4))
}

fn build(records: &[Owned], codec: usize) -> Vec<u8> {
    let mut batch = RecordBatchBuilder::new(5).compression(Compression::of(CODECS[codec]));
    for (timestamp, key, value, headers) in records {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
        batch.append(*timestamp, key.as_deref(), value.as_deref(), &headers);
    }
    batch.build().to_vec()
}

proptest! {
    #[test]
    fn records_come_out_as_they_went_in(records in vec(record(), 1..20), codec in 0..CODECS.len()) {
        let bytes = build(&records, codec);
        let mut read = Vec::new();
        for_each_record_view(&bytes, &mut |view| {
            assert_eq!(view.offset, 5 + read.len() as i64);
            let headers = view.headers().map(|(name, value)| {
                (String::from_utf8(name.to_vec()).unwrap(), value.map(<[u8]>::to_vec))
            });
            let (key, value) = (view.key.map(<[u8]>::to_vec), view.value.map(<[u8]>::to_vec));
            read.push((view.timestamp, key, value, headers.collect::<Vec<_>>()));
            ControlFlow::Continue(())
        })
        .unwrap();
        prop_assert_eq!(&read, &records);
        let mut times = Vec::new();
        for_each_record(&bytes, &mut |offset, time| {
            times.push((offset, time));
            ControlFlow::Continue(())
        })
        .unwrap();
        prop_assert_eq!(times, (5..).zip(records.iter().map(|r| r.0)).collect::<Vec<_>>());
    }

    #[test]
    fn mutated_batches_never_panic(
        records in vec(record(), 1..8),
        codec in 0..CODECS.len(),
        magic in 0..3_i8,
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = build(&records, codec);
        if magic < 2 && let Ok(old) = down_convert(&bytes, magic, 0) {
            bytes = old.to_vec();
        }
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        for batch in batches(&bytes).flatten() {
            let mut seen = 0_usize;
            let _ = for_each_record_view(batch.bytes, &mut |view| {
                seen += 1 + view.headers().count();
                ControlFlow::Continue(())
            });
            let _ = for_each_record(batch.bytes, &mut |_, _| ControlFlow::Continue(()));
        }
        let _ = down_convert(&bytes, 0, 3);
        let _ = down_convert(&bytes, 1, 3);
    }
}
