//! Writes batches of magic 2 (class `MemoryRecordsBuilder`).
//!
//! ```
//! use monedula::protocol::records::{RecordBatchBuilder, iter::for_each_record_view};
//!
//! let mut batch = RecordBatchBuilder::new(0);
//! batch.append(1_000, Some(b"group"), Some(b"state"), &[]);
//! batch.append(1_001, Some(b"gone"), None, &[("why", Some(b"tombstone"))]);
//! let bytes = batch.build();
//!
//! let mut keys = Vec::new();
//! for_each_record_view(&bytes, &mut |record| {
//!     keys.push((record.offset, record.key.map(<[u8]>::to_vec)));
//!     std::ops::ControlFlow::Continue(())
//! })?;
//! assert_eq!(keys, [(0, Some(b"group".to_vec())), (1, Some(b"gone".to_vec()))]);
//! # Ok::<(), String>(())
//! ```

use bytes::{BufMut, BytesMut};

use super::{
    batch::{BATCH_OVERHEAD_V2, LOG_OVERHEAD},
    compression::{Compression, Compressor},
    varint::{MAX_VARINT, MAX_VARLONG, put_varint, put_varlong, size_of_varint, size_of_varlong},
    view::RecordView,
};
use crate::common::{
    LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp,
    ids::{NO_LEADER_EPOCH, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE, NO_TIMESTAMP},
};

/// One batch in the making. Set what differs from a plain uncompressed batch first, then append.
pub struct RecordBatchBuilder {
    /// Begins with the first record.
    out: Option<Compressor>,
    compression: Compression,
    base_offset: Offset,
    last_offset: Offset,
    count: i32,
    base_timestamp: Timestamp,
    max_timestamp: Timestamp,
    append_time: Option<Timestamp>,
    /// Stands in for the base timestamp (KIP-534).
    delete_horizon: Option<Timestamp>,
    /// Set where the batch must end later than its last record: compaction.
    last_offset_kept: Option<Offset>,
    leader_epoch: LeaderEpoch,
    producer_id: ProducerId,
    producer_epoch: ProducerEpoch,
    base_sequence: i32,
    is_transactional: bool,
    is_control: bool,
    /// Fields of the record being written, reused.
    head: Vec<u8>,
}

impl RecordBatchBuilder {
    /// Leaders give offsets when they append, so coordinators begin at 0.
    #[must_use]
    pub fn new(base_offset: Offset) -> Self {
        Self {
            out: None,
            compression: Compression::NONE,
            base_offset,
            last_offset: base_offset.wrapping_sub(1),
            count: 0,
            base_timestamp: NO_TIMESTAMP,
            max_timestamp: NO_TIMESTAMP,
            append_time: None,
            delete_horizon: None,
            last_offset_kept: None,
            leader_epoch: NO_LEADER_EPOCH,
            producer_id: NO_PRODUCER_ID,
            producer_epoch: NO_PRODUCER_EPOCH,
            base_sequence: NO_SEQUENCE,
            is_transactional: false,
            is_control: false,
            head: Vec::new(),
        }
    }

    /// No effect once records are in.
    #[must_use]
    pub const fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    #[must_use]
    pub const fn producer(mut self, id: ProducerId, epoch: ProducerEpoch, base_sequence: i32) -> Self {
        self.producer_id = id;
        self.producer_epoch = epoch;
        self.base_sequence = base_sequence;
        self
    }

    #[must_use]
    pub const fn transactional(mut self, yes: bool) -> Self {
        self.is_transactional = yes;
        self
    }

    #[must_use]
    pub const fn control(mut self, yes: bool) -> Self {
        self.is_control = yes;
        self
    }

    #[must_use]
    pub const fn leader_epoch(mut self, epoch: LeaderEpoch) -> Self {
        self.leader_epoch = epoch;
        self
    }

    /// Marks the batch LogAppendTime: every record's time is `time`.
    #[must_use]
    pub const fn log_append_time(mut self, time: Timestamp) -> Self {
        self.append_time = Some(time);
        self
    }

    /// Marks the batch as one whose tombstones or markers may go after `time` (KIP-534).
    #[must_use]
    pub const fn delete_horizon(mut self, time: Timestamp) -> Self {
        self.delete_horizon = Some(time);
        self.base_timestamp = time;
        self
    }

    /// The batch's last offset, whatever its last record is: its sequence numbers go on from there.
    #[must_use]
    pub const fn last_offset(mut self, offset: Offset) -> Self {
        self.last_offset_kept = Some(offset);
        self
    }

    /// Adds a record at the next offset.
    pub fn append(
        &mut self,
        timestamp: Timestamp,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&str, Option<&[u8]>)],
    ) {
        let headers = headers.iter().map(|(name, value)| (name.as_bytes(), *value));
        self.append_with_offset(self.last_offset.wrapping_add(1), timestamp, key, value, headers);
    }

    /// Adds a copy of a record at `offset`.
    pub fn append_view(&mut self, offset: Offset, record: &RecordView<'_>) {
        self.append_with_offset(offset, record.timestamp, record.key, record.value, record.headers());
    }

    /// Adds a record at `offset`, which must not go back and not be 2³¹ past the base.
    pub fn append_with_offset<'h>(
        &mut self,
        offset: Offset,
        timestamp: Timestamp,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: impl Iterator<Item = (&'h [u8], Option<&'h [u8]>)> + Clone,
    ) {
        if self.count == 0 && self.delete_horizon.is_none() {
            self.base_timestamp = timestamp;
        }
        let timestamp_delta = timestamp.wrapping_sub(self.base_timestamp);
        let offset_delta = offset.wrapping_sub(self.base_offset) as i32;
        let mut header_count = 0;
        let mut header_bytes = 0;
        for (name, value) in headers.clone() {
            header_count += 1;
            header_bytes += size_of_bytes(Some(name)) + size_of_bytes(value);
        }
        let body = 1
            + size_of_varlong(timestamp_delta)
            + size_of_varint(offset_delta)
            + size_of_bytes(key)
            + size_of_bytes(value)
            + size_of_varint(header_count)
            + header_bytes;

        let mut head = std::mem::take(&mut self.head);
        head.clear();
        head.reserve(2 * MAX_VARINT + MAX_VARLONG + 1);
        put_varint(&mut head, body as i32);
        head.put_u8(0);
        put_varlong(&mut head, timestamp_delta);
        put_varint(&mut head, offset_delta);
        let out = self.compressor();
        put_bytes(out, &mut head, key);
        put_bytes(out, &mut head, value);
        put_varint(&mut head, header_count);
        for (name, value) in headers {
            put_bytes(out, &mut head, Some(name));
            put_bytes(out, &mut head, value);
        }
        out.write(&head);
        self.head = head;

        self.count += 1;
        self.last_offset = offset;
        self.max_timestamp = self.max_timestamp.max(timestamp);
    }

    /// Records appended.
    #[must_use]
    pub const fn count(&self) -> i32 {
        self.count
    }

    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Greatest timestamp among the records, −1 for none.
    #[must_use]
    pub const fn max_timestamp(&self) -> Timestamp {
        self.max_timestamp
    }

    /// Bytes the batch holds by now, with its header; compression holds back up to a block.
    #[must_use]
    pub fn size(&self) -> usize {
        self.out.as_ref().map_or(BATCH_OVERHEAD_V2, Compressor::compressed_len)
    }

    /// Bytes of the records before compression.
    #[must_use]
    pub fn uncompressed_bytes(&self) -> usize {
        self.out.as_ref().map_or(0, Compressor::uncompressed_bytes)
    }

    /// The batch, checksummed. Empty bytes if no record was appended.
    #[must_use]
    pub fn build(mut self) -> BytesMut {
        let Some(out) = self.out.take() else { return BytesMut::new() };
        let codec = out.kind();
        let mut batch = out.finish();
        let mut attributes = codec as i16;
        if self.append_time.is_some() {
            attributes |= 0x08;
        }
        if self.is_transactional {
            attributes |= 0x10;
        }
        if self.is_control {
            attributes |= 0x20;
        }
        if self.delete_horizon.is_some() {
            attributes |= 0x40;
        }
        let last_offset = self.last_offset_kept.unwrap_or(self.last_offset);
        let length = batch.len() - LOG_OVERHEAD;
        let mut head = &mut batch[..BATCH_OVERHEAD_V2];
        head.put_i64(self.base_offset);
        head.put_i32(length as i32);
        head.put_i32(self.leader_epoch);
        head.put_i8(2);
        head.put_u32(0);
        head.put_i16(attributes);
        head.put_i32(last_offset.wrapping_sub(self.base_offset) as i32);
        head.put_i64(self.base_timestamp);
        head.put_i64(self.append_time.unwrap_or(self.max_timestamp));
        head.put_i64(self.producer_id);
        head.put_i16(self.producer_epoch);
        head.put_i32(self.base_sequence);
        head.put_i32(self.count);
        super::batch::update_crc(&mut batch);
        batch
    }

    fn compressor(&mut self) -> &mut Compressor {
        let compression = self.compression;
        self.out.get_or_insert_with(|| {
            let mut out = BytesMut::with_capacity(512);
            out.put_bytes(0, BATCH_OVERHEAD_V2);
            Compressor::new(compression, out, 2)
        })
    }
}

fn size_of_bytes(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(1, |bytes| size_of_varint(bytes.len() as i32) + bytes.len())
}

/// Gathers small fields in `head`, and hands them on before bytes that are not worth copying twice.
fn put_bytes(out: &mut Compressor, head: &mut Vec<u8>, bytes: Option<&[u8]>) {
    const SMALL: usize = 64;
    let Some(bytes) = bytes else { return put_varint(head, -1) };
    put_varint(head, bytes.len() as i32);
    if bytes.len() <= SMALL {
        head.extend_from_slice(bytes);
        return;
    }
    out.write(head);
    out.write(bytes);
    head.clear();
}
