//! Requests to other brokers: one connection per channel, one request in flight on it. Knows nothing of what is asked;
//! when to try again is the caller's business.

mod channel;
mod connect;
mod controller_channel;
mod error;
mod wire;

pub use channel::Channel;
pub use connect::{Connector, Sockets};
pub use controller_channel::ControllerChannel;
pub use error::ClientError;

use std::{sync::Arc, time::Duration};

use crate::{common::BrokerId, metadata::BrokerImage};

/// What all channels of one use share.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// As it appears in the other broker's quotas and logs.
    pub client_id: String,
    /// From the first byte sent to the last byte received.
    pub request_timeout: Duration,
    /// `socket.connection.setup.timeout.ms`.
    pub connect_timeout: Duration,
    /// Where connections come from.
    pub connector: Arc<dyn Connector>,
    /// A longer response closes the connection.
    pub response_bytes_max: usize,
}

/// A broker, and where its peers reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    pub id: BrokerId,
    pub host: String,
    pub port: u16,
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "broker {} at {}:{}", self.id, self.host, self.port)
    }
}

/// Where a broker listens for its peers (`inter.broker.listener.name`); `None` if it has no such listener.
#[must_use]
pub fn peer_of(broker: &BrokerImage, inter_broker_listener: &str) -> Option<Peer> {
    let endpoint = broker.endpoints.iter().find(|endpoint| endpoint.listener == inter_broker_listener)?;
    Some(Peer { id: broker.id, host: endpoint.host.clone(), port: endpoint.port })
}
