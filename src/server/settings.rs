//! From the broker's keys to what each room wants to know.

use std::{
    net::{IpAddr, ToSocketAddrs},
    sync::Arc,
    time::Duration,
};

use crate::{
    admin::AdminConfig,
    client::{ClientConfig, Connector, Sockets},
    config::{BrokerConfig, Change, metadata_version::MetadataVersion, synonyms},
    coordinator::{group::GroupConfig, transaction::TransactionConfig},
    network::{ListenerConfig, NetworkConfig},
    replication::ReplicaConfig,
    storage::LogManagerConfig,
    transport::listener::ListenOptions,
};

/// `socket.receive.buffer.bytes` of Kafka's default and shipped file. Taken as "no opinion": a buffer set by hand
/// switches the kernel's own tuning off, which costs throughput on anything but a local link. (Its brother
/// `socket.send.buffer.bytes` is taken as it is: on busy cores megabytes in flight to one reader cost 0.35 CPU-s per GB
/// read, Kafka's 100 KiB 0.20; where cores are idle the two do not differ.)
const SOCKET_BUFFER_DEFAULT: i32 = 102_400;

/// Default of `replica.socket.receive.buffer.bytes`, taken in the same way.
const REPLICA_SOCKET_BUFFER_DEFAULT: i32 = 65_536;

pub fn log_manager(config: &BrokerConfig) -> LogManagerConfig {
    LogManagerConfig {
        log_dirs: config.log_dirs().to_vec(),
        recovery_threads_per_dir: usize::try_from(config.log.num_recovery_threads_per_data_dir).unwrap_or(1),
        producer_id_expiration_ms: i64::from(config.transaction.producer_id_expiration_ms),
        default_log_config: config.default_log_config(),
    }
}

pub fn replicas(config: &BrokerConfig, broker_id: i32) -> ReplicaConfig {
    ReplicaConfig {
        broker_id,
        replica_lag_time_max_ms: config.replication.replica_lag_time_max_ms,
        fetch_max_bytes: config.network.fetch_max_bytes,
    }
}

pub fn groups(config: &BrokerConfig) -> GroupConfig {
    let keys = &config.group;
    GroupConfig {
        min_session_timeout_ms: keys.group_min_session_timeout_ms,
        max_session_timeout_ms: keys.group_max_session_timeout_ms,
        max_size: keys.group_max_size,
        initial_rebalance_delay_ms: keys.group_initial_rebalance_delay_ms,
        offset_metadata_max_bytes: keys.offset_metadata_max_bytes,
        load_buffer_bytes: keys.offsets_load_buffer_size,
        offsets_retention_ms: i64::from(keys.offsets_retention_minutes) * 60_000,
        offsets_retention_check_interval_ms: keys.offsets_retention_check_interval_ms,
        commit_timeout_ms: keys.offsets_commit_timeout_ms,
        commit_required_acks: keys.offsets_commit_required_acks,
    }
}

pub fn transactions(config: &BrokerConfig) -> TransactionConfig {
    let keys = &config.transaction;
    TransactionConfig {
        transactional_id_expiration_ms: i64::from(keys.transactional_id_expiration_ms),
        max_timeout_ms: keys.transaction_max_timeout_ms,
        load_buffer_bytes: keys.transaction_state_log_load_buffer_size,
        request_timeout_ms: config.general.request_timeout_ms,
    }
}

/// `inter.broker.protocol.version`
pub fn protocol(config: &BrokerConfig) -> MetadataVersion {
    MetadataVersion::parse(&config.network.inter_broker_protocol_version)
}

pub fn admin(config: &BrokerConfig) -> AdminConfig {
    AdminConfig {
        num_partitions: config.general.num_partitions,
        default_replication_factor: saturated(config.replication.default_replication_factor),
        auto_create_topics_enable: config.general.auto_create_topics_enable,
        delete_topic_enable: config.general.delete_topic_enable,
        offsets_topic_num_partitions: config.group.offsets_topic_num_partitions,
        offsets_topic_replication_factor: config.group.offsets_topic_replication_factor,
        offsets_topic_segment_bytes: config.group.offsets_topic_segment_bytes,
        transaction_topic_num_partitions: config.transaction.transaction_state_log_num_partitions,
        transaction_topic_replication_factor: config.transaction.transaction_state_log_replication_factor,
        transaction_topic_segment_bytes: config.transaction.transaction_state_log_segment_bytes,
        transaction_topic_min_isr: config.transaction.transaction_state_log_min_isr,
        topic_ids: protocol(config).is_at_least("2.8-IV0"),
    }
}

/// Replication factors travel as 16 bits.
fn saturated(factor: i32) -> i16 {
    i16::try_from(factor).unwrap_or(i16::MAX)
}

pub fn network(config: &BrokerConfig) -> NetworkConfig {
    let keys = &config.network;
    let listeners = config.listeners().iter().map(|listener| {
        let own = |key, broker| listener_value(config, &listener.name, key).unwrap_or(broker);
        ListenerConfig {
            name: listener.name.clone(),
            host: listener.host.clone().unwrap_or_default(),
            port: listener.port,
            connections_max: unlimited(own("max.connections", keys.max_connections)),
            connection_creation_rate_max: rate(own("max.connection.creation.rate", keys.max_connection_creation_rate)),
        }
    });
    NetworkConfig {
        listeners: listeners.collect(),
        reactors: reactors(keys.num_network_threads),
        sockets: ListenOptions {
            backlog: keys.socket_listen_backlog_size,
            receive_buffer_bytes: socket_buffer(keys.socket_receive_buffer_bytes),
            send_buffer_bytes: usize::try_from(keys.socket_send_buffer_bytes).ok(),
        },
        request_max_bytes: usize::try_from(keys.socket_request_max_bytes).unwrap_or(usize::MAX),
        queued_request_max_bytes: usize::try_from(keys.queued_max_request_bytes).ok().filter(|bytes| *bytes > 0),
        connections_max_idle: u64::try_from(keys.connections_max_idle_ms).ok().map(Duration::from_millis),
        connections_max: unlimited(keys.max_connections),
        connections_per_ip_max: unlimited(keys.max_connections_per_ip),
        connections_per_ip_overrides: per_ip_overrides(&keys.max_connections_per_ip_overrides),
        connection_creation_rate_max: rate(keys.max_connection_creation_rate),
        inter_broker_listener: Some(config.inter_broker_listener().0.to_owned()),
    }
}

/// Connections to other brokers (`replica.socket.receive.buffer.bytes` and its kin leave the size to the kernel unless set).
pub fn sockets(config: &BrokerConfig) -> Sockets {
    let receive = config.replication.replica_socket_receive_buffer_bytes;
    Sockets {
        send_buffer_bytes: None,
        receive_buffer_bytes: usize::try_from(receive).ok().filter(|_| receive != REPLICA_SOCKET_BUFFER_DEFAULT),
    }
}

/// Requests to other brokers that are no fetches: to the controller, and those that end transactions.
pub fn peers(config: &BrokerConfig, client_id: String, connector: &Arc<dyn Connector>) -> Arc<ClientConfig> {
    let ms = |ms: i32| Duration::from_millis(u64::try_from(ms).unwrap_or(0).max(1));
    Arc::new(ClientConfig {
        client_id,
        request_timeout: ms(config.general.request_timeout_ms),
        connect_timeout: ms(config.general.request_timeout_ms),
        connector: Arc::clone(connector),
        response_bytes_max: usize::try_from(config.network.socket_request_max_bytes).unwrap_or(0).max(1 << 20),
    })
}

/// Never more threads than cores: a reactor is busy only as long as it has work, and fewer of them find more of it in
/// each turn.
fn reactors(network_threads: i32) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    usize::try_from(network_threads).unwrap_or(1).clamp(1, cores)
}

fn socket_buffer(bytes: i32) -> Option<usize> {
    usize::try_from(bytes).ok().filter(|_| bytes != SOCKET_BUFFER_DEFAULT)
}

/// Keys that [`network`] reads and that may change while the broker runs.
pub fn concerns_connections(change: &Change) -> bool {
    const KEYS: &[&str] = &[
        "max.connections",
        "max.connections.per.ip",
        "max.connections.per.ip.overrides",
        "max.connection.creation.rate",
    ];
    change.changed.iter().any(|name| KEYS.contains(&synonyms::listener_base_name(name).unwrap_or(name)))
}

/// A whole number under a listener's prefix.
fn listener_value(config: &BrokerConfig, listener: &str, key: &str) -> Option<i32> {
    config.original(&format!("listener.name.{}.{key}", listener.to_lowercase()))?.trim().parse().ok()
}

fn rate(per_second: i32) -> Option<u32> {
    u32::try_from(per_second).ok().filter(|rate| *rate < i32::MAX.unsigned_abs())
}

fn unlimited(limit: i32) -> usize {
    if limit == i32::MAX { usize::MAX } else { usize::try_from(limit).unwrap_or(0) }
}

/// `host:limit` pairs; a host that does not resolve is warned about, as one address fewer is no reason not to start.
fn per_ip_overrides(text: &str) -> Vec<(IpAddr, usize)> {
    let mut overrides = Vec::new();
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let Some((host, limit)) = pair.rsplit_once(':') else { continue };
        let Ok(limit) = limit.trim().parse() else { continue };
        match (host.trim(), 0).to_socket_addrs() {
            Ok(addresses) => overrides.extend(addresses.map(|address| (address.ip(), limit))),
            Err(fault) => tracing::warn!(host, %fault, "max.connections.per.ip.overrides: cannot resolve"),
        }
    }
    overrides
}
