//! File regions on their way out (class `FileRecords.writeTo`).

use std::{io, os::unix::fs::FileExt};

use bytes::{Bytes, BytesMut};
use rustix::fs::sendfile;
use tokio::{
    io::{AsyncWrite, AsyncWriteExt, Interest},
    net::TcpStream,
};

use crate::protocol::chunk::FileRegion;

/// Largest region read into memory rather than sent with `sendfile`: one `pread` and a share of the write around it cost
/// less than a system call of its own and a packet split off.
pub(super) const READ_MAX: usize = 16 * 1024;
/// How much of a region is in memory at a time where there is no descriptor to send to.
const PIECE: usize = 64 * 1024;

/// Reads the whole region. An error of kind `UnexpectedEof` if the file has become shorter than the region says.
pub(super) fn read(region: &FileRegion) -> io::Result<Bytes> {
    let mut bytes = BytesMut::zeroed(region.length);
    region.file.read_exact_at(&mut bytes, region.position)?;
    Ok(bytes.freeze())
}

/// Sends the region without its bytes passing through this process.
pub(super) async fn send(stream: &TcpStream, region: &FileRegion, on_progress: &(dyn Fn() + Sync)) -> io::Result<()> {
    let mut position = region.position;
    let mut left = region.length;
    while left > 0 {
        let sent = stream
            .async_io(Interest::WRITABLE, || {
                rustix::io::retry_on_intr(|| sendfile(stream, &*region.file, Some(&mut position), left))
                    .map_err(io::Error::from)
            })
            .await?;
        if sent == 0 {
            // The length is already on the wire, so the connection is of no more use.
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "file is shorter than the region to send"));
        }
        on_progress();
        left -= sent;
    }
    Ok(())
}

/// Reads and writes the region piece by piece.
pub(super) async fn copy<W: AsyncWrite + Unpin + ?Sized>(
    writer: &mut W,
    region: &FileRegion,
    on_progress: &(dyn Fn() + Sync),
) -> io::Result<()> {
    let mut position = region.position;
    let mut left = region.length;
    let mut piece = vec![0; left.min(PIECE)];
    while left > 0 {
        let length = left.min(PIECE);
        region.file.read_exact_at(&mut piece[..length], position)?;
        writer.write_all(&piece[..length]).await?;
        on_progress();
        position += length as u64;
        left -= length;
    }
    Ok(())
}
