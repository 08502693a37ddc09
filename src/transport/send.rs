//! Chunks on their way out (classes `SendBuilder`, `PlaintextTransportLayer`).

use std::{collections::VecDeque, io};

use bytes::{Buf, Bytes};
use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};
use smallvec::SmallVec;
use tokio::{
    io::{AsyncWriteExt, Interest},
    net::TcpStream,
};

use super::{Stream, sendfile};
use crate::protocol::chunk::Chunk;

/// Pieces given to one system call; more than enough to fill a socket buffer, and small on the stack.
const PIECES_MAX: usize = 64;

/// Sends every chunk of `chunks`, in order, and leaves it empty. Neighbouring bytes go out in one system call, small
/// file regions among them; larger ones with `sendfile`. `on_progress` is called whenever the peer has taken some.
/// After an error the stream must be closed: a part of a frame may be on the wire.
pub async fn send(
    stream: &mut Stream,
    chunks: &mut VecDeque<Chunk>,
    on_progress: &(dyn Fn() + Sync),
) -> io::Result<()> {
    for chunk in chunks.iter_mut() {
        if let Chunk::File(region) = chunk
            && region.length <= sendfile::READ_MAX
        {
            *chunk = Chunk::Bytes(sendfile::read(region)?);
        }
    }
    match stream {
        Stream::Tcp(stream) => send_to_socket(stream, chunks, on_progress).await,
        Stream::Other(stream) => {
            while let Some(chunk) = chunks.pop_front() {
                match chunk {
                    Chunk::Bytes(bytes) => {
                        stream.write_all(&bytes).await?;
                        on_progress();
                    }
                    Chunk::File(region) => sendfile::copy(stream.as_mut(), &region, on_progress).await?,
                }
            }
            stream.flush().await
        }
    }
}

async fn send_to_socket(
    stream: &TcpStream,
    chunks: &mut VecDeque<Chunk>,
    on_progress: &(dyn Fn() + Sync),
) -> io::Result<()> {
    while let Some(first) = chunks.front() {
        if let Chunk::File(region) = first {
            sendfile::send(stream, region, on_progress).await?;
            chunks.pop_front();
            continue;
        }
        // There is room nearly always, and then nothing to wait with is needed.
        let sent = match stream.try_io(Interest::WRITABLE, || send_run(stream, chunks)) {
            Err(full) if full.kind() == io::ErrorKind::WouldBlock => {
                stream.async_io(Interest::WRITABLE, || send_run(stream, chunks)).await?
            }
            tried => tried?,
        };
        on_progress();
        consume(chunks, sent);
    }
    Ok(())
}

/// One system call for the bytes at the front.
fn send_run(stream: &TcpStream, chunks: &VecDeque<Chunk>) -> io::Result<usize> {
    let mut pieces: SmallVec<[io::IoSlice<'_>; PIECES_MAX]> = SmallVec::new();
    for chunk in chunks.iter().take(PIECES_MAX) {
        let Chunk::Bytes(bytes) = chunk else { break };
        pieces.push(io::IoSlice::new(bytes));
    }
    let mut flags = SendFlags::NOSIGNAL;
    if chunks.len() > pieces.len() {
        // More follows at once: the kernel need not make a packet of what it has.
        flags |= SendFlags::MORE;
    }
    let sent = match pieces.as_slice() {
        [one] => rustix::io::retry_on_intr(|| rustix::net::send(stream, one, flags)),
        many => rustix::io::retry_on_intr(|| sendmsg(stream, many, &mut SendAncillaryBuffer::default(), flags)),
    };
    sent.map_err(io::Error::from)
}

fn consume(chunks: &mut VecDeque<Chunk>, mut sent: usize) {
    while let Some(Chunk::Bytes(bytes)) = chunks.front_mut() {
        if sent < bytes.len() {
            bytes.advance(sent);
            return;
        }
        sent -= bytes.len();
        *bytes = Bytes::new();
        chunks.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::File, io::Write, sync::Arc};

    use tokio::io::AsyncReadExt;

    use super::*;
    use crate::{
        protocol::chunk::FileRegion,
        transport::listener::{ListenOptions, bind},
    };

    fn file_of(size: usize) -> (Arc<File>, Vec<u8>) {
        let bytes: Vec<u8> = (0..size).map(|at| ((at * 31) >> 3) as u8).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        (Arc::new(file), bytes)
    }

    async fn socket_pair() -> (Stream, TcpStream) {
        let listener = bind("127.0.0.1", 0, &ListenOptions::default()).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = tokio::net::TcpListener::from_std(listener).unwrap().accept().await.unwrap();
        (Stream::Tcp(server), client)
    }

    /// A response of heads, small and large regions: what the peer gets is the bytes in order.
    fn mixture() -> (VecDeque<Chunk>, Vec<u8>) {
        let (file, content) = file_of(3 << 20);
        let mut expected = vec![];
        let mut chunks = VecDeque::new();
        for (position, length) in [(0, 100), (5, 2 << 20), (77, 16 * 1024), (1 << 20, (2 << 20) - 3), (9, 0)] {
            let head = vec![b'h'; 37];
            expected.extend(&head);
            chunks.push_back(Chunk::Bytes(head.into()));
            expected.extend(&content[position..position + length]);
            chunks.push_back(Chunk::File(FileRegion { file: Arc::clone(&file), position: position as u64, length }));
        }
        for at in 0..200u8 {
            expected.push(at);
            chunks.push_back(Chunk::Bytes(vec![at].into()));
        }
        (chunks, expected)
    }

    async fn assert_arrives(mut stream: Stream, mut peer: impl tokio::io::AsyncRead + Unpin) {
        let (mut chunks, expected) = mixture();
        let mut received = vec![];
        let sending = async {
            send(&mut stream, &mut chunks, &|| ()).await.unwrap();
            assert!(chunks.is_empty());
            drop(stream);
        };
        let (_, read) = tokio::join!(sending, peer.read_to_end(&mut received));
        read.unwrap();
        assert!(received == expected, "{} of {} bytes", received.len(), expected.len());
    }

    #[tokio::test]
    async fn file_regions_and_bytes_arrive_in_order_over_tcp() {
        let (stream, peer) = socket_pair().await;
        assert_arrives(stream, peer).await;
    }

    #[tokio::test]
    async fn and_over_a_stream_without_a_descriptor() {
        let (stream, peer) = tokio::io::duplex(10_000);
        assert_arrives(Stream::Other(Box::new(stream)), peer).await;
    }

    /// The segment was truncated after the region was cut: whatever the size, this is an error and not a hang.
    #[tokio::test]
    async fn a_file_shorter_than_its_region_is_an_error() {
        let (file, _) = file_of(100_000);
        for length in [100_001, 5_000] {
            let (mut stream, mut peer) = socket_pair().await;
            let region = FileRegion { file: Arc::clone(&file), position: 99_000, length };
            let mut chunks = VecDeque::from([Chunk::Bytes("head".into()), Chunk::File(region)]);
            let drain = tokio::spawn(async move { peer.read_to_end(&mut vec![]).await });
            let fault = send(&mut stream, &mut chunks, &|| ()).await.unwrap_err();
            assert_eq!(fault.kind(), io::ErrorKind::UnexpectedEof);
            drop(stream);
            drain.await.unwrap().unwrap();
        }
    }

    #[tokio::test]
    async fn a_peer_that_has_gone_is_an_error_not_a_signal() {
        let (mut stream, peer) = socket_pair().await;
        drop(peer);
        let mut result = Ok(());
        for _ in 0..100 {
            let mut chunks = VecDeque::from([Chunk::Bytes(vec![0; 100_000].into())]);
            result = send(&mut stream, &mut chunks, &|| ()).await;
            if result.is_err() {
                break;
            }
        }
        assert!(result.is_err());
    }
}
