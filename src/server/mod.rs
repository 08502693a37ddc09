//! Wiring: the order of start and stop, and the task table.

mod adopt;
mod apply;
mod background;
mod broker;
mod cleaner;
pub mod clock;
mod config_watch;
mod coordination;
mod identity;
mod java_options;
pub mod launch;
mod log_dir_failure;
pub mod logging;
mod outside;
mod peers;
mod replication;
pub mod scheduler;
mod seat;
mod settings;
mod shutdown;
mod startup;
mod topic_configs;
mod zookeeper_security;
mod zookeeper_tls;

pub use broker::Broker;
pub use coordination::Coordination;
pub use launch::{Launch, LaunchError};
pub use startup::{Core, Ground};

/// Runs a broker until SIGTERM or SIGINT. `Err` also when it could not go on: with its last log dir a broker loses its
/// reason to run, as Kafka's does (`Exit.halt(1)`).
pub fn run(launch: Launch) -> Result<(), LaunchError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|fault| LaunchError(format!("cannot start a runtime: {fault}")))?;
    let ended = runtime.block_on(async {
        let mut signals = shutdown::Signals::listen()?;
        let mut broker = tokio::select! {
            biased;
            started = Broker::start(launch) => started?,
            () = signals.lose_patience() => return Err(LaunchError("stopped before it had started".to_owned())),
        };
        tokio::select! {
            biased;
            () = broker.no_log_dir_left() => {
                broker.abandon();
                Err(LaunchError("shut down because all log dirs have failed".to_owned()))
            }
            () = signals.wait() => {
                broker.stop().await;
                Ok(())
            }
        }
    });
    // Work on a disk that has failed may never end: it is not waited for.
    runtime.shutdown_background();
    ended
}
