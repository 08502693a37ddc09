//! Start and stop of everything that listens (class `SocketServer`).

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::task::AbortHandle;

use super::{
    NetworkConfig,
    acceptor::{LogLimit, Shared, accept},
    connection::Limits,
    connection_quotas::ConnectionQuotas,
    handler::RequestHandler,
    memory::RequestMemory,
    reactor::{self, Reactor},
};
use crate::transport::listener::bind;

/// Sockets that are bound, with clients perhaps waiting in their backlogs, and nobody accepting yet: the broker
/// registers its ports before it serves.
pub struct BoundListeners {
    config: NetworkConfig,
    listeners: Vec<(String, TcpListener)>,
}

/// The running server. Dropped, it stops without grace.
pub struct Server {
    addresses: Vec<(String, SocketAddr)>,
    reactors: Vec<Arc<Reactor>>,
    /// The acceptors, and what moves connections.
    tasks: Vec<AbortHandle>,
    quotas: Arc<ConnectionQuotas>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// The limits of connections of a running server (KIP-402, KIP-612).
#[derive(Clone)]
pub struct ConnectionLimits(Arc<ConnectionQuotas>);

impl ConnectionLimits {
    /// Takes `max.connections`, `max.connections.per.ip` and its overrides, and `max.connection.creation.rate` from `config`,
    /// the broker's and each listener's. What else differs is left alone.
    pub fn reconfigure(&self, config: &NetworkConfig) {
        self.0.reconfigure(config);
    }
}

impl BoundListeners {
    /// Binds every listener of `config`. The error names the address that could not be bound.
    pub fn bind(config: NetworkConfig) -> io::Result<Self> {
        let listeners = config
            .listeners
            .iter()
            .map(|listener| Ok((listener.name.clone(), bind(&listener.host, listener.port, &config.sockets)?)));
        let listeners = listeners.collect::<io::Result<_>>()?;
        Ok(Self { config, listeners })
    }

    /// Where a listener is bound: the port is the real one, if 0 was asked for.
    #[must_use]
    pub fn local_addr(&self, listener: &str) -> Option<SocketAddr> {
        self.listeners.iter().find(|(name, _)| name == listener)?.1.local_addr().ok()
    }

    /// Starts the reactors and begins to accept.
    pub fn serve<H: RequestHandler>(self, handler: H) -> io::Result<Server> {
        let config = self.config;
        let mut server = Server {
            addresses: Vec::new(),
            reactors: Vec::new(),
            tasks: Vec::new(),
            quotas: Arc::new(ConnectionQuotas::new(&config)),
            threads: Mutex::default(),
        };
        for index in 0..config.reactors.max(1) {
            let (reactor, thread) = Reactor::start(index, config.connections_max_idle)?;
            server.reactors.push(reactor);
            server.threads.get_mut().push(thread);
        }
        let shared = Arc::new(Shared {
            handler,
            reactors: server.reactors.clone(),
            quotas: Arc::clone(&server.quotas),
            limits: Arc::new(Limits {
                request_max_bytes: config.request_max_bytes,
                queued: config.queued_request_max_bytes.map(RequestMemory::new),
            }),
            log_limit: LogLimit::default(),
        });
        for (index, (name, listener)) in self.listeners.into_iter().enumerate() {
            server.addresses.push((name.clone(), listener.local_addr()?));
            let reactor = &server.reactors[index % server.reactors.len()];
            let task = reactor.handle.spawn(accept(Arc::clone(&shared), listener, name));
            server.tasks.push(task.abort_handle());
        }
        if let [first, _, ..] = &server.reactors[..] {
            let balancing = first.handle.spawn(reactor::balance(server.reactors.clone()));
            server.tasks.push(balancing.abort_handle());
        }
        Ok(server)
    }
}

impl Server {
    /// Binds and serves in one go.
    pub fn start<H: RequestHandler>(config: NetworkConfig, handler: H) -> io::Result<Self> {
        BoundListeners::bind(config)?.serve(handler)
    }

    /// Where a listener is bound: the port is the real one, if 0 was asked for.
    #[must_use]
    pub fn local_addr(&self, listener: &str) -> Option<SocketAddr> {
        self.addresses.iter().find(|(name, _)| name == listener).map(|(_, address)| *address)
    }

    /// What may be changed while it runs.
    #[must_use]
    pub fn limits(&self) -> ConnectionLimits {
        ConnectionLimits(Arc::clone(&self.quotas))
    }

    /// Connections open now.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.quotas.total()
    }

    /// Has all connections go on at reactor `to`.
    #[cfg(test)]
    pub(super) fn move_all(&self, to: usize) {
        self.reactors.iter().for_each(|reactor| reactor.send_away(usize::MAX, to));
    }

    /// Connections at each reactor.
    #[cfg(test)]
    pub(super) fn spread(&self) -> Vec<usize> {
        self.reactors.iter().map(|reactor| reactor.load().connections).collect()
    }

    /// Stops accepting, lets the requests in flight end for up to `grace`, closes all connections and ends the threads.
    /// Blocks: call it from a thread of your own, not from a reactor. A second call does nothing.
    pub fn shutdown(&self, grace: Duration) {
        /// How often to look whether connections have ended.
        const POLL: Duration = Duration::from_millis(2);
        let threads = std::mem::take(&mut *self.threads.lock());
        for task in &self.tasks {
            task.abort();
        }
        let deadline = Instant::now() + grace;
        loop {
            // Each time: an acceptor may have handed one over at the last moment.
            self.reactors.iter().for_each(|reactor| reactor.close_connections());
            if self.reactors.iter().all(|reactor| reactor.load().connections == 0) || Instant::now() >= deadline {
                break;
            }
            std::thread::sleep(POLL);
        }
        for reactor in &self.reactors {
            reactor.stop();
        }
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a network thread has panicked");
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shutdown(Duration::ZERO);
    }
}
