//! The one seam where a connection comes from: PLAINTEXT sockets here; TLS, and the pipes of a simulation, belong here too.

use std::{io, net::SocketAddr};

use futures::{FutureExt, future::BoxFuture};
use socket2::SockRef;
use tokio::net::{TcpSocket, lookup_host};

use super::Peer;
use crate::transport::Stream;

/// Opens streams to brokers.
pub trait Connector: std::fmt::Debug + Send + Sync + 'static {
    /// A stream over which `peer` can be asked.
    fn connect<'a>(&'a self, peer: &'a Peer) -> BoxFuture<'a, io::Result<Stream>>;
}

/// TCP.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sockets {
    /// `None` lets the kernel size it.
    pub send_buffer_bytes: Option<usize>,
    pub receive_buffer_bytes: Option<usize>,
}

impl Connector for Sockets {
    /// The first of the host's addresses that answers.
    fn connect<'a>(&'a self, peer: &'a Peer) -> BoxFuture<'a, io::Result<Stream>> {
        async move {
            let mut last = io::Error::new(io::ErrorKind::AddrNotAvailable, "the host has no address");
            let host = peer.host.trim_matches(['[', ']']);
            for address in lookup_host((host, peer.port)).await? {
                match self.connect_to(address).await {
                    Ok(stream) => return Ok(stream),
                    Err(fault) => last = fault,
                }
            }
            Err(last)
        }
        .boxed()
    }
}

impl Sockets {
    async fn connect_to(&self, address: SocketAddr) -> io::Result<Stream> {
        let socket = if address.is_ipv6() { TcpSocket::new_v6()? } else { TcpSocket::new_v4()? };
        let options = SockRef::from(&socket);
        // Before connecting: the window scale is settled in the handshake.
        if let Some(bytes) = self.receive_buffer_bytes {
            options.set_recv_buffer_size(bytes)?;
        }
        if let Some(bytes) = self.send_buffer_bytes {
            options.set_send_buffer_size(bytes)?;
        }
        options.set_tcp_nodelay(true)?;
        options.set_keepalive(true)?;
        Ok(Stream::Tcp(socket.connect(address).await?))
    }
}
