//! Log lines on standard output, as a broker under a supervisor is expected to write them.

use tracing_subscriber::{EnvFilter, fmt};

/// `RUST_LOG` sets the levels; `info` without it.
pub fn init() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // A second call (tests) keeps the first.
    let _ = fmt().with_env_filter(filter).with_target(false).with_ansi(false).try_init();
}
