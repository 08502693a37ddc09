//! How many connections there may be (class `ConnectionQuotas`).

use std::{collections::HashMap, net::IpAddr, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};

use super::NetworkConfig;

/// Counts connections. Beyond `max.connections`, the broker's or the listener's, an acceptor waits for one to close; beyond
/// `max.connections.per.ip` the new one is closed. All limits may change while connections are open (KIP-402, KIP-612).
pub(super) struct ConnectionQuotas {
    limits: ArcSwap<Limits>,
    counts: Mutex<Counts>,
    rates: Mutex<Rates>,
    /// A connection was closed, or a limit changed.
    changed: Notify,
}

struct Limits {
    total_max: usize,
    per_ip_max: usize,
    per_ip_overrides: HashMap<IpAddr, usize>,
    per_listener: HashMap<String, usize>,
    /// Not held to `total_max`, so that brokers reach each other whatever clients do.
    protected_listener: Option<String>,
}

impl Limits {
    fn new(config: &NetworkConfig) -> Self {
        Self {
            total_max: config.connections_max,
            per_ip_max: config.connections_per_ip_max,
            per_ip_overrides: config.connections_per_ip_overrides.iter().copied().collect(),
            per_listener: config.listeners.iter().map(|it| (it.name.clone(), it.connections_max)).collect(),
            protected_listener: config.inter_broker_listener.clone().filter(|_| config.listeners.len() > 1),
        }
    }

    fn is_protected(&self, listener: &str) -> bool {
        self.protected_listener.as_deref() == Some(listener)
    }
}

#[derive(Default)]
struct Counts {
    total: usize,
    per_ip: HashMap<IpAddr, usize>,
    per_listener: HashMap<Arc<str>, usize>,
}

/// `max.connection.creation.rate`, the broker's and each listener's.
#[derive(Default)]
struct Rates {
    broker: Option<TokenBucket>,
    listeners: HashMap<String, TokenBucket>,
}

impl Rates {
    /// A rate that stays what it was keeps its tokens.
    fn reconfigure(&mut self, config: &NetworkConfig, now: Instant) {
        let renewed = |known: Option<TokenBucket>, rate: Option<u32>| {
            rate.map(|rate| match known {
                Some(bucket) if bucket.is_of(rate) => bucket,
                _ => TokenBucket::new(rate, now),
            })
        };
        self.broker = renewed(self.broker.take(), config.connection_creation_rate_max);
        let mut known = std::mem::take(&mut self.listeners);
        for listener in &config.listeners {
            let bucket = renewed(known.remove(&listener.name), listener.connection_creation_rate_max);
            self.listeners.extend(bucket.map(|bucket| (listener.name.clone(), bucket)));
        }
    }

    fn take(&mut self, listener: &str, protected: bool, now: Instant) -> Duration {
        let own = self.listeners.get_mut(listener).map_or(Duration::ZERO, |bucket| bucket.take(now));
        let broker = self.broker.as_mut().filter(|_| !protected).map_or(Duration::ZERO, |bucket| bucket.take(now));
        own.max(broker)
    }
}

/// `Too many connections from <ip> (maximum = <n>)`
#[derive(Debug, thiserror::Error)]
#[error("Too many connections from /{ip} (maximum = {max})")]
pub(super) struct TooManyConnections {
    ip: IpAddr,
    max: usize,
}

/// A connection's place, until dropped.
pub(super) struct ConnectionSlot {
    quotas: Arc<ConnectionQuotas>,
    listener: Arc<str>,
    ip: IpAddr,
}

impl ConnectionQuotas {
    pub(super) fn new(config: &NetworkConfig) -> Self {
        let mut rates = Rates::default();
        rates.reconfigure(config, Instant::now());
        Self {
            limits: ArcSwap::from_pointee(Limits::new(config)),
            counts: Mutex::default(),
            rates: Mutex::new(rates),
            changed: Notify::new(),
        }
    }

    /// Takes the limits of `config`. Connections beyond a lower one stay.
    pub(super) fn reconfigure(&self, config: &NetworkConfig) {
        self.limits.store(Arc::new(Limits::new(config)));
        self.rates.lock().reconfigure(config, Instant::now());
        self.changed.notify_waiters();
    }

    /// Waits until the rate and the number of connections allow another one, and counts it.
    pub(super) async fn admit(
        self: &Arc<Self>,
        listener: &str,
        ip: IpAddr,
    ) -> Result<ConnectionSlot, TooManyConnections> {
        let protected = self.limits.load().is_protected(listener);
        let delay = self.rates.lock().take(listener, protected, Instant::now());
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(outcome) = self.try_count(listener, ip) {
                return outcome;
            }
            changed.await;
        }
    }

    /// `None` if there are `max.connections` already.
    fn try_count(self: &Arc<Self>, listener: &str, ip: IpAddr) -> Option<Result<ConnectionSlot, TooManyConnections>> {
        let limits = self.limits.load();
        let mut counts = self.counts.lock();
        let own = counts.per_listener.get(listener).copied().unwrap_or(0);
        let own_max = limits.per_listener.get(listener).copied().unwrap_or(usize::MAX);
        if own >= own_max || counts.total >= limits.total_max && !limits.is_protected(listener) {
            return None;
        }
        let max = limits.per_ip_overrides.get(&ip).copied().unwrap_or(limits.per_ip_max);
        let count = counts.per_ip.get(&ip).copied().unwrap_or(0);
        if count >= max {
            return Some(Err(TooManyConnections { ip, max }));
        }
        let known = counts.per_listener.get_key_value(listener).map(|(name, _)| Arc::clone(name));
        let listener = known.unwrap_or_else(|| listener.into());
        counts.per_ip.insert(ip, count + 1);
        counts.per_listener.insert(Arc::clone(&listener), own + 1);
        counts.total += 1;
        Some(Ok(ConnectionSlot { quotas: Arc::clone(self), listener, ip }))
    }

    pub(super) fn total(&self) -> usize {
        self.counts.lock().total
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let mut counts = self.quotas.counts.lock();
        counts.total = counts.total.saturating_sub(1);
        if let Some(count) = counts.per_listener.get_mut(&self.listener) {
            *count = count.saturating_sub(1);
        }
        if let Some(count) = counts.per_ip.get_mut(&self.ip) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.per_ip.remove(&self.ip);
            }
        }
        drop(counts);
        self.quotas.changed.notify_waiters();
    }
}

/// So many per second, as many at once.
struct TokenBucket {
    per_second: f64,
    /// Negative while connections wait.
    tokens: f64,
    filled_at: Instant,
}

impl TokenBucket {
    fn new(rate: u32, now: Instant) -> Self {
        let per_second = f64::from(rate.max(1));
        Self { per_second, tokens: per_second, filled_at: now }
    }

    fn is_of(&self, rate: u32) -> bool {
        self.per_second == f64::from(rate.max(1))
    }

    /// Takes one, and says how long to wait until it is there.
    fn take(&mut self, now: Instant) -> Duration {
        let passed = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.filled_at = now;
        self.tokens = (self.tokens + passed * self.per_second).min(self.per_second) - 1.0;
        Duration::from_secs_f64((-self.tokens / self.per_second).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::network::ListenerConfig;

    const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const AWAY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

    fn quotas(config: NetworkConfig) -> Arc<ConnectionQuotas> {
        Arc::new(ConnectionQuotas::new(&config))
    }

    #[tokio::test]
    async fn an_address_may_have_so_many_and_overrides_win() {
        let config = NetworkConfig {
            connections_per_ip_max: 1,
            connections_per_ip_overrides: vec![(AWAY, 2)],
            ..Default::default()
        };
        let quotas = quotas(config);
        let slot = quotas.admit("PLAINTEXT", HOME).await.unwrap();
        let fault = quotas.admit("PLAINTEXT", HOME).await.err().unwrap();
        assert_eq!(fault.to_string(), "Too many connections from /127.0.0.1 (maximum = 1)");
        let others = [quotas.admit("PLAINTEXT", AWAY).await.unwrap(), quotas.admit("PLAINTEXT", AWAY).await.unwrap()];
        assert!(quotas.admit("PLAINTEXT", AWAY).await.is_err());
        drop(slot);
        quotas.admit("PLAINTEXT", HOME).await.unwrap();
        drop(others);
        assert_eq!(quotas.total(), 0);
    }

    #[tokio::test]
    async fn beyond_the_total_an_acceptor_waits() {
        let quotas = quotas(NetworkConfig { connections_max: 1, ..Default::default() });
        let slot = quotas.admit("PLAINTEXT", HOME).await.unwrap();
        let waiting = tokio::spawn({
            let quotas = Arc::clone(&quotas);
            async move { quotas.admit("PLAINTEXT", AWAY).await.unwrap() }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(slot);
        waiting.await.unwrap();
    }

    /// `admit` on a task of its own, which has run as far as it can.
    async fn begin(quotas: &Arc<ConnectionQuotas>, listener: &'static str) -> tokio::task::JoinHandle<ConnectionSlot> {
        let quotas = Arc::clone(quotas);
        let task = tokio::spawn(async move { quotas.admit(listener, HOME).await.unwrap() });
        tokio::task::yield_now().await;
        task
    }

    /// Two listeners; OTHER, where the brokers meet, has a limit of its own.
    fn two_listeners(total: usize, other: usize) -> NetworkConfig {
        let listener = |name: &str, connections_max| ListenerConfig {
            name: name.to_owned(),
            connections_max,
            ..ListenerConfig::default()
        };
        NetworkConfig {
            listeners: vec![listener("PLAINTEXT", total), listener("OTHER", other)],
            connections_max: total,
            inter_broker_listener: Some("OTHER".to_owned()),
            ..Default::default()
        }
    }

    #[tokio::test]
    async fn a_listener_is_held_to_its_own_number_too() {
        let quotas = quotas(two_listeners(1, 2));
        let client = quotas.admit("PLAINTEXT", HOME).await.unwrap();
        // The total is reached, which does not count where the brokers meet, until that is full itself.
        let brokers = [quotas.admit("OTHER", HOME).await.unwrap(), quotas.admit("OTHER", HOME).await.unwrap()];
        let third = begin(&quotas, "OTHER").await;
        assert!(!third.is_finished());
        drop(client);
        tokio::task::yield_now().await;
        assert!(!third.is_finished(), "another listener's place is none");
        drop(brokers);
        third.await.unwrap();
    }

    #[tokio::test]
    async fn a_raised_limit_lets_in_who_waits() {
        let quotas = quotas(two_listeners(10, 1));
        let _first = quotas.admit("OTHER", HOME).await.unwrap();
        let second = begin(&quotas, "OTHER").await;
        assert!(!second.is_finished());
        quotas.reconfigure(&two_listeners(10, 2));
        let _second = second.await.unwrap();
        // A lowered one closes nobody, and lets nobody else in.
        quotas.reconfigure(&NetworkConfig { connections_per_ip_max: 1, ..two_listeners(10, 5) });
        assert!(quotas.admit("OTHER", HOME).await.is_err());
        assert_eq!(quotas.total(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_listener_may_have_a_rate_of_its_own() {
        let mut config = two_listeners(100, 100);
        config.listeners[1].connection_creation_rate_max = Some(1);
        let quotas = quotas(config.clone());
        let start = Instant::now();
        let _first = quotas.admit("OTHER", HOME).await.unwrap();
        // Unchanged, it keeps count.
        quotas.reconfigure(&config);
        let _free = quotas.admit("PLAINTEXT", HOME).await.unwrap();
        assert_eq!(start.elapsed(), Duration::ZERO);
        let _second = quotas.admit("OTHER", HOME).await.unwrap();
        assert_eq!(start.elapsed(), Duration::from_secs(1));
    }

    #[test]
    fn the_rate_delays() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(10, start);
        assert!((0..10).all(|_| bucket.take(start).is_zero()));
        assert_eq!(bucket.take(start), Duration::from_millis(100));
        assert_eq!(bucket.take(start), Duration::from_millis(200));
        assert!(bucket.take(start + Duration::from_secs(1)).is_zero());
    }
}
