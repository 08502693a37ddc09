//! Listeners, connections and their limits. One task per connection, one request in flight on each, as Kafka.
//!
//! Reactors are threads with a single-threaded runtime each; a connection lives on one of them, and its requests run
//! there from the first byte to the last.

mod acceptor;
pub mod config;
mod connection;
mod connection_quotas;
mod handler;
mod idle;
mod memory;
mod reactor;
pub mod server;
#[cfg(test)]
mod tests;

pub use config::{ListenerConfig, NetworkConfig};
pub use handler::RequestHandler;
pub use server::{BoundListeners, ConnectionLimits, Server};
