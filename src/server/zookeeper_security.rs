//! From properties and JAAS file to a protected session with ZooKeeper (`KafkaServer.initZkClient`, `JaasUtils`).
//! Better no broker than one that is less protected than its configuration says.

use std::path::Path;

use super::{java_options::JavaOptions, launch::LaunchError, zookeeper_tls};
use crate::{
    config::{BrokerConfig, def::Password},
    coordination::{DigestLogin, ZookeeperSecurity},
    security::jaas::{self, JaasConfig, LoginModule},
};

/// Java system properties, and the values they have when nobody sets them.
const LOGIN_CONFIG: &str = "java.security.auth.login.config";
const SASL_CLIENT: &str = "zookeeper.sasl.client";
const LOGIN_CONTEXT: &str = "zookeeper.sasl.clientconfig";
const DEFAULT_LOGIN_CONTEXT: &str = "Client";

pub fn security(keys: &BrokerConfig, options: &JavaOptions) -> Result<ZookeeperSecurity, LaunchError> {
    let tls = zookeeper_tls::tls(&keys.zookeeper, options)?;
    let login = match options.get(LOGIN_CONFIG) {
        Some(file) => {
            let file = file_of(file);
            login(&read(file)?, file, options)?
        }
        None => None,
    };
    let set_acl = keys.zookeeper.zookeeper_set_acl;
    let has_certificate = tls.is_some() && keys.zookeeper.zookeeper_ssl_keystore_location.is_some();
    if set_acl && login.is_none() && !has_certificate {
        return Err(LaunchError(format!(
            "zookeeper.set.acl=true needs an identity to give the nodes to: zookeeper.ssl.client.enable=true with \
             zookeeper.ssl.keystore.location, or a section {DEFAULT_LOGIN_CONTEXT} in the file that -D{LOGIN_CONFIG} in \
             KAFKA_OPTS names"
        )));
    }
    Ok(ZookeeperSecurity { set_acl, login, tls })
}

/// The property is a path or a `file:` URL; a second `=` before it tells Java to read no other file.
fn file_of(value: &str) -> &Path {
    let value = value.strip_prefix('=').unwrap_or(value);
    let value = value.strip_prefix("file:").unwrap_or(value);
    Path::new(value.strip_prefix("//").unwrap_or(value))
}

fn read(file: &Path) -> Result<String, LaunchError> {
    let refuse = |why: &dyn std::fmt::Display| LaunchError(format!("{LOGIN_CONFIG}: {}: {why}", file.display()));
    let length = std::fs::metadata(file).map_err(|fault| refuse(&fault))?.len();
    if length > jaas::FILE_BYTES_MAX as u64 {
        return Err(refuse(&format!("more than {} bytes", jaas::FILE_BYTES_MAX)));
    }
    std::fs::read_to_string(file).map_err(|fault| refuse(&fault))
}

/// The broker's login; none if the file has no section for ZooKeeper.
fn login(text: &str, file: &Path, options: &JavaOptions) -> Result<Option<DigestLogin>, LaunchError> {
    let refuse = |why: &dyn std::fmt::Display| LaunchError(format!("{LOGIN_CONFIG}: {}: {why}", file.display()));
    let property = |name: &str| options.get(name).map(str::to_owned);
    let config = JaasConfig::parse(text, &property).map_err(|fault| refuse(&fault))?;
    let section = options.get(LOGIN_CONTEXT).unwrap_or(DEFAULT_LOGIN_CONTEXT);
    let Some([module, ..]) = config.entry(section) else { return Ok(None) };
    if options.get(SASL_CLIENT).is_some_and(|value| !value.eq_ignore_ascii_case("true")) {
        return Err(refuse(&format!("it has a section {section}, but -D{SASL_CLIENT} forbids its use")));
    }
    digest_login(module).map(Some).map_err(|why| refuse(&format!("section {section}: {why}")))
}

fn digest_login(module: &LoginModule) -> Result<DigestLogin, String> {
    if module.simple_name() != "DigestLoginModule" {
        return Err(format!("{}: only DigestLoginModule (DIGEST-MD5) is built", module.class));
    }
    match (module.option("username"), module.option("password")) {
        (Some(username), Some(password)) => {
            Ok(DigestLogin { username: username.to_owned(), password: Password(password.to_owned()) })
        }
        _ => Err("DigestLoginModule needs username and password".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JAAS: &str = r#"
        KafkaServer { org.apache.kafka.common.security.plain.PlainLoginModule required username="x"; };
        Client { org.apache.zookeeper.server.auth.DigestLoginModule required username="kafka" password="hunter2"; };
        Tgt { com.sun.security.auth.module.Krb5LoginModule required useTicketCache="true"; };
        Half { org.apache.zookeeper.server.auth.DigestLoginModule required password="hunter2"; };
    "#;

    fn with(pairs: &[(&str, &str)], options: &str) -> Result<ZookeeperSecurity, LaunchError> {
        let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let connect = ("zookeeper.connect".to_owned(), "zk:2181".to_owned());
        let keys = BrokerConfig::new(pairs.chain([connect]).collect()).unwrap();
        security(&keys, &JavaOptions::parse(options))
    }

    fn with_file(set_acl: &str, options: &str) -> Result<ZookeeperSecurity, LaunchError> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("jaas.conf");
        std::fs::write(&file, JAAS).unwrap();
        with(&[("zookeeper.set.acl", set_acl)], &format!("-D{LOGIN_CONFIG}={} {options}", file.display()))
    }

    #[test]
    fn the_client_section_is_the_login_for_zookeeper() {
        let found = with_file("true", "").unwrap();
        assert!(found.set_acl);
        let login = found.login.as_ref().unwrap();
        assert_eq!((login.username.as_str(), login.password.0.as_str()), ("kafka", "hunter2"));
        assert!(!format!("{found:?}").contains("hunter2"));
    }

    #[test]
    fn without_a_section_nobody_logs_in_and_nodes_cannot_be_protected() {
        assert!(with_file("false", "-Dzookeeper.sasl.clientconfig=Other").unwrap().login.is_none());
        let fault = with_file("true", "-Dzookeeper.sasl.clientconfig=Other").unwrap_err();
        assert!(fault.0.contains("zookeeper.set.acl"), "{fault}");
        assert!(with(&[("zookeeper.set.acl", "true")], "").is_err());
        assert!(with(&[], "").unwrap().login.is_none());
    }

    #[test]
    fn what_cannot_be_done_is_refused_without_a_secret_in_the_message() {
        for options in [
            "-Dzookeeper.sasl.client=false",
            "-Dzookeeper.sasl.clientconfig=Tgt",
            "-Dzookeeper.sasl.clientconfig=Half",
            "-Djava.security.auth.login.config=/nowhere/jaas.conf",
        ] {
            let fault = with_file("false", options).err().unwrap_or_else(|| panic!("{options}"));
            assert!(fault.0.contains(LOGIN_CONFIG) && !fault.0.contains("hunter2"), "{fault}");
            assert!(!fault.0.contains('\n'), "{fault}");
        }
    }

    #[test]
    fn the_file_may_be_named_as_java_takes_it() {
        for name in ["/etc/jaas", "=/etc/jaas", "file:/etc/jaas", "file:///etc/jaas", "=file:/etc/jaas"] {
            assert_eq!(file_of(name), Path::new("/etc/jaas"), "{name}");
        }
    }
}
