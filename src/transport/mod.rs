//! A byte stream in, chunks out: sockets, `sendfile`. Knows nothing of what the bytes mean.
