//! The one place where a connection comes from: PLAINTEXT sockets. TLS and in-memory pipes belong here too.

use std::{io, net::SocketAddr};

use socket2::SockRef;
use tokio::net::{TcpSocket, lookup_host};

use super::{ClientConfig, Peer};
use crate::transport::Stream;

/// A connected stream, after the first of the host's addresses that answers.
pub(super) async fn connect(peer: &Peer, config: &ClientConfig) -> io::Result<Stream> {
    let mut last = io::Error::new(io::ErrorKind::AddrNotAvailable, "the host has no address");
    let host = peer.host.trim_matches(['[', ']']);
    for address in lookup_host((host, peer.port)).await? {
        match connect_to(address, config).await {
            Ok(stream) => return Ok(stream),
            Err(fault) => last = fault,
        }
    }
    Err(last)
}

async fn connect_to(address: SocketAddr, config: &ClientConfig) -> io::Result<Stream> {
    let socket = if address.is_ipv6() { TcpSocket::new_v6()? } else { TcpSocket::new_v4()? };
    let options = SockRef::from(&socket);
    // Before connecting: the window scale is settled in the handshake.
    if let Some(bytes) = config.receive_buffer_bytes {
        options.set_recv_buffer_size(bytes)?;
    }
    if let Some(bytes) = config.send_buffer_bytes {
        options.set_send_buffer_size(bytes)?;
    }
    options.set_tcp_nodelay(true)?;
    options.set_keepalive(true)?;
    Ok(Stream::Tcp(socket.connect(address).await?))
}
