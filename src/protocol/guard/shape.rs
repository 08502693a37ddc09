//! The small language in which the shapes of requests are written down.

use kafka_protocol::protocol::StrBytes;

/// Stands for "no version is flexible".
pub(super) const NEVER: i16 = i16::MAX;
/// What a decoded string or byte slice takes in an array.
pub(super) const TEXT_SIZE: usize = size_of::<StrBytes>();

/// One API's request in all its versions, from 0 to `versions`.
pub(super) struct Shape {
    pub(super) key: i16,
    pub(super) name: &'static str,
    pub(super) versions: i16,
    /// First version with compact lengths and tagged fields.
    pub(super) flexible: i16,
    pub(super) fields: &'static [Field],
}

/// One field, in wire order.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// Versions it exists in, both ends inclusive.
    pub(super) since: i16,
    pub(super) until: i16,
    pub(super) nullable_since: i16,
    /// Its tag if it travels among the tagged fields, else −1.
    pub(super) tag: i16,
}

pub(super) enum Kind {
    /// So many bytes, whatever they mean.
    Fixed(u8),
    Text,
    /// `bytes` and `records`.
    Blob,
    Struct(&'static [Field]),
    Array {
        element: &'static Kind,
        /// What one decoded element takes in memory, in bytes, without what it points to.
        size: usize,
    },
}

pub(super) const fn f(name: &'static str, kind: Kind, since: i16, until: i16) -> Field {
    Field { name, kind, since, until, nullable_since: NEVER, tag: -1 }
}

pub(super) const fn array(element: &'static Kind, size: usize) -> Kind {
    Kind::Array { element, size }
}

impl Field {
    pub(super) const fn nullable(self, since: i16) -> Self {
        Self { nullable_since: since, ..self }
    }

    pub(super) const fn tagged(self, tag: i16) -> Self {
        Self { tag, ..self }
    }

    pub(super) fn exists_in(&self, version: i16) -> bool {
        self.since <= version && version <= self.until
    }
}

impl Kind {
    /// Fewest bytes a value takes on the wire. One level deep is enough to bound a count.
    pub(super) fn least_wire_size(&self, version: i16, flexible: bool) -> usize {
        match self {
            Kind::Fixed(bytes) => usize::from(*bytes),
            Kind::Text => {
                if flexible {
                    1
                } else {
                    2
                }
            }
            Kind::Blob | Kind::Array { .. } => {
                if flexible {
                    1
                } else {
                    4
                }
            }
            Kind::Struct(fields) => {
                let present = fields.iter().filter(|field| field.tag < 0 && field.exists_in(version));
                let bytes: usize = present.map(|field| field.kind.least_wire_size(version, flexible)).sum();
                bytes + usize::from(flexible)
            }
        }
    }
}
