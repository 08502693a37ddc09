//! Takes connections in, hands each to a reactor, and on to another when it is to move (class `SocketServer.Acceptor`).

use std::{
    any::Any,
    io,
    net::TcpListener,
    os::fd::OwnedFd,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::FutureExt;
use tokio::{io::Interest, net::TcpStream};

use super::{
    balance,
    connection::{Connection, Fault, Limits, Moving, Outcome},
    connection_quotas::{ConnectionQuotas, ConnectionSlot},
    handler::RequestHandler,
    reactor::Reactor,
};
use crate::{
    api::ConnectionInfo,
    transport::{Stream, listener},
};

const BACKOFF_MIN: Duration = Duration::from_millis(20);
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// What acceptors and the connections they start share.
pub(super) struct Shared<H> {
    pub(super) handler: H,
    pub(super) reactors: Vec<Arc<Reactor>>,
    pub(super) quotas: Arc<ConnectionQuotas>,
    pub(super) limits: Arc<Limits>,
    pub(super) log_limit: LogLimit,
}

/// Accepts until dropped.
pub(super) async fn accept<H: RequestHandler>(shared: Arc<Shared<H>>, listener: TcpListener, name: String) {
    // A listener of tokio's would have what it accepts watched on this thread, wherever that is to live. To be watched itself
    // it may as well be a stream: both are sockets.
    let listener = match TcpStream::from_std(OwnedFd::from(listener).into()) {
        Ok(listener) => listener,
        Err(fault) => return tracing::error!(listener = name, %fault, "cannot accept connections"),
    };
    let mut backoff = BACKOFF_MIN;
    loop {
        match accept_one(&shared, &listener, &name).await {
            Ok(()) => backoff = BACKOFF_MIN,
            Err(fault) if matches!(fault.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted) => {}
            Err(fault) => {
                // Mostly no file descriptors left: others must close first.
                if shared.log_limit.allows(&shared.reactors) {
                    tracing::error!(listener = name, %fault, "error while accepting connection");
                }
                tokio::time::sleep(backoff).await;
                backoff = (backoff * 2).min(BACKOFF_MAX);
            }
        }
    }
}

async fn accept_one<H: RequestHandler>(shared: &Arc<Shared<H>>, listener: &TcpStream, name: &str) -> io::Result<()> {
    let (stream, peer) = listener.async_io(Interest::READABLE, || listener::accept(listener)).await?;
    let peer_ip = peer.ip().to_canonical();
    let slot = match shared.quotas.admit(name, peer_ip).await {
        Ok(slot) => slot,
        Err(fault) => {
            if shared.log_limit.allows(&shared.reactors) {
                tracing::info!(listener = name, "Rejected connection from /{peer_ip}: {fault}");
            }
            return Ok(());
        }
    };
    let info = ConnectionInfo {
        listener: name.to_owned(),
        peer: peer_ip,
        client_host: format!("/{peer_ip}").into(),
        principal: "User:ANONYMOUS".to_owned(),
    };
    let Some(at) = balance::place(shared.reactors.iter().map(|reactor| reactor.load())) else { return Ok(()) };
    let reactor = &shared.reactors[at];
    let (registration, limits) = (reactor.register(), Arc::clone(&shared.limits));
    settle(Arc::clone(shared), at, Arc::new(info), slot, move || {
        Ok(Connection::new(Stream::Tcp(TcpStream::from_std(stream)?), registration, limits))
    });
    Ok(())
}

/// Has a connection served by the reactor `at`; `arrive` makes it, on that reactor's own thread.
fn settle<H: RequestHandler>(
    shared: Arc<Shared<H>>,
    at: usize,
    info: Arc<ConnectionInfo>,
    slot: ConnectionSlot,
    arrive: impl FnOnce() -> io::Result<Connection> + Send + 'static,
) {
    let reactor = Arc::clone(&shared.reactors[at]);
    reactor.handle.spawn(async move {
        match arrive() {
            Ok(connection) => {
                if let Some((moving, to)) = serve(&shared, connection, &info).await {
                    resettle(shared, to, info, slot, moving);
                }
            }
            Err(fault) => tracing::debug!(%fault, "cannot set up connection"),
        }
    });
}

fn resettle<H: RequestHandler>(
    shared: Arc<Shared<H>>,
    to: usize,
    info: Arc<ConnectionInfo>,
    slot: ConnectionSlot,
    moving: Moving,
) {
    let registration = shared.reactors[to].register();
    settle(shared, to, info, slot, move || Connection::arrive(moving, registration));
}

/// Runs a connection until it moves on, or to its end, and says why it ended, once.
async fn serve<H: RequestHandler>(
    shared: &Shared<H>,
    connection: Connection,
    info: &Arc<ConnectionInfo>,
) -> Option<(Moving, usize)> {
    match AssertUnwindSafe(connection.run(&shared.handler, info)).catch_unwind().await {
        Ok(Ok(Outcome::Closed)) => {}
        Ok(Ok(Outcome::Moves(moving, to))) => return Some((*moving, to)),
        Ok(Err(Fault::Io(fault))) => tracing::debug!(peer = %info.peer, %fault, "connection lost"),
        Ok(Err(fault)) if shared.log_limit.allows(&shared.reactors) => {
            tracing::warn!(peer = %info.peer, listener = info.listener, "closing connection: {fault}");
        }
        Ok(Err(_)) => {}
        Err(panic) => {
            let what = panic_text(&*panic);
            tracing::error!(peer = %info.peer, listener = info.listener, "panic in a request, closing connection: {what}");
        }
    }
    None
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// At most a few lines a second, whatever strangers send.
#[derive(Default)]
pub(super) struct LogLimit {
    /// The second, in the high half, and the lines written in it.
    state: AtomicU64,
}

impl LogLimit {
    const LINES_PER_SECOND: u64 = 10;

    fn allows(&self, reactors: &[Arc<Reactor>]) -> bool {
        let second = reactors.first().map_or(0, |reactor| reactor.now_ms()) / 1000;
        self.allows_in(second)
    }

    fn allows_in(&self, second: u64) -> bool {
        let next = |state: u64| {
            let lines = if state >> 32 == second { state & 0xffff_ffff } else { 0 };
            (lines < Self::LINES_PER_SECOND).then_some(second << 32 | (lines + 1))
        };
        self.state.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_few_per_second() {
        let limit = LogLimit::default();
        assert_eq!((0..100).filter(|_| limit.allows_in(7)).count(), 10);
        assert!(limit.allows_in(8));
    }
}
