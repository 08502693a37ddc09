//! Byte streams between hosts in one process: slow by a seeded amount, and cut when the story says so.
//!
//! A cut holds bytes back, as TCP does: they arrive when it heals. A host that crashes breaks its connections.

use std::{io, sync::Arc, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use indexmap::{IndexMap, IndexSet};
use monedula::{
    client::{Connector, Peer},
    transport::Stream,
};
use parking_lot::Mutex;
use rand::{Rng, SeedableRng, rngs::SmallRng};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf},
    sync::mpsc,
    task::AbortHandle,
};

use super::{
    trace::{Trace, digest},
    weather::Weather,
};

/// One life of a host: after a crash the same name comes back with another number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Host {
    pub id: i32,
    pub life: u32,
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.id, self.life)
    }
}

/// Where clients and the store's side of the world sit.
pub const CLIENTS: Host = Host { id: -1, life: 0 };

const PIPE_BYTES: usize = 256 * 1024;

/// All hosts, links and connections.
#[derive(Clone)]
pub struct Network {
    shared: Arc<Mutex<Shared>>,
    /// Changes with every cut and heal, so that what waits looks again.
    weather: Weather,
    trace: Trace,
}

struct Shared {
    random: SmallRng,
    latency_max: Duration,
    listeners: IndexMap<i32, (Host, mpsc::UnboundedSender<Stream>)>,
    /// `(from, to)`: nothing gets through in that direction.
    cuts: IndexSet<(i32, i32)>,
    /// Lives that have ended: what is left of them reaches nobody.
    dead: IndexSet<Host>,
    pumps: Vec<(Host, Host, AbortHandle)>,
}

impl Network {
    pub fn new(seed: u64, latency_max: Duration, trace: Trace) -> Self {
        let shared = Shared {
            random: SmallRng::seed_from_u64(seed),
            latency_max,
            listeners: IndexMap::new(),
            cuts: IndexSet::new(),
            dead: IndexSet::new(),
            pumps: Vec::new(),
        };
        Self { shared: Arc::new(Mutex::new(shared)), weather: Weather::default(), trace }
    }

    /// Streams that others open to `host` come out of the receiver.
    pub fn listen(&self, host: Host) -> mpsc::UnboundedReceiver<Stream> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.shared.lock().listeners.insert(host.id, (host, sender));
        receiver
    }

    pub fn connector(&self, from: Host) -> Arc<dyn Connector> {
        Arc::new(From { network: self.clone(), from })
    }

    pub fn cut(&self, from: i32, to: i32) {
        self.shared.lock().cuts.insert((from, to));
        self.changed();
    }

    pub fn heal(&self) {
        self.shared.lock().cuts.clear();
        self.changed();
    }

    /// Ends every connection of one life of a host, and its listening.
    pub fn crash(&self, host: Host) {
        let mut shared = self.shared.lock();
        shared.dead.insert(host);
        shared.listeners.retain(|_, (listening, _)| *listening != host);
        shared.pumps.retain(|(a, b, pump)| {
            let hit = *a == host || *b == host;
            if hit {
                pump.abort();
            }
            !hit && !pump.is_finished()
        });
    }

    fn changed(&self) {
        self.weather.changes();
    }

    async fn passes(&self, from: i32, to: i32) {
        self.weather.until(|| !self.shared.lock().cuts.contains(&(from, to))).await;
    }

    fn delay(&self) -> Duration {
        let mut shared = self.shared.lock();
        let max = u64::try_from(shared.latency_max.as_micros()).unwrap_or(1);
        Duration::from_micros(shared.random.random_range(50..=max.max(51)))
    }

    async fn open(&self, from: Host, to: i32) -> io::Result<Stream> {
        tokio::time::sleep(self.delay()).await;
        self.passes(from.id, to).await;
        self.passes(to, from.id).await;
        let listener = {
            let shared = self.shared.lock();
            shared.listeners.get(&to).filter(|_| !shared.dead.contains(&from)).cloned()
        };
        self.trace.tell(|| format!("{from} opens {to}: {}", listener.is_some()));
        let Some((there, listener)) = listener else { return Err(io::ErrorKind::ConnectionRefused.into()) };
        let (client, near) = tokio::io::duplex(PIPE_BYTES);
        let (server, far) = tokio::io::duplex(PIPE_BYTES);
        self.join(from, there, near, far);
        if listener.send(Stream::Other(Box::new(server))).is_err() {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        Ok(Stream::Other(Box::new(client)))
    }

    fn join(&self, from: Host, to: Host, near: DuplexStream, far: DuplexStream) {
        let (near_read, near_write) = tokio::io::split(near);
        let (far_read, far_write) = tokio::io::split(far);
        let pump = tokio::spawn({
            let network = self.clone();
            async move {
                // Either direction's end is the connection's.
                tokio::select! {
                    biased;
                    () = network.pump(from, to, near_read, far_write) => {}
                    () = network.pump(to, from, far_read, near_write) => {}
                }
            }
        });
        let mut shared = self.shared.lock();
        shared.pumps.retain(|(.., pump)| !pump.is_finished());
        shared.pumps.push((from, to, pump.abort_handle()));
    }

    async fn pump(&self, from: Host, to: Host, mut read: ReadHalf<DuplexStream>, mut write: WriteHalf<DuplexStream>) {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(n @ 1..) = read.read(&mut buffer).await {
            tokio::time::sleep(self.delay()).await;
            self.passes(from.id, to.id).await;
            self.trace.tell(|| format!("{from} to {to}: {n} bytes {:08x}", digest(&buffer[..n])));
            if write.write_all(&buffer[..n]).await.is_err() {
                return;
            }
        }
    }
}

struct From {
    network: Network,
    from: Host,
}

impl std::fmt::Debug for From {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "links from {:?}", self.from)
    }
}

impl Connector for From {
    fn connect<'a>(&'a self, peer: &'a Peer) -> BoxFuture<'a, io::Result<Stream>> {
        self.network.open(self.from, peer.id).boxed()
    }
}
