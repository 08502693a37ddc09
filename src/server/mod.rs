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
pub mod launch;
pub mod logging;
pub mod scheduler;
mod seat;
mod settings;
mod shutdown;
mod startup;
mod topic_configs;

pub use broker::Broker;
pub use launch::{Launch, LaunchError};

/// Runs a broker until SIGTERM or SIGINT.
pub fn run(launch: Launch) -> Result<(), LaunchError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|fault| LaunchError(format!("cannot start a runtime: {fault}")))?;
    runtime.block_on(async {
        let mut signals = shutdown::Signals::listen()?;
        let broker = Broker::start(launch).await?;
        signals.wait().await;
        broker.stop().await;
        Ok(())
    })
}
