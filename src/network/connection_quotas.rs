//! How many connections there may be (class `ConnectionQuotas`).

use std::{collections::HashMap, net::IpAddr, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{sync::Notify, time::Instant};

use super::NetworkConfig;

/// Counts connections. Beyond `max.connections` an acceptor waits for one to close; beyond `max.connections.per.ip` the
/// new one is closed.
pub(super) struct ConnectionQuotas {
    total_max: usize,
    per_ip_max: usize,
    per_ip_overrides: HashMap<IpAddr, usize>,
    /// Not held to `total_max`, so that brokers reach each other whatever clients do.
    protected_listener: Option<String>,
    counts: Mutex<Counts>,
    rate: Option<Mutex<TokenBucket>>,
    closed: Notify,
}

#[derive(Default)]
struct Counts {
    total: usize,
    per_ip: HashMap<IpAddr, usize>,
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
    ip: IpAddr,
}

impl ConnectionQuotas {
    pub(super) fn new(config: &NetworkConfig) -> Self {
        Self {
            total_max: config.connections_max,
            per_ip_max: config.connections_per_ip_max,
            per_ip_overrides: config.connections_per_ip_overrides.iter().copied().collect(),
            protected_listener: config.inter_broker_listener.clone().filter(|_| config.listeners.len() > 1),
            counts: Mutex::default(),
            rate: config.connection_creation_rate_max.map(|rate| Mutex::new(TokenBucket::new(rate, Instant::now()))),
            closed: Notify::new(),
        }
    }

    /// Waits until the rate and the number of connections allow another one, and counts it.
    pub(super) async fn admit(
        self: &Arc<Self>,
        listener: &str,
        ip: IpAddr,
    ) -> Result<ConnectionSlot, TooManyConnections> {
        let protected = self.protected_listener.as_deref() == Some(listener);
        if let Some(rate) = self.rate.as_ref().filter(|_| !protected) {
            let delay = rate.lock().take(Instant::now());
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
        }
        loop {
            let closed = self.closed.notified();
            tokio::pin!(closed);
            closed.as_mut().enable();
            if let Some(outcome) = self.try_count(ip, protected) {
                return outcome;
            }
            closed.await;
        }
    }

    /// `None` if there are `max.connections` already.
    fn try_count(self: &Arc<Self>, ip: IpAddr, protected: bool) -> Option<Result<ConnectionSlot, TooManyConnections>> {
        let mut counts = self.counts.lock();
        if counts.total >= self.total_max && !protected {
            return None;
        }
        let max = self.per_ip_overrides.get(&ip).copied().unwrap_or(self.per_ip_max);
        let count = counts.per_ip.get(&ip).copied().unwrap_or(0);
        if count >= max {
            return Some(Err(TooManyConnections { ip, max }));
        }
        counts.per_ip.insert(ip, count + 1);
        counts.total += 1;
        Some(Ok(ConnectionSlot { quotas: Arc::clone(self), ip }))
    }

    pub(super) fn total(&self) -> usize {
        self.counts.lock().total
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let mut counts = self.quotas.counts.lock();
        counts.total = counts.total.saturating_sub(1);
        if let Some(count) = counts.per_ip.get_mut(&self.ip) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.per_ip.remove(&self.ip);
            }
        }
        drop(counts);
        self.quotas.closed.notify_waiters();
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
