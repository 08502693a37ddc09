//! Log lines on standard output, as a broker under a supervisor is expected to write them.

use std::{collections::BTreeMap, sync::OnceLock};

use tracing_subscriber::{EnvFilter, Registry, fmt, layer::SubscriberExt, reload, util::SubscriberInitExt};

static LEVELS: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// `RUST_LOG` sets the levels; `info` without it.
pub fn init() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let (filter, handle) = reload::Layer::new(filter);
    let lines = fmt::layer().with_target(false).with_ansi(false);
    // A second call (tests) keeps the first.
    if tracing_subscriber::registry().with(filter).with(lines).try_init().is_ok() {
        let _ = LEVELS.set(handle);
    }
}

/// Levels changed by an admin client (KIP-412): logger name to Kafka's level, `root` for the rest.
pub fn set_levels(levels: &BTreeMap<String, String>) {
    let Some(handle) = LEVELS.get() else { return };
    let directives: Vec<String> = levels
        .iter()
        .map(|(name, level)| {
            let level = if level == "FATAL" { "ERROR" } else { level };
            if name == crate::config::loggers::ROOT {
                level.to_lowercase()
            } else {
                format!("{name}={}", level.to_lowercase())
            }
        })
        .collect();
    if let Err(fault) = handle.reload(EnvFilter::new(directives.join(","))) {
        tracing::warn!(%fault, "log levels stay as they were");
    }
}
