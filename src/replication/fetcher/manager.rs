//! Which fetcher copies which partition (classes `AbstractFetcherManager`, `ReplicaFetcherManager`):
//! `num.replica.fetchers` per leading broker, made when needed and gone when idle.

use std::sync::{Arc, OnceLock, Weak, atomic::AtomicI64};

use indexmap::IndexMap;
use parking_lot::Mutex;
use tokio::{runtime::Handle, task::JoinHandle};

use super::{
    driver::{Fetcher, Shared},
    leader::Leader,
    session::FetchSession,
    state::InitialFetchState,
};
use crate::{
    client::{Channel, ClientConfig, Peer},
    common::{BrokerId, TopicPartition},
    metrics::catalog::fetcher::{FetcherLag, FetcherLags},
    replication::ReplicaManager,
};

/// `replica.fetch.*`
#[derive(Debug, Clone, Copy)]
pub struct FetcherConfig {
    /// Per partition.
    pub fetch_max_bytes: i32,
    pub response_max_bytes: i32,
    pub min_bytes: i32,
    pub wait_max_ms: i32,
    pub backoff_ms: i64,
}

/// What fetchers need once the broker runs.
pub struct FetcherSetup {
    pub replicas: Weak<ReplicaManager>,
    /// Where fetchers run: fetcher i of every leader on the i-th, whose number is `num.replica.fetchers`. Appending is
    /// done there too.
    pub runtimes: Vec<Handle>,
    /// The client id is made per fetcher.
    pub client: ClientConfig,
    pub config: FetcherConfig,
    pub broker_id: BrokerId,
    pub broker_epoch: Arc<AtomicI64>,
}

/// All fetchers.
#[derive(Default)]
pub struct FetcherManager {
    setup: OnceLock<FetcherSetup>,
    fetchers: Mutex<IndexMap<(BrokerId, usize), Running, ahash::RandomState>>,
}

struct Running {
    peer: Peer,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl FetcherManager {
    /// From here on partitions are copied; called once.
    pub fn start(&self, setup: FetcherSetup) {
        if setup.runtimes.is_empty() || self.setup.set(setup).is_err() {
            tracing::error!("fetchers cannot be started twice, nor without a thread");
        }
    }

    #[must_use]
    pub fn is_started(&self) -> bool {
        self.setup.get().is_some()
    }

    /// Copies `partitions` from `leader` from now on. A leader that has moved is followed to its new address.
    pub fn add(&self, leader: &Peer, partitions: Vec<(TopicPartition, InitialFetchState)>) {
        let Some(setup) = self.setup.get() else { return };
        let mut fetchers = self.fetchers.lock();
        for (tp, initial) in partitions {
            let number = fetcher_of(&tp, setup.runtimes.len());
            let key = (leader.id, number);
            if fetchers.get(&key).is_none_or(|running| running.peer != *leader || running.task.is_finished()) {
                let former = fetchers.swap_remove(&key);
                fetchers.insert(key, setup.start(leader, number, former));
            }
            let Some(running) = fetchers.get(&key) else { continue };
            running.shared.states.lock().add(&tp, &initial);
            running.shared.changed.notify_one();
        }
    }

    /// When it returns, no fetcher appends to any of `partitions`.
    pub fn remove<'a>(&self, partitions: impl IntoIterator<Item = &'a TopicPartition>) {
        let fetchers = self.fetchers.lock();
        if fetchers.is_empty() {
            return;
        }
        for tp in partitions {
            for running in fetchers.values() {
                if running.shared.states.lock().remove(tp) {
                    running.shared.changed.notify_one();
                }
            }
        }
    }

    /// Ends fetchers without partitions.
    pub fn stop_idle(&self) {
        self.fetchers.lock().retain(|_, running| {
            let is_idle = running.shared.states.lock().is_empty();
            if is_idle {
                running.task.abort();
            }
            !is_idle
        });
    }

    /// Nothing is copied any more.
    pub fn stop(&self) {
        for (_, running) in self.fetchers.lock().drain(..) {
            running.task.abort();
            *running.shared.states.lock() = super::state::FetchStates::default();
        }
    }

    /// Whether some fetcher has the partition, from a leader at that address.
    #[must_use]
    pub fn follows(&self, tp: &TopicPartition, leader: &Peer) -> bool {
        let fetchers = self.fetchers.lock();
        fetchers.values().any(|running| {
            running.peer == *leader && {
                let states = running.shared.states.lock();
                states.get(tp).is_some() || states.is_failed(tp)
            }
        })
    }

    /// How far every followed partition is behind.
    #[must_use]
    pub fn lags(&self) -> FetcherLags {
        let mut lags = FetcherLags::default();
        for ((leader, number), running) in self.fetchers.lock().iter() {
            let client_id: Arc<str> = format!("ReplicaFetcherThread-{number}-{leader}").into();
            let states = running.shared.states.lock();
            lags.failed_partitions += states.failed_count();
            lags.partitions.extend(states.iter().map(|(tp, state)| FetcherLag {
                client_id: Arc::clone(&client_id),
                topic: Arc::clone(&tp.topic),
                partition: tp.partition,
                lag: state.lag.unwrap_or(0),
            }));
        }
        lags
    }

    /// `MaxLag`, partitions that were given up, and how many fetchers there are.
    #[must_use]
    pub fn counts(&self) -> (i64, usize, usize) {
        let fetchers = self.fetchers.lock();
        let mut counts = (0, 0, fetchers.len());
        for running in fetchers.values() {
            let states = running.shared.states.lock();
            counts.0 = counts.0.max(states.max_lag());
            counts.1 += states.failed_count();
        }
        counts
    }
}

impl FetcherSetup {
    /// A new fetcher, with the partitions of the one before it.
    fn start(&self, leader: &Peer, number: usize, former: Option<Running>) -> Running {
        let shared = former.map_or_else(Arc::default, |former| {
            former.task.abort();
            former.shared
        });
        let client_id = format!("broker-{}-fetcher-{number}", self.broker_id);
        let client = Arc::new(ClientConfig { client_id, ..self.client.clone() });
        let fetcher = Fetcher {
            shared: Arc::clone(&shared),
            leader: Leader::new(Channel::new(leader.clone(), client), self.broker_id, self.config),
            replicas: Weak::clone(&self.replicas),
            broker_epoch: Arc::clone(&self.broker_epoch),
            backoff_ms: self.config.backoff_ms,
            session: FetchSession::default(),
        };
        let task = self.runtimes[number].spawn(fetcher.run());
        Running { peer: leader.clone(), shared, task }
    }
}

/// The partitions of a topic are spread over the fetchers.
fn fetcher_of(tp: &TopicPartition, fetchers: usize) -> usize {
    let topic = tp.topic.bytes().fold(0u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(u32::from(byte)));
    topic.wrapping_mul(31).wrapping_add(tp.partition.unsigned_abs()) as usize % fetchers
}
