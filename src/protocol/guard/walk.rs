//! The walk over one body. Reads exactly what the message crate's decoder reads, and keeps nothing.

use super::{
    UNKNOWN_TAG_SIZE, UNKNOWN_TAGS_MAX, budget,
    shape::{Field, Kind, Shape},
};

/// What is wrong with a body, and where.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("cut short at {0}")]
    Truncated(&'static str),
    #[error("negative length {length} of {field}")]
    Negative { field: &'static str, length: i64 },
    #[error("null where {0} must not be")]
    Null(&'static str),
    #[error("{field} claims {count} elements, only {left} bytes are left")]
    Count { field: &'static str, count: usize, left: usize },
    #[error("decoding would take more than the {0} bytes allowed for a request of this size")]
    Budget(usize),
    #[error("more than {UNKNOWN_TAGS_MAX} unknown tagged fields")]
    UnknownTags,
    #[error("tagged field {0} is not as long as it says")]
    TagSize(&'static str),
    #[error("a varint is longer than five bytes")]
    Varint,
}

pub(super) struct Walk<'a> {
    rest: &'a [u8],
    fields: &'static [Field],
    version: i16,
    flexible: bool,
    allowed: usize,
    budget_left: usize,
}

impl<'a> Walk<'a> {
    pub(super) fn new(shape: &'static Shape, version: i16, body: &'a [u8]) -> Self {
        let allowed = budget(body.len());
        let flexible = version >= shape.flexible;
        Self { rest: body, fields: shape.fields, version, flexible, allowed, budget_left: allowed }
    }

    pub(super) fn run(mut self) -> Result<(), Fault> {
        self.structure(self.fields)
    }

    /// As [`Walk::run`], giving the bytes after the message.
    #[cfg(test)]
    pub(super) fn run_to_rest(mut self) -> Result<&'a [u8], Fault> {
        self.structure(self.fields)?;
        Ok(self.rest)
    }

    fn structure(&mut self, fields: &'static [Field]) -> Result<(), Fault> {
        for field in fields {
            if field.tag < 0 && field.exists_in(self.version) {
                self.value(&field.kind, field.name, field.nullable_since <= self.version)?;
            }
        }
        if self.flexible { self.tagged(fields) } else { Ok(()) }
    }

    fn value(&mut self, kind: &'static Kind, name: &'static str, nullable: bool) -> Result<(), Fault> {
        match kind {
            Kind::Fixed(bytes) => self.skip(usize::from(*bytes), name),
            Kind::Text | Kind::Blob => {
                let length = if self.flexible {
                    self.compact_length(name, nullable)?
                } else if matches!(kind, Kind::Text) {
                    let length = i64::from(i16::from_be_bytes(self.take(name)?));
                    plain_length(length, name, nullable)?
                } else {
                    let length = i64::from(i32::from_be_bytes(self.take(name)?));
                    plain_length(length, name, nullable)?
                };
                self.skip(length.unwrap_or(0), name)
            }
            Kind::Struct(fields) => self.structure(fields),
            Kind::Array { element, size } => {
                let count = if self.flexible {
                    self.compact_length(name, nullable)?
                } else {
                    plain_length(i64::from(i32::from_be_bytes(self.take(name)?)), name, nullable)?
                };
                self.elements(element, *size, count.unwrap_or(0), name)
            }
        }
    }

    fn elements(&mut self, element: &'static Kind, size: usize, count: usize, name: &'static str) -> Result<(), Fault> {
        let wire = element.least_wire_size(self.version, self.flexible);
        if count.checked_mul(wire.max(1)).is_none_or(|bytes| bytes > self.rest.len()) {
            return Err(Fault::Count { field: name, count, left: self.rest.len() });
        }
        self.charge(count.saturating_mul(size))?;
        if let Kind::Fixed(bytes) = element {
            return self.skip(count * usize::from(*bytes), name);
        }
        for _ in 0..count {
            self.value(element, name, false)?;
        }
        Ok(())
    }

    fn tagged(&mut self, fields: &'static [Field]) -> Result<(), Fault> {
        let count = self.unsigned_varint("tagged fields")?;
        let mut unknown = 0;
        for _ in 0..count {
            let tag = self.unsigned_varint("tag")?;
            let size = self.unsigned_varint("tag size")? as usize;
            let known = fields.iter().find(|f| f.tag >= 0 && f.tag as u32 == tag && f.exists_in(self.version));
            let Some(field) = known else {
                unknown += 1;
                if unknown > UNKNOWN_TAGS_MAX {
                    return Err(Fault::UnknownTags);
                }
                self.charge(UNKNOWN_TAG_SIZE)?;
                self.skip(size, "an unknown tagged field")?;
                continue;
            };
            let before = self.rest.len();
            self.value(&field.kind, field.name, field.nullable_since <= self.version)?;
            if before - self.rest.len() != size {
                return Err(Fault::TagSize(field.name));
            }
        }
        Ok(())
    }

    fn charge(&mut self, bytes: usize) -> Result<(), Fault> {
        self.budget_left = self.budget_left.checked_sub(bytes).ok_or(Fault::Budget(self.allowed))?;
        Ok(())
    }

    fn skip(&mut self, bytes: usize, name: &'static str) -> Result<(), Fault> {
        self.rest = self.rest.get(bytes..).ok_or(Fault::Truncated(name))?;
        Ok(())
    }

    fn take<const N: usize>(&mut self, name: &'static str) -> Result<[u8; N], Fault> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(Fault::Truncated(name))?;
        self.rest = rest;
        Ok(*head)
    }

    /// `None` for null.
    fn compact_length(&mut self, name: &'static str, nullable: bool) -> Result<Option<usize>, Fault> {
        match self.unsigned_varint(name)?.checked_sub(1) {
            Some(length) => Ok(Some(length as usize)),
            None if nullable => Ok(None),
            None => Err(Fault::Null(name)),
        }
    }

    fn unsigned_varint(&mut self, name: &'static str) -> Result<u32, Fault> {
        let mut value = 0u32;
        for (at, byte) in self.rest.iter().take(5).enumerate() {
            value |= u32::from(byte & 0x7f) << (7 * at);
            if byte & 0x80 == 0 {
                self.rest = &self.rest[at + 1..];
                return Ok(value);
            }
        }
        Err(if self.rest.len() < 5 { Fault::Truncated(name) } else { Fault::Varint })
    }
}

fn plain_length(length: i64, field: &'static str, nullable: bool) -> Result<Option<usize>, Fault> {
    match usize::try_from(length) {
        Ok(length) => Ok(Some(length)),
        Err(_) if length == -1 && nullable => Ok(None),
        Err(_) if length == -1 => Err(Fault::Null(field)),
        Err(_) => Err(Fault::Negative { field, length }),
    }
}
