//! A produce request's records, from the checks of the request to what the log would write and consumers would get.
//!
//! The first byte chooses the topic's settings. The codec and magic come from the batch itself, and checksums are
//! made right, so that mutations reach every codec. Seeds: `compat-tests/golden/records`.
//!
//! `cargo +nightly fuzz run record_batch -- -rss_limit_mb=512 -malloc_limit_mb=192`

#![no_main]

use std::ops::ControlFlow;

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use monedula::{
    common::TopicPartition,
    config::topic::{BrokerCompression, LogConfig},
    protocol::records::{
        batch::{BatchHeader, CompressionType, TimestampType, is_crc_valid, update_crc},
        compression::RecordStream,
        convert::down_convert,
        iter::{batches, for_each_record, for_each_record_view},
        produce::check_produce_records,
    },
    storage::{
        AppendOrigin,
        log::validate::{ValidationParams, validate_and_assign},
    },
};

fuzz_target!(|data: &[u8]| {
    let Some((&choice, data)) = data.split_first() else { return };
    if choice & 0x80 != 0 {
        // A payload as such.
        let kind = CompressionType::from_id(choice & 7).unwrap_or(CompressionType::None);
        if let Ok(mut stream) = RecordStream::new(kind, data, (choice >> 3 & 1) as i8) {
            let _ = stream.skip(u64::MAX);
        }
        return;
    }
    let mut records = BytesMut::from(data);
    if let Ok(header) = BatchHeader::parse(&records)
        && header.magic == 2
        && header.size == records.len()
    {
        update_crc(&mut records);
    }
    let _ = check_produce_records(9, &records);
    read(&records);
    validate(records, choice);
});

fn read(records: &[u8]) {
    for batch in batches(records).flatten() {
        let _ = for_each_record(batch.bytes, &mut |_, _| ControlFlow::Continue(()));
        let _ = for_each_record_view(batch.bytes, &mut |view| {
            view.headers().for_each(drop);
            ControlFlow::Continue(())
        });
    }
    let _ = down_convert(records, 0, 1);
    let _ = down_convert(records, 1, 1);
}

fn validate(records: BytesMut, choice: u8) {
    let topic_partition = TopicPartition::new("fuzz", 0);
    let config = LogConfig {
        compression: [BrokerCompression::Producer, BrokerCompression::Uncompressed, BrokerCompression::Lz4]
            [usize::from(choice & 3) % 3],
        message_timestamp_type: if choice & 4 == 0 { TimestampType::CreateTime } else { TimestampType::LogAppendTime },
        cleanup_compact: choice & 8 != 0,
        ..LogConfig::default()
    };
    let params = ValidationParams {
        topic_partition: &topic_partition,
        config: &config,
        origin: if choice & 16 == 0 { AppendOrigin::Client } else { AppendOrigin::Coordinator },
        leader_epoch: 1,
        now: 1_000_000,
        first_offset: 100,
    };
    let Ok(done) = validate_and_assign(records, &params) else { return };
    if params.origin != AppendOrigin::Client {
        // Coordinators' headers are trusted.
        return;
    }
    // What was accepted must read back, with the offsets that were promised.
    let mut next = 100;
    for batch in batches(&done.records) {
        let batch = batch.expect("a batch that was accepted");
        // Checksums of old formats are the caller's to check, but what comes out is magic 2 and ours.
        assert!(batch.header.magic == 2 && is_crc_valid(&batch.header, batch.bytes));
        for_each_record_view(batch.bytes, &mut |view| {
            assert_eq!(view.offset, next);
            next += 1;
            ControlFlow::Continue(())
        })
        .expect("records that were accepted");
    }
    assert_eq!(next, done.last_offset + 1);
}
