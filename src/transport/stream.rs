//! The two kinds of stream: a TCP socket, which can be given files, and anything else, which cannot.

use std::{
    io,
    pin::pin,
    task::{Context, Poll},
};

use bytes::{BufMut, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite},
    net::TcpStream,
};

/// What a stream without a descriptor of its own must do (in-memory pipes of tests; TLS).
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Duplex for T {}

/// A connected byte stream.
pub enum Stream {
    Tcp(TcpStream),
    Other(Box<dyn Duplex>),
}

impl Stream {
    #[must_use]
    pub fn is_socket(&self) -> bool {
        matches!(self, Stream::Tcp(_))
    }

    /// Ready when a read is worth trying, so that a waiting connection needs no buffer. Streams other than sockets
    /// cannot tell and are always ready.
    pub fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Tcp(stream) => stream.poll_read_ready(context),
            Stream::Other(_) => Poll::Ready(Ok(())),
        }
    }

    /// Reads at most `limit` bytes behind what `buffer` holds, into room it already has if it has any. Nothing is
    /// zeroed. `Ok(0)` is the end of the stream.
    pub fn poll_read_into(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut BytesMut,
        limit: usize,
    ) -> Poll<io::Result<usize>> {
        // `read_buf` rather than `try_read_buf`: a read that does not fill the buffer then clears the readiness, and the
        // next poll does not cost a system call that finds nothing.
        let mut room = buffer.limit(limit);
        match self {
            Stream::Tcp(stream) => pin!(stream.read_buf(&mut room)).poll(context),
            Stream::Other(stream) => pin!(stream.read_buf(&mut room)).poll(context),
        }
    }
}
