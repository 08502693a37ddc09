//! One life of a broker: the real core over simulated ground.

use std::{path::Path, sync::Arc, time::Duration};

use bytes::BytesMut;
use futures::FutureExt;
use monedula::{
    api::{ConnectionInfo, Reply, Services, dispatch},
    common::{Clock, Timestamp},
    coordination::EmbeddedStore,
    server::{Coordination, Core, Ground, Launch, LaunchError},
    transport::{self, Stream},
};
use tokio::{task::JoinHandle, time::Instant};

use super::{
    network::{Host, Network},
    session::{SESSION_TIMEOUT, SimStore},
    trace::Trace,
};

/// Time as the runtime counts it.
pub struct SimClock {
    began: Instant,
}

const EPOCH_MS: i64 = 1_700_000_000_000;

impl SimClock {
    pub fn start() -> Arc<Self> {
        Arc::new(Self { began: Instant::now() })
    }
}

impl Clock for SimClock {
    fn now_ms(&self) -> Timestamp {
        EPOCH_MS + self.monotonic_ms()
    }

    fn monotonic_ms(&self) -> i64 {
        i64::try_from(self.began.elapsed().as_millis()).unwrap()
    }
}

pub struct SimBroker {
    pub host: Host,
    pub store: Arc<SimStore>,
    pub core: Core,
    tasks: Vec<JoinHandle<()>>,
}

impl SimBroker {
    pub async fn start(
        host: Host,
        dir: &Path,
        tree: &EmbeddedStore,
        network: &Network,
        clock: &Arc<SimClock>,
        trace: &Trace,
        is_synced: bool,
    ) -> Result<Self, LaunchError> {
        let store = SimStore::open(tree, host, trace);
        let launch = Launch::from_properties(properties(host.id, dir, is_synced))?;
        let config = Arc::new(launch.config);
        let clock: Arc<dyn Clock> = Arc::clone(clock) as _;
        let logs = Core::open_logs(&config.snapshot(), &clock)?;
        let ground = Ground {
            config,
            clock,
            coordination: Coordination::over(Arc::clone(&store) as _),
            connector: network.connector(host),
            fetchers: vec![tokio::runtime::Handle::current()],
        };
        let mut incoming = network.listen(host);
        let core = Core::start(ground, logs, || Ok([("PLAINTEXT".to_owned(), None)].into())).await?;
        let services = Arc::clone(&core.services);
        let acceptor = tokio::spawn(async move {
            while let Some(stream) = incoming.recv().await {
                tokio::spawn(serve(Arc::clone(&services), stream).map(drop));
            }
        });
        let mut tasks = vec![acceptor];
        for task in core.recurring().into_iter().filter(|task| task.period_ms < i64::MAX) {
            tasks.push(tokio::spawn(async move {
                let ms = |ms: i64| Duration::from_millis(u64::try_from(ms).unwrap_or(0).max(1));
                tokio::time::sleep(ms(task.initial_delay_ms)).await;
                loop {
                    (task.run)();
                    tokio::time::sleep(ms(task.period_ms)).await;
                }
            }));
        }
        Ok(Self { host, store, core, tasks })
    }

    pub fn services(&self) -> &Arc<Services> {
        &self.core.services
    }

    /// What SIGTERM ends, in its order.
    pub async fn stop(self, network: &Network) {
        let Self { host, core, tasks, .. } = self;
        let network = network.clone();
        core.stop(move || {
            network.crash(host);
            tasks.iter().for_each(JoinHandle::abort);
        })
        .await;
    }

    /// What `kill -9` ends. Whatever was spawned without a handle goes on in a dead world: no link, no session, and a
    /// folder that nobody reads again.
    pub fn die(self, network: &Network) {
        network.crash(self.host);
        self.store.die();
        for task in self.tasks {
            task.abort();
        }
        // Else its fetchers would knock at others' doors for ever.
        self.core.services.replicas.stop_replication();
        self.core.abort();
    }
}

/// Answers requests as a connection of the network room does: one after another.
async fn serve(services: Arc<Services>, mut stream: Stream) -> std::io::Result<()> {
    let info = Arc::new(ConnectionInfo {
        listener: "PLAINTEXT".to_owned(),
        peer: [127, 0, 0, 1].into(),
        client_host: "/127.0.0.1".into(),
        principal: "User:ANONYMOUS".to_owned(),
    });
    let mut input = BytesMut::new();
    loop {
        while frame_length(&input).is_none_or(|length| input.len() < 4 + length) {
            let read = std::future::poll_fn(|context| stream.poll_read_into(context, &mut input, 1 << 20)).await?;
            if read == 0 {
                return Ok(());
            }
        }
        let length = frame_length(&input).unwrap_or(0);
        let _ = input.split_to(4);
        match dispatch(&services, &info, input.split_to(length)).await {
            Ok(Reply::Frame(chunks)) => transport::send(&mut stream, &mut chunks.into_iter().collect(), &|| ()).await?,
            Ok(Reply::Nothing) => {}
            Ok(Reply::Close) | Err(_) => return Ok(()),
        }
    }
}

fn frame_length(input: &BytesMut) -> Option<usize> {
    input.first_chunk().map(|length| u32::from_be_bytes(*length) as usize)
}

fn properties(id: i32, dir: &Path, is_synced: bool) -> indexmap::IndexMap<String, String> {
    let dir = dir.display().to_string();
    let id = id.to_string();
    let session = SESSION_TIMEOUT.as_millis().to_string();
    let flush = if is_synced { "1" } else { "9223372036854775807" };
    let listener = format!("PLAINTEXT://broker-{id}:9092");
    [
        ("broker.id", id.as_str()),
        ("listeners", &listener),
        ("log.dirs", &dir),
        ("zookeeper.connect", "simulated:2181"),
        ("zookeeper.session.timeout.ms", &session),
        ("default.replication.factor", "3"),
        ("min.insync.replicas", "2"),
        ("replica.lag.time.max.ms", "5000"),
        ("replica.fetch.wait.max.ms", "1000"),
        ("log.flush.offset.checkpoint.interval.ms", "10000"),
        ("log.segment.bytes", "65536"),
        ("log.cleaner.enable", "false"),
        ("num.recovery.threads.per.data.dir", "1"),
        ("auto.leader.rebalance.enable", "true"),
        ("leader.imbalance.check.interval.seconds", "20"),
        ("log.flush.interval.messages", flush),
        ("offsets.topic.num.partitions", "2"),
        ("offsets.topic.replication.factor", "3"),
        ("transaction.state.log.num.partitions", "2"),
        ("transaction.state.log.replication.factor", "3"),
        ("transaction.state.log.min.isr", "2"),
        ("group.initial.rebalance.delay.ms", "500"),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .collect()
}
