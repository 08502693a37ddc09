//! Listeners, connections and their limits. One task per connection, one request in flight on each, as Kafka.
//!
//! Reactors are threads with a single-threaded runtime each; a connection lives on one of them, and its requests run
//! there from the first byte to the last. Between two requests it may be moved to another.

mod acceptor;
mod balance;
pub mod config;
mod connection;
mod connection_quotas;
mod handler;
mod idle;
mod memory;
mod reactor;
mod relay;
pub mod server;
#[cfg(test)]
mod tests;

pub use config::{ListenerConfig, NetworkConfig};
pub use handler::RequestHandler;
pub use server::{BoundListeners, ConnectionLimits, Server};
