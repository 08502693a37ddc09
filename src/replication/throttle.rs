//! How fast replicas that are behind may be copied (class `ReplicationQuotaManager`, KIP-73): bytes per second of
//! `leader.` and `follower.replication.throttled.rate`, for the partitions that the topic's
//! `….replication.throttled.replicas` names. Replicas in sync are never held back.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicI64, Ordering},
};

use parking_lot::Mutex;

use crate::common::BrokerId;

/// `replication.quota.window.num`, `replication.quota.window.size.seconds`
const WINDOWS: usize = 11;
const WINDOW_MS: i64 = 1000;
const UNLIMITED: i64 = i64::MAX;

/// One direction's rate.
#[derive(Debug)]
pub struct ReplicationQuota {
    /// Bytes per second. Without a limit nothing is counted.
    rate_max: AtomicI64,
    /// Begin of a window, and its bytes.
    windows: Mutex<VecDeque<(i64, u64)>>,
}

impl Default for ReplicationQuota {
    fn default() -> Self {
        Self { rate_max: AtomicI64::new(UNLIMITED), windows: Mutex::default() }
    }
}

impl ReplicationQuota {
    pub fn set_rate(&self, bytes_per_second: Option<i64>) {
        let rate_max = bytes_per_second.unwrap_or(UNLIMITED);
        if self.rate_max.swap(rate_max, Ordering::AcqRel) != rate_max {
            self.windows.lock().clear();
        }
    }

    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.rate_max.load(Ordering::Acquire) != UNLIMITED
    }

    pub fn record(&self, now_ms: i64, bytes: usize) {
        if bytes == 0 || !self.is_limited() {
            return;
        }
        let mut windows = self.windows.lock();
        match windows.back_mut() {
            Some((begin, counted)) if now_ms - *begin < WINDOW_MS => *counted += bytes as u64,
            _ => {
                windows.push_back((now_ms, bytes as u64));
                if windows.len() > WINDOWS {
                    windows.pop_front();
                }
            }
        }
    }

    /// Whether the mean over the windows is above the rate. A first window counts as a whole one from its begin.
    #[must_use]
    pub fn is_exceeded(&self, now_ms: i64) -> bool {
        let rate_max = self.rate_max.load(Ordering::Acquire);
        if rate_max == UNLIMITED {
            return false;
        }
        let mut windows = self.windows.lock();
        while windows.front().is_some_and(|(begin, _)| now_ms - begin >= WINDOW_MS * WINDOWS as i64) {
            windows.pop_front();
        }
        let Some((oldest, _)) = windows.front() else { return false };
        let elapsed_ms = (now_ms - oldest).max(WINDOW_MS);
        let bytes: u64 = windows.iter().map(|(_, bytes)| bytes).sum();
        i128::from(bytes) * 1000 > i128::from(rate_max) * i128::from(elapsed_ms)
    }
}

/// Whether a topic's list (`partition:broker`, or `*`) names this replica.
#[must_use]
pub fn is_throttled(replicas: &[String], partition: i32, broker: BrokerId) -> bool {
    replicas.iter().map(|item| item.trim()).any(|item| {
        item == "*"
            || item
                .split_once(':')
                .is_some_and(|(index, replica)| index.parse() == Ok(partition) && replica.parse() == Ok(broker))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_over_the_windows_is_held_to_the_rate() {
        let quota = ReplicationQuota::default();
        quota.record(0, 1 << 30);
        assert!(!quota.is_limited() && !quota.is_exceeded(0));
        quota.set_rate(Some(1000));
        quota.record(0, 1000);
        assert!(!quota.is_exceeded(0), "a second's worth");
        quota.record(10, 1);
        assert!(quota.is_exceeded(10));
        assert!(quota.is_exceeded(1000) && !quota.is_exceeded(1001), "time pays it off");
        // As fast as it lets us for half a minute: never far above the rate.
        let mut sent = 0;
        for now in (0..30_000).step_by(50) {
            if !quota.is_exceeded(2000 + now) {
                quota.record(2000 + now, 100);
                sent += 100;
            }
        }
        assert!((27_000..=32_000).contains(&sent), "{sent} bytes in 30 s");
        quota.set_rate(None);
        assert!(!quota.is_exceeded(40_000));
    }

    #[test]
    fn a_list_names_replicas() {
        let list = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
        assert!(is_throttled(&list("0:1, 2:3"), 2, 3));
        assert!(!is_throttled(&list("0:1,2:3"), 2, 1));
        assert!(is_throttled(&list("*"), 9, 9));
        assert!(!is_throttled(&[], 0, 0) && !is_throttled(&list(""), 0, 0));
    }
}
