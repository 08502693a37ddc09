//! Listening sockets and those they accept (class `SocketServer.Acceptor`).

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs},
    os::fd::AsFd,
};

use rustix::net::{SocketFlags, acceptfrom_with};
use socket2::{Domain, Protocol, Socket, Type};

/// Socket options of a listener.
#[derive(Debug, Clone)]
pub struct ListenOptions {
    /// `socket.listen.backlog.size`
    pub backlog: i32,
    /// `socket.receive.buffer.bytes`; `None` lets the kernel size it, which it does better than any fixed size.
    pub receive_buffer_bytes: Option<usize>,
    /// `socket.send.buffer.bytes`, in the same way.
    pub send_buffer_bytes: Option<usize>,
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self { backlog: 50, receive_buffer_bytes: None, send_buffer_bytes: None }
    }
}

/// Binds and listens, not blocking. An empty host is every address of the machine; port 0 is any free one.
pub fn bind(host: &str, port: u16, options: &ListenOptions) -> io::Result<TcpListener> {
    let named = |fault: io::Error| io::Error::new(fault.kind(), format!("cannot listen on {host}:{port}: {fault}"));
    if host.is_empty() {
        // Without IPv6 in the kernel, the older wildcard is all there is.
        return listen(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)), options)
            .or_else(|fault| match fault.kind() {
                io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied => Err(fault),
                _ => listen(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)), options),
            })
            .map_err(named);
    }
    let mut last = io::Error::new(io::ErrorKind::AddrNotAvailable, "the host has no address");
    for address in (host.trim_matches(['[', ']']), port).to_socket_addrs().map_err(named)? {
        match listen(address, options) {
            Ok(listener) => return Ok(listener),
            Err(fault) => last = fault,
        }
    }
    Err(named(last))
}

fn listen(address: SocketAddr, options: &ListenOptions) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    // What Kafka sets on every accepted socket: on Linux they inherit it, and a burst of clients costs three calls less each.
    socket.set_tcp_nodelay(true)?;
    socket.set_keepalive(true)?;
    if let Some(bytes) = options.send_buffer_bytes {
        socket.set_send_buffer_size(bytes)?;
    }
    if let Some(bytes) = options.receive_buffer_bytes {
        // Could not be set later: the window scale is settled in the handshake.
        socket.set_recv_buffer_size(bytes)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(options.backlog)?;
    Ok(socket.into())
}

/// The next connection, not blocking, and where it is from; `WouldBlock` if there is none.
pub fn accept(listener: impl AsFd) -> io::Result<(TcpStream, SocketAddr)> {
    let (socket, peer) = acceptfrom_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?;
    let peer = peer.ok_or(io::ErrorKind::ConnectionAborted)?;
    Ok((TcpStream::from(socket), peer.try_into()?))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use socket2::SockRef;

    use super::*;

    #[test]
    fn an_empty_host_is_every_address() {
        let listener = bind("", 0, &ListenOptions::default()).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        let fault = bind("", port, &ListenOptions::default()).unwrap_err();
        assert_eq!(fault.kind(), io::ErrorKind::AddrInUse);
        assert!(fault.to_string().contains(&format!(":{port}")));
    }

    #[test]
    fn what_is_accepted_is_set_up_as_the_listener() {
        let (receive_buffer_bytes, send_buffer_bytes) = (Some(65_536), Some(32_768));
        let options = ListenOptions { receive_buffer_bytes, send_buffer_bytes, ..Default::default() };
        for host in ["127.0.0.1", "localhost", ""] {
            let listener = bind(host, 0, &options).unwrap();
            assert_eq!(accept(&listener).unwrap_err().kind(), io::ErrorKind::WouldBlock);
            let port = listener.local_addr().unwrap().port();
            let client = TcpStream::connect((if host.is_empty() { "127.0.0.1" } else { host }, port)).unwrap();
            listener.set_nonblocking(false).unwrap();
            let (mut socket, peer) = accept(&listener).unwrap();
            let own = client.local_addr().unwrap();
            assert_eq!((peer.ip().to_canonical(), peer.port()), (own.ip().to_canonical(), own.port()));
            assert_eq!(socket.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
            let socket = SockRef::from(&socket);
            assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
            // Linux doubles the figures for its own use.
            assert_eq!(socket.recv_buffer_size().unwrap(), 131_072);
            assert_eq!(socket.send_buffer_size().unwrap(), 65_536);
        }
    }
}
