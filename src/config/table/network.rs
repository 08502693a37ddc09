//! Listeners, connections, threads, purgatories.

use crate::config::def::{Validator, at_least, config_keys, one_of};

config_keys! {
    /// Listeners, connections, threads, purgatories.
    pub struct NetworkKeys;

    /// Addresses given to clients, if they differ from `listeners`.
    advertised_listeners: Option<String> = "advertised.listeners" {
        default: null, importance: High, dynamic: PerBroker
    }
    /// Time a connection that failed to authenticate is held before it is closed.
    connection_failed_authentication_delay_ms: i32 = "connection.failed.authentication.delay.ms" {
        default: "100", check: at_least(0.0), importance: Low
    }
    /// Time after which a silent connection is closed.
    connections_max_idle_ms: i64 = "connections.max.idle.ms" { default: "600000", importance: Medium }
    /// If positive, longest life of a SASL session before the client must authenticate again.
    connections_max_reauth_ms: i64 = "connections.max.reauth.ms" { default: "0", importance: Medium }
    /// Listener reserved for requests of the controller.
    control_plane_listener_name: Option<String> = "control.plane.listener.name" { default: null, importance: High }
    /// Time the controller waits for a broker's answer.
    controller_socket_timeout_ms: i32 = "controller.socket.timeout.ms" { default: "30000", importance: Medium }
    /// Number of finished DeleteRecords waits kept before the purgatory is swept.
    delete_records_purgatory_purge_interval_requests: i32 = "delete.records.purgatory.purge.interval.requests" {
        default: "1", importance: Medium
    }
    /// Most bytes one fetch response carries, whatever the client asks for; at least one batch is sent.
    fetch_max_bytes: i32 = "fetch.max.bytes" { default: "57671680", check: at_least(1024.0), importance: Medium }
    /// Number of finished Fetch waits kept before the purgatory is swept.
    fetch_purgatory_purge_interval_requests: i32 = "fetch.purgatory.purge.interval.requests" {
        default: "1000", importance: Medium
    }
    /// Listener that brokers use among themselves.
    inter_broker_listener_name: Option<String> = "inter.broker.listener.name" { default: null, importance: Medium }
    /// Version of the protocol among brokers, for rolling upgrades.
    inter_broker_protocol_version: String = "inter.broker.protocol.version" {
        default: "3.9-IV0", check: Validator::MetadataVersion, importance: Medium
    }
    /// Which security protocol each listener name speaks, as `NAME:PROTOCOL` pairs.
    listener_security_protocol_map: String = "listener.security.protocol.map" {
        default: "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT",
        importance: Low,
        dynamic: PerBroker
    }
    /// Addresses this broker binds, as `NAME://host:port`; an empty host means every interface.
    listeners: String = "listeners" { default: "PLAINTEXT://:9092", importance: High, dynamic: PerBroker }
    /// Most new connections per second of the broker, or of one listener by prefix.
    max_connection_creation_rate: i32 = "max.connection.creation.rate" {
        default: "2147483647", check: at_least(0.0), importance: Medium, dynamic: ClusterWide
    }
    /// Most open connections of the broker, or of one listener by prefix.
    max_connections: i32 = "max.connections" {
        default: "2147483647", check: at_least(0.0), importance: Medium, dynamic: ClusterWide
    }
    /// Most open connections from one address.
    max_connections_per_ip: i32 = "max.connections.per.ip" {
        default: "2147483647", check: at_least(0.0), importance: Medium, dynamic: ClusterWide
    }
    /// Exceptions from the limit per address, as `host:limit` pairs.
    max_connections_per_ip_overrides: String = "max.connections.per.ip.overrides" {
        default: "", importance: Medium, dynamic: ClusterWide
    }
    /// Number of incremental fetch sessions kept.
    max_incremental_fetch_session_cache_slots: i32 = "max.incremental.fetch.session.cache.slots" {
        default: "1000", check: at_least(0.0), importance: Medium
    }
    /// Most partitions one DescribeTopicPartitions response may hold.
    max_request_partition_size_limit: i32 = "max.request.partition.size.limit" {
        default: "2000", check: at_least(1.0), importance: Medium
    }
    /// Number of threads that handle requests, disk access included.
    num_io_threads: i32 = "num.io.threads" {
        default: "8", check: at_least(1.0), importance: High, dynamic: ClusterWide
    }
    /// Number of threads per listener that read requests and write responses.
    num_network_threads: i32 = "num.network.threads" {
        default: "3", check: at_least(1.0), importance: High, dynamic: ClusterWide
    }
    /// Number of finished Produce waits kept before the purgatory is swept.
    producer_purgatory_purge_interval_requests: i32 = "producer.purgatory.purge.interval.requests" {
        default: "1000", importance: Medium
    }
    /// Bytes of requests held in memory before reading stops; −1 sets no limit.
    queued_max_request_bytes: i64 = "queued.max.request.bytes" { default: "-1", importance: Medium }
    /// Number of requests waiting for a handler before reading stops.
    queued_max_requests: i32 = "queued.max.requests" { default: "500", check: at_least(1.0), importance: High }
    /// Security protocol among brokers; excludes `inter.broker.listener.name`.
    security_inter_broker_protocol: String = "security.inter.broker.protocol" {
        default: "PLAINTEXT", check: one_of(&["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]), importance: Medium
    }
    /// Upper end of the growing time allowed for connecting to another broker.
    socket_connection_setup_timeout_max_ms: i64 = "socket.connection.setup.timeout.max.ms" {
        default: "30000", importance: Medium
    }
    /// Time allowed for the first attempt to connect to another broker.
    socket_connection_setup_timeout_ms: i64 = "socket.connection.setup.timeout.ms" {
        default: "10000", importance: Medium
    }
    /// Number of connections the kernel queues before they are accepted.
    socket_listen_backlog_size: i32 = "socket.listen.backlog.size" {
        default: "50", check: at_least(1.0), importance: Medium
    }
    /// Receive buffer of server sockets; −1 leaves it to the system.
    socket_receive_buffer_bytes: i32 = "socket.receive.buffer.bytes" { default: "102400", importance: High }
    /// Largest request frame accepted, in bytes.
    socket_request_max_bytes: i32 = "socket.request.max.bytes" {
        default: "104857600", check: at_least(1.0), importance: High
    }
    /// Send buffer of server sockets; −1 leaves it to the system.
    socket_send_buffer_bytes: i32 = "socket.send.buffer.bytes" { default: "102400", importance: High }
}
