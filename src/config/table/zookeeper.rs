//! How ZooKeeper is reached.

use crate::config::def::{Password, at_least, config_keys};

config_keys! {
    /// How ZooKeeper is reached.
    pub struct ZookeeperKeys;

    /// Java class of ZooKeeper's socket; TLS asks for `org.apache.zookeeper.ClientCnxnSocketNetty`. Accepted by name.
    zookeeper_client_cnxn_socket: Option<String> = "zookeeper.clientCnxnSocket" { default: null, importance: Medium }
    /// ZooKeeper servers as `host:port,…`, with an optional path as root; without it the store is embedded.
    zookeeper_connect: Option<String> = "zookeeper.connect" { default: null, importance: High }
    /// Time allowed for reaching ZooKeeper; the session timeout if not given.
    zookeeper_connection_timeout_ms: Option<i32> = "zookeeper.connection.timeout.ms" {
        default: null, importance: High
    }
    /// Number of requests sent to ZooKeeper before one is answered.
    zookeeper_max_in_flight_requests: i32 = "zookeeper.max.in.flight.requests" {
        default: "10", check: at_least(1.0), importance: High
    }
    /// Whether this broker takes part in a migration to KRaft.
    zookeeper_metadata_migration_enable: bool = "zookeeper.metadata.migration.enable" {
        default: "false", importance: High
    }
    /// Least number of records in a batch of the migration.
    zookeeper_metadata_migration_min_batch_size: i32 = "zookeeper.metadata.migration.min.batch.size" {
        default: "200", check: at_least(1.0), importance: Medium, internal: true
    }
    /// Silence after which ZooKeeper ends this broker's session.
    zookeeper_session_timeout_ms: i32 = "zookeeper.session.timeout.ms" { default: "18000", importance: High }
    /// Whether znodes are created so that only brokers may change them.
    zookeeper_set_acl: bool = "zookeeper.set.acl" { default: "false", importance: High }
    /// TLS cipher suites towards ZooKeeper.
    zookeeper_ssl_cipher_suites: Option<Vec<String>> = "zookeeper.ssl.cipher.suites" {
        default: null, importance: Low
    }
    /// Whether ZooKeeper is reached over TLS.
    zookeeper_ssl_client_enable: bool = "zookeeper.ssl.client.enable" { default: "false", importance: Medium }
    /// Whether certificate revocation lists are checked for ZooKeeper.
    zookeeper_ssl_crl_enable: bool = "zookeeper.ssl.crl.enable" { default: "false", importance: Low }
    /// TLS versions allowed towards ZooKeeper.
    zookeeper_ssl_enabled_protocols: Option<Vec<String>> = "zookeeper.ssl.enabled.protocols" {
        default: null, importance: Low
    }
    /// How ZooKeeper's host name is checked; TLS without the check is not built.
    zookeeper_ssl_endpoint_identification_algorithm: String = "zookeeper.ssl.endpoint.identification.algorithm" {
        default: "HTTPS", importance: Low
    }
    /// File with the client certificate shown to ZooKeeper.
    zookeeper_ssl_keystore_location: Option<String> = "zookeeper.ssl.keystore.location" {
        default: null, importance: Medium
    }
    /// Password of the key store used for ZooKeeper.
    zookeeper_ssl_keystore_password: Option<Password> = "zookeeper.ssl.keystore.password" {
        default: null, importance: Medium
    }
    /// Format of the key store used for ZooKeeper.
    zookeeper_ssl_keystore_type: Option<String> = "zookeeper.ssl.keystore.type" { default: null, importance: Medium }
    /// Whether certificate status is asked for over OCSP for ZooKeeper.
    zookeeper_ssl_ocsp_enable: bool = "zookeeper.ssl.ocsp.enable" { default: "false", importance: Low }
    /// TLS version used towards ZooKeeper, unless several are enabled.
    zookeeper_ssl_protocol: String = "zookeeper.ssl.protocol" { default: "TLSv1.2", importance: Low }
    /// File with the authorities trusted for ZooKeeper.
    zookeeper_ssl_truststore_location: Option<String> = "zookeeper.ssl.truststore.location" {
        default: null, importance: Medium
    }
    /// Password of the trust store used for ZooKeeper.
    zookeeper_ssl_truststore_password: Option<Password> = "zookeeper.ssl.truststore.password" {
        default: null, importance: Medium
    }
    /// Format of the trust store used for ZooKeeper.
    zookeeper_ssl_truststore_type: Option<String> = "zookeeper.ssl.truststore.type" {
        default: null, importance: Medium
    }
}
