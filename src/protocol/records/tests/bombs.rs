//! Payloads that promise or make more than they should.

use std::{io::Write, ops::ControlFlow};

use super::CODECS;
use crate::protocol::records::{
    RecordBatchBuilder,
    batch::CompressionType,
    compression::{Compression, CompressionError, Compressor, RecordStream, output_budget},
    iter::{for_each_record, for_each_record_view},
};

fn compressed(kind: CompressionType, size: usize) -> Vec<u8> {
    let mut out = Compressor::new(Compression::of(kind), bytes::BytesMut::new(), 2);
    let zeros = vec![0; 1 << 20];
    let mut left = size;
    while left > 0 {
        let count = left.min(zeros.len());
        out.write(&zeros[..count]);
        left -= count;
    }
    out.finish().to_vec()
}

fn skip_all(kind: CompressionType, payload: &[u8]) -> Result<u64, CompressionError> {
    let mut stream = RecordStream::new(kind, payload, 2)?;
    Ok(u64::MAX - stream.skip(u64::MAX)?)
}

#[test]
fn a_bomb_is_refused_at_its_budget() {
    for kind in [CompressionType::Gzip, CompressionType::Zstd, CompressionType::Lz4] {
        // As small as each codec makes of what is just too much.
        let payload = compressed(kind, 200 << 20);
        let budget = output_budget(payload.len());
        match skip_all(kind, &payload) {
            Err(CompressionError::OverBudget(at)) => assert_eq!(at, budget),
            // lz4 reaches 255 : 1 at most: within the ratio that is allowed.
            other => assert_eq!((kind, other), (CompressionType::Lz4, Ok(200 << 20))),
        }
    }
}

#[test]
fn what_fits_the_budget_unpacks_whole() {
    for kind in CODECS {
        assert_eq!(skip_all(kind, &compressed(kind, 3 << 20)), Ok(3 << 20), "{kind:?}");
    }
}

#[test]
fn forged_sizes_fail_without_room_being_made_for_them() {
    let mut xerial = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01".to_vec();
    for chunk in [0x7fff_ffff_u32, 0xffff_ffff, 0x8000_0000] {
        xerial.truncate(16);
        xerial.extend_from_slice(&chunk.to_be_bytes());
        xerial.extend_from_slice(b"abc");
        assert!(skip_all(CompressionType::Snappy, &xerial).is_err(), "{chunk:x}");
    }
    // A raw block that claims 4 GB.
    assert!(skip_all(CompressionType::Snappy, &[0xff, 0xff, 0xff, 0xff, 0x0f, 0x00, 0x61]).is_err());

    // lz4 with a content size of 2⁶³: passed over, the blocks count.
    let mut lz4 = vec![0x04, 0x22, 0x4d, 0x18, 0x68, 0x70];
    lz4.extend_from_slice(&(1_u64 << 63).to_le_bytes());
    lz4.push(0);
    lz4.extend_from_slice(&[0x03, 0, 0, 0x80, b'a', b'b', b'c', 0, 0, 0, 0]);
    let mut stream = RecordStream::new(CompressionType::Lz4, &lz4, 0).unwrap();
    let mut out = Vec::new();
    assert_eq!(stream.read_into(&mut out, 3), Ok(0));
    assert_eq!((&out[..], stream.is_at_end()), (&b"abc"[..], Ok(true)));
    drop(stream);
    // Linked blocks: Java refuses them too.
    lz4[4] = 0x48;
    assert!(RecordStream::new(CompressionType::Lz4, &lz4, 0).is_err());

    // zstd with a window of 2³¹.
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(31).unwrap();
    encoder.write_all(&[0; 1 << 16]).unwrap();
    let payload = encoder.finish().unwrap();
    assert!(skip_all(CompressionType::Zstd, &payload).is_err());
}

#[test]
fn streams_one_after_another_are_one() {
    for kind in [CompressionType::Gzip, CompressionType::Snappy, CompressionType::Zstd] {
        let mut twice = compressed(kind, 1_000);
        twice.extend_from_slice(&compressed(kind, 500));
        assert_eq!(skip_all(kind, &twice), Ok(1_500), "{kind:?}");
    }
}

#[test]
fn every_cut_of_a_stream_is_an_error_or_less_output() {
    for kind in CODECS {
        let whole = compressed(kind, 100_000);
        for cut in (0..whole.len()).step_by(whole.len().div_ceil(200)) {
            if let Ok(read) = skip_all(kind, &whole[..cut]) {
                assert!(read < 100_000, "{kind:?} cut at {cut}");
            }
        }
    }
}

#[test]
fn snappy_without_a_header_is_one_raw_block() {
    let raw = snap::raw::Encoder::new().compress_vec(&[7; 100_000]).unwrap();
    assert_eq!(skip_all(CompressionType::Snappy, &raw), Ok(100_000));
}

#[test]
fn a_record_that_claims_more_than_the_batch_has_is_an_error() {
    for kind in CODECS {
        let mut batch = RecordBatchBuilder::new(0).compression(Compression::of(kind));
        batch.append(1, Some(b"k"), Some(b"v"), &[]);
        let good = batch.build();
        // The same header over a payload whose record claims 2 GB.
        let mut payload = Compressor::new(Compression::of(kind), bytes::BytesMut::from(&good[..61]), 2);
        payload.write(&[0xfe, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 1]);
        let mut forged = payload.finish();
        let length = forged.len() as u32 - 12;
        forged[8..12].copy_from_slice(&length.to_be_bytes());
        assert!(for_each_record(&forged, &mut |_, _| ControlFlow::Continue(())).is_err(), "{kind:?}");
        assert!(for_each_record_view(&forged, &mut |_| ControlFlow::Continue(())).is_err(), "{kind:?}");
    }
}
