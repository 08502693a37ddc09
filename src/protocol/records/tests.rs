//! Stories about records, batches and codecs.

mod bombs;
mod convert;
mod golden;
mod random;

use std::{fmt::Write as _, ops::ControlFlow};

use super::{
    batch::{self, CompressionType, TimestampType},
    iter::{batches, try_for_each_view},
};

pub(super) const CODECS: [CompressionType; 5] = [
    CompressionType::None,
    CompressionType::Gzip,
    CompressionType::Snappy,
    CompressionType::Lz4,
    CompressionType::Zstd,
];

/// The text that `compat-tests/java/GoldenRecords.java` makes of the same bytes.
pub(super) fn dump(bytes: &[u8]) -> String {
    let mut out = String::new();
    for batch in batches(bytes) {
        let batch = batch.unwrap();
        let header = &batch.header;
        assert!(batch::is_crc_valid(header, batch.bytes), "checksum");
        let kind = if header.timestamp_type() == TimestampType::LogAppendTime { "append" } else { "create" };
        let codec = header.attributes & 7;
        let (last, max) = (header.last_offset(), header.max_timestamp);
        write!(out, "batch magic={} codec={codec} last={last} type={kind} max={max}", header.magic).unwrap();
        if header.magic == 2 {
            write!(
                out,
                " base={} count={} pid={} epoch={} seq={}..{} txn={} control={} leader={}",
                header.base_offset,
                header.record_count,
                header.producer_id,
                header.producer_epoch,
                header.base_sequence,
                header.last_sequence(),
                header.is_transactional(),
                header.is_control(),
                header.leader_epoch
            )
            .unwrap();
        }
        out.push('\n');
        try_for_each_view(batch.bytes, &mut |record| {
            let (key, value) = (show(record.key), show(record.value));
            write!(out, "  {} @{} {key} = {value}", record.offset, record.timestamp).unwrap();
            for (name, value) in record.headers() {
                write!(out, " [{}: {}]", show(Some(name)), show(value)).unwrap();
            }
            out.push('\n');
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
    }
    out
}

fn show(bytes: Option<&[u8]>) -> String {
    let Some(bytes) = bytes else { return "null".into() };
    if bytes.len() > 40 {
        return format!("{}#{:08x}", bytes.len(), crc32fast::hash(bytes));
    }
    bytes.iter().fold("x".into(), |out, byte| format!("{out}{byte:02x}"))
}
