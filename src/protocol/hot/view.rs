//! Reads a body that stays where it is: texts and blobs are borrowed. For requests that leave nothing behind.

use super::{
    Malformed,
    wire::{TAGGED_FIELDS_MAX, length},
};
use crate::protocol::guard;

pub(super) struct View<'a> {
    rest: &'a [u8],
    flexible: bool,
    /// What the decoded arrays may still take, in bytes.
    budget_left: usize,
}

impl<'a> View<'a> {
    pub(super) fn new(body: &'a [u8], flexible: bool) -> Self {
        Self { rest: body, flexible, budget_left: guard::budget(body.len()) }
    }

    pub(super) fn i32(&mut self, name: &'static str) -> Result<i32, Malformed> {
        self.array().map(i32::from_be_bytes).ok_or(Malformed::Truncated(name))
    }

    pub(super) fn nullable_text(&mut self, name: &'static str) -> Result<Option<&'a str>, Malformed> {
        let length = if self.flexible { self.compact_length()? } else { length(self.i16(name)?.into(), name)? };
        let Some(length) = length else { return Ok(None) };
        // Compact lengths could say more, but Java's strings don't.
        if length > i16::MAX as usize {
            return Err(Malformed::Length(name));
        }
        std::str::from_utf8(self.cut(length, name)?).map(Some).map_err(|_| Malformed::Text(name))
    }

    pub(super) fn text(&mut self, name: &'static str) -> Result<&'a str, Malformed> {
        self.nullable_text(name)?.ok_or(Malformed::Length(name))
    }

    pub(super) fn bytes(&mut self, name: &'static str) -> Result<&'a [u8], Malformed> {
        let length = if self.flexible { self.compact_length()? } else { length(self.i32(name)?, name)? };
        self.cut(length.ok_or(Malformed::Length(name))?, name)
    }

    /// The count of an array whose elements take at least `wire` bytes here and `size` bytes decoded.
    pub(super) fn count(&mut self, wire: usize, size: usize, name: &'static str) -> Result<usize, Malformed> {
        let count = if self.flexible { self.compact_length()? } else { length(self.i32(name)?, name)? };
        let count = count.ok_or(Malformed::Length(name))?;
        if count.checked_mul(wire).is_none_or(|bytes| bytes > self.rest.len()) {
            return Err(Malformed::Count(name));
        }
        self.budget_left = self.budget_left.checked_sub(count.saturating_mul(size)).ok_or(Malformed::Count(name))?;
        Ok(count)
    }

    /// Passes over the tagged fields at a structure's end.
    pub(super) fn end_structure(&mut self) -> Result<(), Malformed> {
        if !self.flexible {
            return Ok(());
        }
        let count = self.unsigned_varint()?;
        if count > TAGGED_FIELDS_MAX {
            return Err(Malformed::TaggedFields);
        }
        for _ in 0..count {
            self.unsigned_varint()?;
            let size = self.unsigned_varint()? as usize;
            self.cut(size, "a tagged field")?;
        }
        Ok(())
    }

    fn i16(&mut self, name: &'static str) -> Result<i16, Malformed> {
        self.array().map(i16::from_be_bytes).ok_or(Malformed::Truncated(name))
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (found, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*found)
    }

    fn cut(&mut self, length: usize, name: &'static str) -> Result<&'a [u8], Malformed> {
        let (cut, rest) = self.rest.split_at_checked(length).ok_or(Malformed::Truncated(name))?;
        self.rest = rest;
        Ok(cut)
    }

    fn compact_length(&mut self) -> Result<Option<usize>, Malformed> {
        Ok(self.unsigned_varint()?.checked_sub(1).map(|length| length as usize))
    }

    fn unsigned_varint(&mut self) -> Result<u32, Malformed> {
        let mut value = 0u32;
        for shift in (0..35).step_by(7) {
            let [byte] = self.array().ok_or(Malformed::Truncated("a varint"))?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed::Varint)
    }
}
