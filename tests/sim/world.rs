//! Three brokers, their weather, and the story of one seed.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use monedula::{
    common::{TopicPartition, chance},
    coordination::{
        ClusterStore, EmbeddedStore,
        znode::topic::{ReplicaAssignment, TopicAssignment},
    },
};
use parking_lot::Mutex;
use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::{
    broker::{SimBroker, SimClock},
    clients::{Client, TOPIC, values},
    disk::{self, Loss},
    history::History,
    network::{CLIENTS, Host, Network},
    session::{SESSION_TIMEOUT, SimStore},
    trace::Trace,
    watch::Watch,
};

pub const BROKERS: [i32; 3] = [1, 2, 3];
pub const PARTITIONS: i32 = 3;

pub struct World {
    pub random: SmallRng,
    pub network: Network,
    pub clock: Arc<SimClock>,
    tree: Arc<EmbeddedStore>,
    /// What is true, whoever believes what.
    pub truth: ClusterStore,
    root: TempDir,
    pub brokers: BTreeMap<i32, SimBroker>,
    lives: BTreeMap<i32, (u32, PathBuf)>,
    pub history: Arc<Mutex<History>>,
    pub watch: Watch,
    clients: Vec<JoinHandle<()>>,
    pub log: Vec<String>,
    trace: Trace,
}

impl World {
    pub async fn new(seed: u64, trace: Trace) -> Self {
        chance::simulate(seed);
        let mut random = SmallRng::seed_from_u64(seed);
        let latency = Duration::from_millis(random.random_range(1..20));
        let clock = SimClock::start();
        let tree = EmbeddedStore::in_memory_at(Arc::clone(&clock) as _);
        let mut world = Self {
            network: Network::new(random.random(), latency, trace.clone()),
            random,
            clock,
            truth: ClusterStore::new(SimStore::open(&tree, "truth", &trace)),
            trace,
            tree,
            root: tempfile::tempdir().unwrap(),
            brokers: BTreeMap::new(),
            lives: BTreeMap::new(),
            history: Arc::default(),
            watch: Watch::default(),
            clients: Vec::new(),
            log: Vec::new(),
        };
        for id in BROKERS {
            world.lives.insert(id, (0, world.root.path().join(format!("broker-{id}-0"))));
            world.start(id).await;
        }
        world
    }

    pub fn note(&mut self, what: impl std::fmt::Display) {
        use monedula::common::Clock;
        let line = format!("{:>9.3} s  {what}", self.clock.monotonic_ms() as f64 / 1000.0);
        if std::env::var_os("SIM_TRACE").is_some() {
            println!("{line}");
        }
        self.trace.tell(|| format!("world: {what}"));
        self.log.push(line);
    }

    /// Starts a dead broker on the folder that it left. A former life's session may still hold its id: tried again until
    /// that has ended, as a supervisor would.
    pub async fn start(&mut self, id: i32) {
        if self.brokers.contains_key(&id) {
            return;
        }
        for _ in 0..100 {
            let (life, dir) = self.lives[&id].clone();
            let host = Host { id, life };
            match SimBroker::start(host, &dir, &self.tree, &self.network, &self.clock, &self.trace).await {
                Ok(broker) => {
                    self.brokers.insert(id, broker);
                    self.note(format_args!("broker {id} has started"));
                    return;
                }
                Err(fault) => {
                    self.note(format_args!("broker {id} does not start: {fault}"));
                    self.network.crash(host);
                    // A failed start may have left the folder locked: the next one works on a copy.
                    self.next_life(id, |from, to, _| disk::copy(from, to));
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
        panic!("broker {id} does not start");
    }

    fn next_life(&mut self, id: i32, survive: impl FnOnce(&std::path::Path, &std::path::Path, &mut SmallRng)) {
        let (life, from) = self.lives[&id].clone();
        let to = self.root.path().join(format!("broker-{id}-{}", life + 1));
        survive(&from, &to, &mut self.random);
        self.lives.insert(id, (life + 1, to));
    }

    pub fn crash(&mut self, id: i32, loss: Loss) {
        let Some(broker) = self.brokers.remove(&id) else { return };
        self.note(format_args!("broker {id} crashes, losing {loss:?}"));
        let logs = Arc::clone(&broker.core.logs);
        self.next_life(id, |from, to, random| disk::survive(&logs, from, to, loss, random));
        broker.die(&self.network);
    }

    /// As a tool of old would: straight into the tree. The controller hears of it.
    pub async fn create_topic(&mut self) {
        let partitions = (0..PARTITIONS).map(|partition| {
            let at = usize::try_from(partition).unwrap();
            let replicas = (0..BROKERS.len()).map(|next| BROKERS[(at + next) % BROKERS.len()]).collect();
            (partition, ReplicaAssignment::of(replicas))
        });
        let topic_id = Some(uuid::Uuid::from_u128(self.random.random()));
        let assignment = TopicAssignment { topic_id, partitions: partitions.collect() };
        self.truth.create_topic(TOPIC, &indexmap::IndexMap::new(), &assignment).await.unwrap();
        for _ in 0..60 {
            if self.all_in_sync().await {
                return;
            }
            self.pass(Duration::from_millis(500)).await;
        }
        panic!("nobody leads the new topic");
    }

    pub fn start_clients(&mut self, producers: u64) {
        for number in 0..producers {
            let seed = self.random.random();
            let mut client = Client::new(self.network.connector(CLIENTS), BROKERS.to_vec(), seed);
            let (history, clock) = (Arc::clone(&self.history), Arc::clone(&self.clock));
            self.clients.push(tokio::spawn(async move {
                use monedula::common::Clock;
                for count in 0.. {
                    let partition = client.random.random_range(0..PARTITIONS);
                    client.produce(partition, number << 32 | count, clock.now_ms(), &history).await;
                    let pause = client.random.random_range(20..400);
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                }
            }));
        }
        for partition in 0..PARTITIONS {
            let seed = self.random.random();
            let mut client = Client::new(self.network.connector(CLIENTS), BROKERS.to_vec(), seed);
            let history = Arc::clone(&self.history);
            self.clients.push(tokio::spawn(async move {
                let mut next = 0;
                loop {
                    next = client.consume(partition, next, &history).await;
                }
            }));
        }
    }

    pub fn stop_clients(&mut self) {
        for client in self.clients.drain(..) {
            client.abort();
        }
    }

    /// Lets time pass; looks at the brokers every so often.
    pub async fn pass(&mut self, time: Duration) {
        let end = tokio::time::Instant::now() + time;
        while tokio::time::Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(250)).await;
            let states = self.truth.partition_states(&partitions()).await.unwrap_or_default();
            self.watch.look(&self.brokers, &states, &mut self.history.lock().anomalies);
        }
    }

    /// One thing goes wrong, or right.
    pub async fn trouble(&mut self) {
        let any = *BROKERS.choose(&mut self.random).unwrap();
        match self.random.random_range(0..10) {
            0 | 1 => self.crash(any, Loss::Nothing),
            2 => {
                // At most one broker at a time may lose what it acknowledged: two would be more than RF 3 with
                // min.insync.replicas=2 promises to survive.
                if self.is_whole().await {
                    self.crash(any, Loss::Unsynced);
                }
            }
            3 => {
                self.note(format_args!("broker {any} is cut off from the others"));
                for other in BROKERS.into_iter().filter(|other| *other != any) {
                    self.network.cut(any, other);
                    self.network.cut(other, any);
                }
            }
            4 => {
                let other = *BROKERS.choose(&mut self.random).unwrap();
                self.note(format_args!("{other} does not hear {any}"));
                self.network.cut(any, other);
            }
            5 => {
                self.note(format_args!("broker {any} is cut off from the store"));
                if let Some(broker) = self.brokers.get(&any) {
                    broker.store.cut();
                }
            }
            6 => {
                self.note(format_args!("broker {any} is paused: it hears nobody"));
                if let Some(broker) = self.brokers.get(&any) {
                    broker.store.cut();
                }
                for other in BROKERS.into_iter().chain([CLIENTS.id]).filter(|other| *other != any) {
                    self.network.cut(any, other);
                    self.network.cut(other, any);
                }
            }
            7 => {
                self.note(format_args!("the session of broker {any} is ended"));
                if let Some(broker) = self.brokers.get(&any) {
                    let store = Arc::clone(&broker.store);
                    tokio::spawn(async move { store.expire().await });
                }
            }
            _ => self.heal().await,
        }
    }

    pub async fn heal(&mut self) {
        self.note("all is well again");
        self.network.heal();
        for broker in self.brokers.values() {
            broker.store.heal();
        }
        for id in BROKERS {
            self.start(id).await;
        }
    }

    async fn is_whole(&self) -> bool {
        self.brokers.len() == BROKERS.len() && self.all_in_sync().await
    }

    async fn all_in_sync(&self) -> bool {
        let states = self.truth.partition_states(&partitions()).await.unwrap_or_default();
        states
            .iter()
            .all(|state| state.as_ref().is_some_and(|it| it.state.isr.len() == BROKERS.len() && it.state.leader >= 0))
    }

    /// After the last trouble: everybody in sync within a bounded time, and all logs the same.
    pub async fn settle(&mut self) {
        self.heal().await;
        for _ in 0..120 {
            if self.is_whole().await {
                break;
            }
            self.pass(Duration::from_secs(1)).await;
        }
        if !self.is_whole().await {
            let states = self.truth.partition_states(&partitions()).await;
            self.history.lock().anomalies.push(format!("not all replicas are back in sync: {states:?}"));
            return;
        }
        self.stop_clients();
        self.pass(SESSION_TIMEOUT * 2).await;
        let mut contents = Vec::new();
        for (id, broker) in &self.brokers {
            contents.push((*id, self.content(broker)));
        }
        let mut history = self.history.lock();
        let (first, reference) = &contents[0];
        for (other, content) in &contents[1..] {
            if content != reference {
                history.anomalies.push(format!("the logs of brokers {first} and {other} differ"));
            }
        }
        let logs = contents.swap_remove(0).1;
        history.all_acknowledged_are_in(&logs);
    }

    /// Every record of every partition, as the files have it, up to the high watermark.
    fn content(&self, broker: &SimBroker) -> BTreeMap<(i32, i64), u64> {
        let mut content = BTreeMap::new();
        for partition in 0..PARTITIONS {
            let Some(log) = broker.services().replicas.local_log(TOPIC, partition) else { continue };
            let dir = log.dir();
            let mut files: Vec<PathBuf> = std::fs::read_dir(dir.as_path())
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .filter(|path| path.extension().is_some_and(|it| it == "log"))
                .collect();
            files.sort();
            for file in files {
                let bytes = std::fs::read(file).unwrap().into();
                content.extend(values(&bytes).into_iter().map(|(offset, value)| ((partition, offset), value)));
            }
            let end = log.high_watermark();
            content.retain(|(p, offset), _| *p != partition || *offset < end);
        }
        content
    }
}

pub fn partitions() -> Vec<TopicPartition> {
    (0..PARTITIONS).map(|partition| TopicPartition::new(TOPIC, partition)).collect()
}
