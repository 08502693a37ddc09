//! A byte stream in, chunks out: sockets, `sendfile`. Knows nothing of what the bytes mean.

pub mod listener;
pub mod send;
mod sendfile;
pub mod stream;

pub use send::send;
pub use stream::Stream;
