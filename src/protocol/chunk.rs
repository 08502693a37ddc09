//! What a response is made of: bytes we hold, and file regions nobody has read (class `SendBuilder`).
//!
//! Only `storage` makes a [`FileRegion`], only `transport` spends one; the rooms between carry it unopened.

use std::{fs::File, sync::Arc};

use bytes::Bytes;

/// `length` bytes of `file` from `position`: a slice of a segment, to be sent with `sendfile` or, where there is no
/// descriptor to send to, read and written.
#[derive(Clone, Debug)]
pub struct FileRegion {
    pub file: Arc<File>,
    pub position: u64,
    pub length: usize,
}

/// A piece of a response, in wire order.
#[derive(Clone, Debug)]
pub enum Chunk {
    Bytes(Bytes),
    File(FileRegion),
}

impl Chunk {
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Chunk::Bytes(bytes) => bytes.len(),
            Chunk::File(region) => region.length,
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Records on their way to a client or follower: nothing, bytes in memory (down-converted), or a file region.
#[derive(Clone, Debug, Default)]
pub enum Records {
    #[default]
    Empty,
    Memory(Bytes),
    File(FileRegion),
}

impl Records {
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Records::Empty => 0,
            Records::Memory(bytes) => bytes.len(),
            Records::File(region) => region.length,
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
