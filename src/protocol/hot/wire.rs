//! The primitives both hot codecs are written with: a reader that cuts, a writer that knows which kind of length to use.

use bytes::{Buf, BufMut, BytesMut};
use kafka_protocol::protocol::StrBytes;

use super::{CurrentLeader, Malformed, NodeEndpoint};
use crate::protocol::guard;

const TAGGED_FIELDS_MAX: u32 = 64;
/// A leader's id and epoch and no tagged fields.
const CURRENT_LEADER_SIZE: u32 = 9;

/// What is read from. It gives out parts of itself: cut off if it owns its bytes, borrowed if not, copied never.
pub(super) trait Body: Buf {
    type Cut;
    type Text;

    /// Takes `length` bytes, which are there, off the front.
    fn cut(&mut self, length: usize) -> Self::Cut;

    /// `None` if it is not UTF-8.
    fn text(cut: Self::Cut) -> Option<Self::Text>;
}

impl Body for BytesMut {
    type Cut = BytesMut;
    type Text = StrBytes;

    fn cut(&mut self, length: usize) -> BytesMut {
        if length == 0 { BytesMut::new() } else { self.split_to(length) }
    }

    fn text(cut: BytesMut) -> Option<StrBytes> {
        StrBytes::from_utf8(cut.freeze()).ok()
    }
}

impl<'a> Body for &'a [u8] {
    type Cut = &'a [u8];
    type Text = &'a str;

    fn cut(&mut self, length: usize) -> &'a [u8] {
        let (cut, rest) = self.split_at(length);
        *self = rest;
        cut
    }

    fn text(cut: &'a [u8]) -> Option<&'a str> {
        std::str::from_utf8(cut).ok()
    }
}

/// Reads from the front of a body.
pub(super) struct Reader<B> {
    body: B,
    flexible: bool,
    /// What the decoded arrays may still take, in bytes.
    budget_left: usize,
}

impl<B: Body> Reader<B> {
    pub(super) fn new(body: B, flexible: bool) -> Self {
        let budget_left = guard::budget(body.remaining());
        Self { body, flexible, budget_left }
    }

    pub(super) fn i16(&mut self, name: &'static str) -> Result<i16, Malformed> {
        self.body.try_get_i16().map_err(|_| Malformed::Truncated(name))
    }

    pub(super) fn i32(&mut self, name: &'static str) -> Result<i32, Malformed> {
        self.body.try_get_i32().map_err(|_| Malformed::Truncated(name))
    }

    pub(super) fn i64(&mut self, name: &'static str) -> Result<i64, Malformed> {
        self.body.try_get_i64().map_err(|_| Malformed::Truncated(name))
    }

    pub(super) fn array<const N: usize>(&mut self, name: &'static str) -> Result<[u8; N], Malformed> {
        let mut found = [0; N];
        self.body.try_copy_to_slice(&mut found).map_err(|_| Malformed::Truncated(name))?;
        Ok(found)
    }

    pub(super) fn nullable_text(&mut self, name: &'static str) -> Result<Option<B::Text>, Malformed> {
        let length = if self.flexible { self.compact_length()? } else { length(self.i16(name)?.into(), name)? };
        let Some(length) = length else { return Ok(None) };
        // Compact lengths could say more, but Java's strings don't.
        if length > i16::MAX as usize {
            return Err(Malformed::Length(name));
        }
        B::text(self.cut(length, name)?).map(Some).ok_or(Malformed::Text(name))
    }

    pub(super) fn text(&mut self, name: &'static str) -> Result<B::Text, Malformed> {
        self.nullable_text(name)?.ok_or(Malformed::Length(name))
    }

    pub(super) fn nullable_bytes(&mut self, name: &'static str) -> Result<Option<B::Cut>, Malformed> {
        let length = if self.flexible { self.compact_length()? } else { length(self.i32(name)?, name)? };
        length.map(|length| self.cut(length, name)).transpose()
    }

    pub(super) fn bytes(&mut self, name: &'static str) -> Result<B::Cut, Malformed> {
        self.nullable_bytes(name)?.ok_or(Malformed::Length(name))
    }

    /// The count of an array whose elements take at least `wire` bytes here and `size` bytes decoded.
    pub(super) fn count(&mut self, wire: usize, size: usize, name: &'static str) -> Result<usize, Malformed> {
        let count = self.element_count(name)?.ok_or(Malformed::Length(name))?;
        self.admit(count, wire, size, name)
    }

    /// As [`count`](Self::count), 0 for null.
    pub(super) fn nullable_count(&mut self, wire: usize, size: usize, name: &'static str) -> Result<usize, Malformed> {
        let count = self.element_count(name)?.unwrap_or(0);
        self.admit(count, wire, size, name)
    }

    fn element_count(&mut self, name: &'static str) -> Result<Option<usize>, Malformed> {
        if self.flexible { self.compact_length() } else { length(self.i32(name)?, name) }
    }

    fn admit(&mut self, count: usize, wire: usize, size: usize, name: &'static str) -> Result<usize, Malformed> {
        if count.checked_mul(wire).is_none_or(|bytes| bytes > self.body.remaining()) {
            return Err(Malformed::Count(name));
        }
        self.budget_left = self.budget_left.checked_sub(count.saturating_mul(size)).ok_or(Malformed::Count(name))?;
        Ok(count)
    }

    /// Passes over the tagged fields at a structure's end.
    pub(super) fn end_structure(&mut self) -> Result<(), Malformed> {
        self.tagged_fields(|_, _| Ok(()))
    }

    /// Shows each tagged field at a structure's end to `seen`.
    pub(super) fn tagged_fields(
        &mut self,
        mut seen: impl FnMut(u32, B::Cut) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        if !self.flexible {
            return Ok(());
        }
        let count = self.unsigned_varint()?;
        if count > TAGGED_FIELDS_MAX {
            return Err(Malformed::TaggedFields);
        }
        for _ in 0..count {
            let tag = self.unsigned_varint()?;
            let size = self.unsigned_varint()? as usize;
            let field = self.cut(size, "a tagged field")?;
            seen(tag, field)?;
        }
        Ok(())
    }

    fn cut(&mut self, length: usize, name: &'static str) -> Result<B::Cut, Malformed> {
        if length <= self.body.remaining() { Ok(self.body.cut(length)) } else { Err(Malformed::Truncated(name)) }
    }

    fn compact_length(&mut self) -> Result<Option<usize>, Malformed> {
        Ok(self.unsigned_varint()?.checked_sub(1).map(|length| length as usize))
    }

    fn unsigned_varint(&mut self) -> Result<u32, Malformed> {
        let mut value = 0u32;
        for shift in (0..35).step_by(7) {
            let byte = self.body.try_get_u8().map_err(|_| Malformed::Truncated("a varint"))?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed::Varint)
    }
}

/// `None` for null.
fn length(length: i32, name: &'static str) -> Result<Option<usize>, Malformed> {
    match length {
        -1 => Ok(None),
        length => usize::try_from(length).map(Some).map_err(|_| Malformed::Length(name)),
    }
}

/// Writes a response body behind whatever `out` holds.
pub(super) struct Writer<'a> {
    pub(super) out: &'a mut BytesMut,
    pub(super) flexible: bool,
}

impl Writer<'_> {
    pub(super) fn count(&mut self, count: usize) {
        if self.flexible { self.unsigned_varint(count as u32 + 1) } else { self.out.put_i32(count as i32) }
    }

    /// The length of `records`, which follow elsewhere.
    pub(super) fn records_length(&mut self, length: usize) {
        self.count(length);
    }

    pub(super) fn text(&mut self, text: &str) {
        // Nothing longer than an int16 can come here: names came in with such a length, messages are ours.
        let text = &text[..text.floor_char_boundary(i16::MAX as usize)];
        if self.flexible {
            self.unsigned_varint(text.len() as u32 + 1)
        } else {
            self.out.put_i16(text.len() as i16)
        }
        self.out.put_slice(text.as_bytes());
    }

    pub(super) fn nullable_text(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.text(text),
            None if self.flexible => self.out.put_u8(0),
            None => self.out.put_i16(-1),
        }
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.out.put_slice(bytes);
    }

    pub(super) fn null_array(&mut self) {
        if self.flexible { self.out.put_u8(0) } else { self.out.put_i32(-1) }
    }

    /// The end of a structure without tagged fields of its own.
    pub(super) fn end_structure(&mut self) {
        if self.flexible {
            self.out.put_u8(0);
        }
    }

    pub(super) fn unsigned_varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.out.put_u8(value as u8 | 0x80);
            value >>= 7;
        }
        self.out.put_u8(value as u8);
    }

    pub(super) fn current_leader(&mut self, tag: u32, leader: CurrentLeader) {
        self.unsigned_varint(tag);
        self.unsigned_varint(CURRENT_LEADER_SIZE);
        self.out.put_i32(leader.leader_id);
        self.out.put_i32(leader.leader_epoch);
        self.end_structure();
    }

    /// The end of a response's body, whose only tagged field is 0, the endpoints, from the version that `known` says.
    pub(super) fn end_with_endpoints(&mut self, known: bool, endpoints: &[NodeEndpoint]) {
        if !known || endpoints.is_empty() {
            return self.end_structure();
        }
        let mut inner = BytesMut::new();
        let mut writer = Writer { out: &mut inner, flexible: true };
        writer.count(endpoints.len());
        for endpoint in endpoints {
            writer.out.put_i32(endpoint.node_id);
            writer.text(&endpoint.host);
            writer.out.put_i32(endpoint.port);
            writer.nullable_text(endpoint.rack.as_deref());
            writer.end_structure();
        }
        self.unsigned_varint(1);
        self.unsigned_varint(0);
        self.unsigned_varint(inner.len() as u32);
        self.out.put_slice(&inner);
    }
}
