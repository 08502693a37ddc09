//! Authorizer, delegation tokens, passwords kept in ZooKeeper, principals.

use crate::config::def::{ClassName, Password, Validator, at_least, config_keys};

config_keys! {
    /// Authorizer, delegation tokens, passwords kept in ZooKeeper, principals.
    pub struct SecurityKeys;

    /// Authorizer, by Kafka's class name; empty allows everything.
    authorizer_class_name: String = "authorizer.class.name" {
        default: "", check: Validator::NonNull, importance: Low
    }
    /// Time between searches for expired delegation tokens.
    delegation_token_expiry_check_interval_ms: i64 = "delegation.token.expiry.check.interval.ms" {
        default: "3600000", check: at_least(1.0), importance: Low
    }
    /// Time a delegation token is valid before it must be renewed.
    delegation_token_expiry_time_ms: i64 = "delegation.token.expiry.time.ms" {
        default: "86400000", check: at_least(1.0), importance: Medium
    }
    /// Old name of the key that signs delegation tokens.
    delegation_token_master_key: Option<Password> = "delegation.token.master.key" {
        default: null, importance: Medium
    }
    /// Longest life of a delegation token, renewals included.
    delegation_token_max_lifetime_ms: i64 = "delegation.token.max.lifetime.ms" {
        default: "604800000", check: at_least(1.0), importance: Medium
    }
    /// Key that signs delegation tokens; the same on every broker.
    delegation_token_secret_key: Option<Password> = "delegation.token.secret.key" {
        default: null, importance: Medium
    }
    /// Cipher for passwords kept in ZooKeeper.
    password_encoder_cipher_algorithm: String = "password.encoder.cipher.algorithm" {
        default: "AES/CBC/PKCS5Padding", importance: Low
    }
    /// Rounds of key derivation for those passwords.
    password_encoder_iterations: i32 = "password.encoder.iterations" {
        default: "4096", check: at_least(1024.0), importance: Low
    }
    /// Bits of the derived key.
    password_encoder_key_length: i32 = "password.encoder.key.length" {
        default: "128", check: at_least(8.0), importance: Low
    }
    /// Key derivation for those passwords; the best available if not given.
    password_encoder_keyfactory_algorithm: Option<String> = "password.encoder.keyfactory.algorithm" {
        default: null, importance: Low
    }
    /// Former secret, needed once when the secret is changed.
    password_encoder_old_secret: Option<Password> = "password.encoder.old.secret" {
        default: null, importance: Medium
    }
    /// Secret that protects passwords kept in ZooKeeper.
    password_encoder_secret: Option<Password> = "password.encoder.secret" { default: null, importance: Medium }
    /// Class that makes a principal of a connection; known ones are mapped by name.
    principal_builder_class: ClassName = "principal.builder.class" {
        default: "org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder",
        importance: Medium,
        dynamic: PerBroker
    }
}
