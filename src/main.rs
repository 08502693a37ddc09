//! `monedula [server.properties] [--override key=value]…`

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use monedula::server::{self, launch::Launch};

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A drop-in replacement for an Apache Kafka 3.9 broker in ZooKeeper mode.
#[derive(Parser)]
#[command(name = "monedula", version)]
struct Arguments {
    /// An Apache Kafka server.properties; without it a broker for development starts on localhost:9092, with its data
    /// in ./monedula-data.
    properties: Option<PathBuf>,

    /// Sets a property over the file's; may be given many times.
    #[arg(long = "override", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    server::logging::init();
    let launch = match Launch::load(arguments.properties.as_deref(), &arguments.overrides) {
        Ok(launch) => launch,
        Err(fault) => return refused(&fault),
    };
    match server::run(launch) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => refused(&fault),
    }
}

/// One line that says why there is no broker.
fn refused(fault: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("monedula: {fault}");
    ExitCode::FAILURE
}
