//! Bytes ↔ messages: frames, headers, the guard before the message crate, record batches, the hot paths' own codecs.
//! Knows nothing of sockets, files' contents or brokers.

pub mod chunk;
pub mod consumer_protocol;
pub mod frame;
pub mod guard;
pub mod header;
pub mod hot;
pub mod records;
