//! SASL mechanisms and logins.

use crate::config::def::{ClassName, Password, config_keys};

config_keys! {
    /// SASL mechanisms and logins.
    pub struct SaslKeys;

    /// Java class that answers SASL callbacks of this broker as client.
    sasl_client_callback_handler_class: Option<ClassName> = "sasl.client.callback.handler.class" {
        default: null, importance: Medium
    }
    /// SASL mechanisms offered.
    sasl_enabled_mechanisms: Vec<String> = "sasl.enabled.mechanisms" {
        default: "GSSAPI", importance: Medium, dynamic: PerBroker
    }
    /// Login configuration in JAAS form, per listener and mechanism.
    sasl_jaas_config: Option<Password> = "sasl.jaas.config" { default: null, importance: Medium, dynamic: PerBroker }
    /// Path of kinit.
    sasl_kerberos_kinit_cmd: String = "sasl.kerberos.kinit.cmd" {
        default: "/usr/bin/kinit", importance: Medium, dynamic: PerBroker
    }
    /// Least time in milliseconds between two Kerberos logins.
    sasl_kerberos_min_time_before_relogin: i64 = "sasl.kerberos.min.time.before.relogin" {
        default: "60000", importance: Medium, dynamic: PerBroker
    }
    /// Rules from Kerberos principals to user names; first match wins.
    sasl_kerberos_principal_to_local_rules: Vec<String> = "sasl.kerberos.principal.to.local.rules" {
        default: "DEFAULT", importance: Medium, dynamic: PerBroker
    }
    /// Kerberos service name of the brokers.
    sasl_kerberos_service_name: Option<String> = "sasl.kerberos.service.name" {
        default: null, importance: Medium, dynamic: PerBroker
    }
    /// Random share added to the ticket renewal time.
    sasl_kerberos_ticket_renew_jitter: f64 = "sasl.kerberos.ticket.renew.jitter" {
        default: "0.05", importance: Medium, dynamic: PerBroker
    }
    /// Share of a ticket's life after which it is renewed.
    sasl_kerberos_ticket_renew_window_factor: f64 = "sasl.kerberos.ticket.renew.window.factor" {
        default: "0.8", importance: Medium, dynamic: PerBroker
    }
    /// Java class that answers login callbacks.
    sasl_login_callback_handler_class: Option<ClassName> = "sasl.login.callback.handler.class" {
        default: null, importance: Medium
    }
    /// Java class that does the login.
    sasl_login_class: Option<ClassName> = "sasl.login.class" { default: null, importance: Medium }
    /// Time allowed for connecting to the token provider.
    sasl_login_connect_timeout_ms: Option<i32> = "sasl.login.connect.timeout.ms" { default: null, importance: Low }
    /// Time allowed for reading from the token provider.
    sasl_login_read_timeout_ms: Option<i32> = "sasl.login.read.timeout.ms" { default: null, importance: Low }
    /// Seconds kept free between a refresh and a credential's end.
    sasl_login_refresh_buffer_seconds: i16 = "sasl.login.refresh.buffer.seconds" {
        default: "300", importance: Medium, dynamic: PerBroker
    }
    /// Least seconds between two refreshes of a credential.
    sasl_login_refresh_min_period_seconds: i16 = "sasl.login.refresh.min.period.seconds" {
        default: "60", importance: Medium, dynamic: PerBroker
    }
    /// Share of a credential's life after which it is refreshed.
    sasl_login_refresh_window_factor: f64 = "sasl.login.refresh.window.factor" {
        default: "0.8", importance: Medium, dynamic: PerBroker
    }
    /// Random share of the life added to that point.
    sasl_login_refresh_window_jitter: f64 = "sasl.login.refresh.window.jitter" {
        default: "0.05", importance: Medium, dynamic: PerBroker
    }
    /// Longest pause between attempts to log in.
    sasl_login_retry_backoff_max_ms: i64 = "sasl.login.retry.backoff.max.ms" { default: "10000", importance: Low }
    /// First pause between attempts to log in.
    sasl_login_retry_backoff_ms: i64 = "sasl.login.retry.backoff.ms" { default: "100", importance: Low }
    /// KRaft only: SASL mechanism towards controllers.
    sasl_mechanism_controller_protocol: String = "sasl.mechanism.controller.protocol" {
        default: "GSSAPI", importance: High
    }
    /// SASL mechanism among brokers.
    sasl_mechanism_inter_broker_protocol: String = "sasl.mechanism.inter.broker.protocol" {
        default: "GSSAPI", importance: Medium, dynamic: PerBroker
    }
    /// Seconds by which clocks may differ when a token is judged.
    sasl_oauthbearer_clock_skew_seconds: i32 = "sasl.oauthbearer.clock.skew.seconds" {
        default: "30", importance: Low
    }
    /// Audiences of which a token must name one.
    sasl_oauthbearer_expected_audience: Option<Vec<String>> = "sasl.oauthbearer.expected.audience" {
        default: null, importance: Low
    }
    /// Issuer a token must name.
    sasl_oauthbearer_expected_issuer: Option<String> = "sasl.oauthbearer.expected.issuer" {
        default: null, importance: Low
    }
    /// Time between reloads of the token keys.
    sasl_oauthbearer_jwks_endpoint_refresh_ms: i64 = "sasl.oauthbearer.jwks.endpoint.refresh.ms" {
        default: "3600000", importance: Low
    }
    /// Longest pause between attempts to load the token keys.
    sasl_oauthbearer_jwks_endpoint_retry_backoff_max_ms: i64 = "sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms" {
        default: "10000", importance: Low
    }
    /// First pause between attempts to load the token keys.
    sasl_oauthbearer_jwks_endpoint_retry_backoff_ms: i64 = "sasl.oauthbearer.jwks.endpoint.retry.backoff.ms" {
        default: "100", importance: Low
    }
    /// Where the token keys are loaded from: http(s) or file.
    sasl_oauthbearer_jwks_endpoint_url: Option<String> = "sasl.oauthbearer.jwks.endpoint.url" {
        default: null, importance: Medium
    }
    /// Claim of a token that holds its scope.
    sasl_oauthbearer_scope_claim_name: String = "sasl.oauthbearer.scope.claim.name" {
        default: "scope", importance: Low
    }
    /// Claim of a token that holds its subject.
    sasl_oauthbearer_sub_claim_name: String = "sasl.oauthbearer.sub.claim.name" { default: "sub", importance: Low }
    /// Where this broker gets its own token from.
    sasl_oauthbearer_token_endpoint_url: Option<String> = "sasl.oauthbearer.token.endpoint.url" {
        default: null, importance: Medium
    }
    /// Java class that answers SASL callbacks of this broker as server.
    sasl_server_callback_handler_class: Option<ClassName> = "sasl.server.callback.handler.class" {
        default: null, importance: Medium
    }
    /// Largest message accepted before and during authentication, in bytes.
    sasl_server_max_receive_size: i32 = "sasl.server.max.receive.size" { default: "524288", importance: Medium }
}
