//! Three brokers, their weather, and the story of one seed.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use monedula::{
    common::{
        TopicPartition, chance,
        topic_name::{GROUP_METADATA_TOPIC, TRANSACTION_STATE_TOPIC},
    },
    coordination::{
        ClusterStore, EmbeddedStore,
        cluster_store::VersionedState,
        znode::topic::{ReplicaAssignment, TopicAssignment},
    },
};
use parking_lot::Mutex;
use rand::{Rng, SeedableRng, rngs::SmallRng};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::{
    broker::{SimBroker, SimClock},
    clients::{Client, TOPIC, every_record},
    disk,
    group::Member,
    history::History,
    network::{CLIENTS, Host, Network},
    session::{SESSION_TIMEOUT, SimStore},
    tide::Tide,
    trace::Trace,
    transactions::{CommittedReader, TX_TIMEOUT, TX_TOPIC, TransactionalProducer},
    watch::Watch,
};

pub const BROKERS: [i32; 3] = [1, 2, 3];
pub const PARTITIONS: i32 = 3;
pub const TX_PARTITIONS: i32 = 2;

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
    pub tide: Tide,
    clients: Vec<JoinHandle<()>>,
    pub log: Vec<String>,
    trace: Trace,
    /// `log.flush.interval.messages=1`: nothing is acknowledged that a power cut could take.
    pub is_synced: bool,
}

impl World {
    pub async fn new(seed: u64, trace: Trace, is_synced: bool) -> Self {
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
            root: disk::room(),
            brokers: BTreeMap::new(),
            lives: BTreeMap::new(),
            history: Arc::default(),
            watch: Watch::default(),
            tide: Tide::default(),
            clients: Vec::new(),
            log: Vec::new(),
            is_synced,
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
            match SimBroker::start(host, &dir, &self.tree, &self.network, &self.clock, &self.trace, self.is_synced)
                .await
            {
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

    pub fn next_life(&mut self, id: i32, survive: impl FnOnce(&std::path::Path, &std::path::Path, &mut SmallRng)) {
        let (life, from) = self.lives[&id].clone();
        let to = self.root.path().join(format!("broker-{id}-{}", life + 1));
        survive(&from, &to, &mut self.random);
        if let Some(long_gone) = life.checked_sub(1) {
            // Whoever still holds a file of that life holds it; nobody looks there.
            let _ = std::fs::remove_dir_all(self.root.path().join(format!("broker-{id}-{long_gone}")));
        }
        self.lives.insert(id, (life + 1, to));
    }

    /// As a tool of old would: straight into the tree. The controller hears of it.
    pub async fn create_topics(&mut self) {
        for (topic, partitions) in [(TOPIC, PARTITIONS), (TX_TOPIC, TX_PARTITIONS)] {
            let partitions = (0..partitions).map(|partition| {
                let at = usize::try_from(partition).unwrap();
                let replicas = (0..BROKERS.len()).map(|next| BROKERS[(at + next) % BROKERS.len()]).collect();
                (partition, ReplicaAssignment::of(replicas))
            });
            let topic_id = Some(uuid::Uuid::from_u128(self.random.random()));
            let assignment = TopicAssignment { topic_id, partitions: partitions.collect() };
            self.truth.create_topic(topic, &indexmap::IndexMap::new(), &assignment).await.unwrap();
        }
        for _ in 0..60 {
            if self.all_in_sync().await {
                return;
            }
            self.pass(Duration::from_millis(500)).await;
        }
        panic!("nobody leads the new topics");
    }

    pub fn start_clients(&mut self, producers: u64) {
        for number in 0..producers {
            let mut client = self.client();
            let (history, clock) = (Arc::clone(&self.history), Arc::clone(&self.clock));
            self.clients.push(tokio::spawn(async move {
                use monedula::common::Clock;
                for count in 0.. {
                    let partition = client.random.random_range(0..PARTITIONS);
                    client.produce(partition, number << 32 | count, clock.now_ms(), &history).await;
                    let pause = client.random.random_range(30..600);
                    tokio::time::sleep(client.tide.pause(pause, 20)).await;
                }
            }));
        }
        for partition in 0..PARTITIONS {
            let mut client = self.client();
            let history = Arc::clone(&self.history);
            self.clients.push(tokio::spawn(async move {
                let mut next = 0;
                loop {
                    next = client.consume(partition, next, &history).await;
                    client.rest().await;
                }
            }));
        }
    }

    /// Two who write transactions, one reader for each partition of theirs, and a group of two.
    pub fn start_coordinated(&mut self) {
        for writer in 1..=2 {
            let mut producer = TransactionalProducer::new(self.client(), writer);
            let history = Arc::clone(&self.history);
            self.clients.push(tokio::spawn(async move { producer.live(&history).await }));
        }
        for partition in 0..TX_PARTITIONS {
            let mut reader = CommittedReader::new(self.client(), partition);
            let history = Arc::clone(&self.history);
            self.clients.push(tokio::spawn(async move { reader.live(&history).await }));
        }
        for _ in 0..2 {
            let mut member =
                Member::new(self.client(), ClusterStore::new(SimStore::open(&self.tree, "member", &self.trace)));
            let history = Arc::clone(&self.history);
            self.clients.push(tokio::spawn(async move {
                loop {
                    member.live(&history).await;
                }
            }));
        }
    }

    pub fn client(&mut self) -> Client {
        let seed = self.random.random();
        Client::new(self.network.connector(CLIENTS), BROKERS.to_vec(), seed, self.tide.clone())
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
            tokio::time::sleep(self.tide.pause(250, 4)).await;
            self.look().await;
        }
    }

    pub async fn look(&mut self) {
        let partitions = partitions();
        let states = self.truth.partition_states(&partitions).await.unwrap_or_default();
        self.watch.look(&self.brokers, &partitions, &states, &mut self.history.lock().anomalies);
        for (id, broker) in &self.brokers {
            let logs = partitions.iter().filter_map(|tp| broker.services().replicas.local_log(&tp.topic, tp.partition));
            let marks = || logs.map(|log| (log.log_end_offset(), log.high_watermark())).collect::<Vec<_>>();
            self.trace.tell(|| format!("broker {id} has come to {:?}", marks()));
        }
    }

    pub async fn is_whole(&self) -> bool {
        self.brokers.len() == BROKERS.len() && self.all_in_sync().await
    }

    async fn all_in_sync(&self) -> bool {
        let states = self.truth.partition_states(&partitions()).await.unwrap_or_default();
        // The coordinators' topics are there once somebody has asked for them.
        let is_well = |state: &VersionedState| state.state.isr.len() == BROKERS.len() && state.state.leader >= 0;
        let ours = |tp: &TopicPartition| [TOPIC, TX_TOPIC].contains(&&*tp.topic);
        partitions().iter().zip(&states).all(|(tp, state)| state.as_ref().map_or(!ours(tp), is_well))
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
        // What was left open is aborted by its coordinator, which looks for it every ten seconds.
        self.pass(TX_TIMEOUT * 2 + SESSION_TIMEOUT * 2).await;
        self.read_all_that_is_committed().await;
        let contents: Vec<_> = self.brokers.iter().map(|(id, broker)| (*id, content(broker))).collect();
        let mut history = self.history.lock();
        let (first, reference) = &contents[0];
        for (other, content) in &contents[1..] {
            for (tp, records) in content {
                if reference.get(tp) != Some(records) {
                    history.anomalies.push(format!("the logs of {tp} of brokers {first} and {other} differ"));
                }
            }
        }
        let logs = reference.iter().filter(|(tp, _)| &*tp.topic == TOPIC);
        let logs = logs.flat_map(|(tp, records)| {
            let number = |(offset, value): (&i64, &Vec<u8>)| {
                Some(((tp.partition, *offset), super::clients::number_of(Some(value))?))
            };
            records.iter().filter_map(number).collect::<Vec<_>>()
        });
        history.all_acknowledged_are_in(&logs.collect());
    }

    /// Readers of committed records come to the end of every partition within a bounded time: no transaction hangs.
    async fn read_all_that_is_committed(&mut self) {
        let history = Arc::clone(&self.history);
        for partition in 0..TX_PARTITIONS {
            let mut reader = CommittedReader::new(self.client(), partition);
            let end = tokio::time::Instant::now() + Duration::from_secs(60);
            while !reader.is_at_the_end() && tokio::time::Instant::now() < end {
                reader.poll(&history).await;
            }
            if !reader.is_at_the_end() {
                history.lock().anomalies.push(format!("{TX_TOPIC}-{partition}: a transaction hangs"));
            }
        }
        let mut member =
            Member::new(self.client(), ClusterStore::new(SimStore::open(&self.tree, "member", &self.trace)));
        for partition in 0..PARTITIONS {
            let mut tries = 0;
            while !member.fetch(partition, &history, true).await {
                tries += 1;
                if tries == 30 {
                    history.lock().anomalies.push(format!("no committed offset of partition {partition} can be had"));
                    break;
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
        let mut history = history.lock();
        let History { transactions, anomalies, .. } = &mut *history;
        transactions.are_whole(anomalies);
    }
}

/// Every record of every partition, as the files have it, up to the high watermark.
type Content = BTreeMap<TopicPartition, BTreeMap<i64, Vec<u8>>>;

fn content(broker: &SimBroker) -> Content {
    let mut content = Content::new();
    for tp in partitions() {
        let Some(log) = broker.services().replicas.local_log(&tp.topic, tp.partition) else { continue };
        let records = content.entry(tp).or_default();
        for file in disk::log_files(log.dir().as_path()) {
            records.extend(every_record(&std::fs::read(file).unwrap()));
        }
        records.retain(|offset, _| *offset < log.high_watermark());
    }
    content
}

pub fn partitions() -> Vec<TopicPartition> {
    let topics =
        [(TOPIC, PARTITIONS), (TX_TOPIC, TX_PARTITIONS), (GROUP_METADATA_TOPIC, 2), (TRANSACTION_STATE_TOPIC, 2)];
    let all = topics.into_iter().flat_map(|(topic, partitions)| (0..partitions).map(move |at| (topic, at)));
    all.map(|(topic, partition)| TopicPartition::new(topic, partition)).collect()
}
