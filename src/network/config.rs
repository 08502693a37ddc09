//! What the network room is told at start.

use std::{net::IpAddr, time::Duration};

use crate::transport::listener::ListenOptions;

/// One entry of `listeners`.
#[derive(Debug, Clone)]
pub struct ListenerConfig {
    pub name: String,
    /// Empty for every address of the machine.
    pub host: String,
    /// 0 for any free port; ask [`super::BoundListeners::local_addr`] which.
    pub port: u16,
    /// `listener.name.<listener>.max.connections`, else the broker's.
    pub connections_max: usize,
    /// `listener.name.<listener>.max.connection.creation.rate`, else the broker's.
    pub connection_creation_rate_max: Option<u32>,
}

impl Default for ListenerConfig {
    fn default() -> Self {
        Self {
            name: String::new(),
            host: String::new(),
            port: 0,
            connections_max: usize::MAX,
            connection_creation_rate_max: None,
        }
    }
}

/// Plain values; each names the key it comes from.
#[derive(Debug, Clone)]
pub struct NetworkConfig {
    pub listeners: Vec<ListenerConfig>,
    /// Threads that connections live on.
    pub reactors: usize,
    pub sockets: ListenOptions,
    /// `socket.request.max.bytes`
    pub request_max_bytes: usize,
    /// `queued.max.request.bytes`; `None` for no bound.
    pub queued_request_max_bytes: Option<usize>,
    /// `connections.max.idle.ms`; `None` never reaps.
    pub connections_max_idle: Option<Duration>,
    /// `max.connections`
    pub connections_max: usize,
    /// `max.connections.per.ip`
    pub connections_per_ip_max: usize,
    /// `max.connections.per.ip.overrides`, with the hosts resolved.
    pub connections_per_ip_overrides: Vec<(IpAddr, usize)>,
    /// `max.connection.creation.rate`, per second; `None` for no bound.
    pub connection_creation_rate_max: Option<u32>,
    /// `inter.broker.listener.name`: if there are others, it is not held to `max.connections`.
    pub inter_broker_listener: Option<String>,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self {
            listeners: Vec::new(),
            reactors: 1,
            sockets: ListenOptions::default(),
            request_max_bytes: 104_857_600,
            queued_request_max_bytes: None,
            connections_max_idle: Some(Duration::from_secs(600)),
            connections_max: usize::MAX,
            connections_per_ip_max: usize::MAX,
            connections_per_ip_overrides: Vec::new(),
            connection_creation_rate_max: None,
            inter_broker_listener: None,
        }
    }
}
