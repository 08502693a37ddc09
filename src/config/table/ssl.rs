//! TLS key and trust stores.

use crate::config::def::{ClassName, Password, config_keys, one_of};

config_keys! {
    /// TLS key and trust stores.
    pub struct SslKeys;

    /// Whether a new certificate may carry another subject than the one it replaces.
    ssl_allow_dn_changes: bool = "ssl.allow.dn.changes" { default: "false", importance: Low }
    /// Whether a new certificate may drop alternative names of the one it replaces.
    ssl_allow_san_changes: bool = "ssl.allow.san.changes" { default: "false", importance: Low }
    /// TLS cipher suites allowed; empty allows all.
    ssl_cipher_suites: Vec<String> = "ssl.cipher.suites" { default: "", importance: Medium, dynamic: PerBroker }
    /// Whether clients must, may or need not show a certificate: required, requested, none.
    ssl_client_auth: String = "ssl.client.auth" {
        default: "none", check: one_of(&["required", "requested", "none"]), importance: Medium, dynamic: PerBroker
    }
    /// TLS versions allowed.
    ssl_enabled_protocols: Vec<String> = "ssl.enabled.protocols" {
        default: "TLSv1.2,TLSv1.3", importance: Medium, dynamic: PerBroker
    }
    /// How a server's host name is checked; empty switches the check off.
    ssl_endpoint_identification_algorithm: String = "ssl.endpoint.identification.algorithm" {
        default: "https", importance: Low, dynamic: PerBroker
    }
    /// Java class that makes TLS engines; accepted by name.
    ssl_engine_factory_class: Option<ClassName> = "ssl.engine.factory.class" {
        default: null, importance: Low, dynamic: PerBroker
    }
    /// Password of the private key.
    ssl_key_password: Option<Password> = "ssl.key.password" { default: null, importance: Medium, dynamic: PerBroker }
    /// Java algorithm of key managers; accepted.
    ssl_keymanager_algorithm: String = "ssl.keymanager.algorithm" {
        default: "SunX509", importance: Medium, dynamic: PerBroker
    }
    /// Certificate chain as PEM text.
    ssl_keystore_certificate_chain: Option<Password> = "ssl.keystore.certificate.chain" {
        default: null, importance: Medium, dynamic: PerBroker
    }
    /// Private key as PEM text.
    ssl_keystore_key: Option<Password> = "ssl.keystore.key" { default: null, importance: Medium, dynamic: PerBroker }
    /// File with this broker's key and certificate.
    ssl_keystore_location: Option<String> = "ssl.keystore.location" {
        default: null, importance: Medium, dynamic: PerBroker
    }
    /// Password of the key store.
    ssl_keystore_password: Option<Password> = "ssl.keystore.password" {
        default: null, importance: Medium, dynamic: PerBroker
    }
    /// Format of the key store: JKS, PKCS12 or PEM.
    ssl_keystore_type: String = "ssl.keystore.type" { default: "JKS", importance: Medium, dynamic: PerBroker }
    /// Rules from certificate names to user names; first match wins.
    ssl_principal_mapping_rules: String = "ssl.principal.mapping.rules" { default: "DEFAULT", importance: Low }
    /// TLS version tried first.
    ssl_protocol: String = "ssl.protocol" { default: "TLSv1.3", importance: Medium, dynamic: PerBroker }
    /// Java security provider of TLS; accepted.
    ssl_provider: Option<String> = "ssl.provider" { default: null, importance: Medium, dynamic: PerBroker }
    /// Java random generator of TLS; accepted.
    ssl_secure_random_implementation: Option<String> = "ssl.secure.random.implementation" {
        default: null, importance: Low, dynamic: PerBroker
    }
    /// Java algorithm of trust managers; accepted.
    ssl_trustmanager_algorithm: String = "ssl.trustmanager.algorithm" {
        default: "PKIX", importance: Medium, dynamic: PerBroker
    }
    /// Trusted certificates as PEM text.
    ssl_truststore_certificates: Option<Password> = "ssl.truststore.certificates" {
        default: null, importance: Medium, dynamic: PerBroker
    }
    /// File with trusted certificates.
    ssl_truststore_location: Option<String> = "ssl.truststore.location" {
        default: null, importance: Medium, dynamic: PerBroker
    }
    /// Password of the trust store.
    ssl_truststore_password: Option<Password> = "ssl.truststore.password" {
        default: null, importance: Medium, dynamic: PerBroker
    }
    /// Format of the trust store: JKS, PKCS12 or PEM.
    ssl_truststore_type: String = "ssl.truststore.type" { default: "JKS", importance: Medium, dynamic: PerBroker }
}
