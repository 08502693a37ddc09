//! The log cleaner's settings and when it runs: from the loaded logs until just before they are closed.

use std::sync::Arc;

use crate::{
    common::Clock,
    config::{BrokerConfig, Change},
    storage::{CleanerConfig, LogCleaner, LogManager},
};

/// A running cleaner, unless `log.cleaner.enable` is false.
pub fn start(keys: &BrokerConfig, logs: &Arc<LogManager>, clock: &Arc<dyn Clock>) -> Option<Arc<LogCleaner>> {
    if !keys.log.log_cleaner_enable {
        return None;
    }
    let cleaner = LogCleaner::new(Arc::clone(logs), settings(keys), Arc::clone(clock));
    cleaner.start();
    Some(cleaner)
}

/// Gives the cleaner what the broker's dynamic configuration says now.
pub async fn reconfigure(cleaner: &Arc<LogCleaner>, keys: &BrokerConfig) {
    let (cleaner, settings) = (Arc::clone(cleaner), settings(keys));
    // A thread that is at work takes a moment to stop.
    if let Err(fault) = tokio::task::spawn_blocking(move || cleaner.reconfigure(settings)).await {
        tracing::error!(%fault, "the log cleaner did not take its new settings");
    }
}

/// Whether a change concerns the cleaner's threads.
pub fn is_concerned(change: &Change) -> bool {
    change.changed.iter().any(|key| key.starts_with("log.cleaner."))
}

fn settings(keys: &BrokerConfig) -> CleanerConfig {
    let keys = &keys.log;
    CleanerConfig {
        threads: usize::try_from(keys.log_cleaner_threads).unwrap_or(1),
        dedupe_buffer_bytes: usize::try_from(keys.log_cleaner_dedupe_buffer_size).unwrap_or(usize::MAX),
        dedupe_buffer_load_factor: keys.log_cleaner_io_buffer_load_factor,
        io_buffer_bytes: usize::try_from(keys.log_cleaner_io_buffer_size).unwrap_or(0),
        max_io_bytes_per_second: keys.log_cleaner_io_max_bytes_per_second,
        backoff_ms: keys.log_cleaner_backoff_ms,
    }
}
