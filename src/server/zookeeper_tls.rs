//! `zookeeper.ssl.*` and `zookeeper.clientCnxnSocket` (`KafkaConfig.zkTlsClientAuthEnabled`, ZooKeeper's
//! `ClientX509Util`). What cannot be done is refused by name.

use super::{java_options::JavaOptions, launch::LaunchError};
use crate::{
    config::{def::Password, table::zookeeper::ZookeeperKeys},
    coordination::ZookeeperTls,
    security::{
        keystore::{self, KeystoreError, STORE_BYTES_MAX, StoreType},
        tls::{Protocol, TlsChoice},
    },
};

const NETTY: &str = "org.apache.zookeeper.ClientCnxnSocketNetty";
const NIO: &str = "org.apache.zookeeper.ClientCnxnSocketNIO";

/// `None` if ZooKeeper is reached in clear.
pub fn tls(keys: &ZookeeperKeys, options: &JavaOptions) -> Result<Option<ZookeeperTls>, LaunchError> {
    refuse_system_properties(keys, options)?;
    let socket = keys.zookeeper_client_cnxn_socket.as_deref().map(str::trim);
    if let Some(other) = socket.filter(|name| ![NETTY, NIO].contains(name)) {
        return Err(refuse("zookeeper.clientCnxnSocket", other, "no such class is built in"));
    }
    if !keys.zookeeper_ssl_client_enable {
        return Ok(None);
    }
    if socket != Some(NETTY) {
        let why = format!("it needs zookeeper.clientCnxnSocket={NETTY}");
        return Err(refuse("zookeeper.ssl.client.enable", "true", why));
    }
    refuse_what_is_not_built(keys)?;
    let trusted = Store {
        location: ("zookeeper.ssl.truststore.location", keys.zookeeper_ssl_truststore_location.as_deref()),
        kind: ("zookeeper.ssl.truststore.type", keys.zookeeper_ssl_truststore_type.as_deref()),
        password: keys.zookeeper_ssl_truststore_password.as_ref(),
    };
    let own = Store {
        location: ("zookeeper.ssl.keystore.location", keys.zookeeper_ssl_keystore_location.as_deref()),
        kind: ("zookeeper.ssl.keystore.type", keys.zookeeper_ssl_keystore_type.as_deref()),
        password: keys.zookeeper_ssl_keystore_password.as_ref(),
    };
    let Some(authorities) = trusted.read(keystore::authorities)? else {
        return Err(refuse("zookeeper.ssl.client.enable", "true", "it needs zookeeper.ssl.truststore.location"));
    };
    let identity = own.read(keystore::identity)?;
    let provider =
        choice(keys)?.provider().map_err(|why| LaunchError(format!("zookeeper.ssl.cipher.suites: {why}")))?;
    let tls = ZookeeperTls::new(authorities, identity, provider);
    tls.map(Some).map_err(|why| LaunchError(format!("zookeeper.ssl.*: {why}")))
}

fn refuse(key: &str, value: &str, why: impl std::fmt::Display) -> LaunchError {
    LaunchError(format!("{key}={value}: {why}"))
}

/// Kafka falls back to these where a key is not given. Here they would be passed over in silence.
fn refuse_system_properties(keys: &ZookeeperKeys, options: &JavaOptions) -> Result<(), LaunchError> {
    let pairs = [
        ("zookeeper.client.secure", "zookeeper.ssl.client.enable", keys.zookeeper_ssl_client_enable),
        ("zookeeper.clientCnxnSocket", "zookeeper.clientCnxnSocket", keys.zookeeper_client_cnxn_socket.is_some()),
        (
            "zookeeper.ssl.keyStore.location",
            "zookeeper.ssl.keystore.location",
            keys.zookeeper_ssl_keystore_location.is_some(),
        ),
        (
            "zookeeper.ssl.trustStore.location",
            "zookeeper.ssl.truststore.location",
            keys.zookeeper_ssl_truststore_location.is_some(),
        ),
    ];
    match pairs.into_iter().find(|(property, _, given)| options.get(property).is_some() && !given) {
        Some((property, key, _)) => {
            Err(LaunchError(format!("-D{property} in KAFKA_OPTS is not read: set {key} in the broker's properties")))
        }
        None => Ok(()),
    }
}

fn refuse_what_is_not_built(keys: &ZookeeperKeys) -> Result<(), LaunchError> {
    let not_built = "not built";
    if keys.zookeeper_ssl_crl_enable {
        return Err(refuse("zookeeper.ssl.crl.enable", "true", not_built));
    }
    if keys.zookeeper_ssl_ocsp_enable {
        return Err(refuse("zookeeper.ssl.ocsp.enable", "true", not_built));
    }
    let algorithm = &keys.zookeeper_ssl_endpoint_identification_algorithm;
    if !algorithm.eq_ignore_ascii_case("HTTPS") {
        let why = "TLS without a check of the server's name is not built; HTTPS is";
        return Err(refuse("zookeeper.ssl.endpoint.identification.algorithm", algorithm, why));
    }
    Ok(())
}

/// ZooKeeper's client offers the versions enabled, and without such a list the one `protocol`.
fn choice(keys: &ZookeeperKeys) -> Result<TlsChoice, LaunchError> {
    let (key, names) = match &keys.zookeeper_ssl_enabled_protocols {
        Some(names) if !names.is_empty() => ("zookeeper.ssl.enabled.protocols", names.clone()),
        _ => ("zookeeper.ssl.protocol", vec![keys.zookeeper_ssl_protocol.clone()]),
    };
    let by_name =
        |name: &String| Protocol::of(name).ok_or_else(|| refuse(key, name, "only TLSv1.2 and TLSv1.3 are built"));
    let protocols = names.iter().map(by_name).collect::<Result<_, _>>()?;
    Ok(TlsChoice { protocols, suites: keys.zookeeper_ssl_cipher_suites.clone().unwrap_or_default() })
}

/// One of the two stores: its keys, with their values.
struct Store<'a> {
    location: (&'static str, Option<&'a str>),
    kind: (&'static str, Option<&'a str>),
    password: Option<&'a Password>,
}

impl Store<'_> {
    fn read<T>(
        &self,
        parse: impl Fn(&[u8], StoreType, &str) -> Result<T, KeystoreError>,
    ) -> Result<Option<T>, LaunchError> {
        let (key, Some(location)) = self.location else { return Ok(None) };
        let Some(kind) = StoreType::of(self.kind.1, location) else {
            let (key, value) = (self.kind.0, self.kind.1.unwrap_or_default());
            return Err(refuse(key, value, "JKS, PKCS12 and PEM are built, and .jks, .p12 and .pem say so without it"));
        };
        let length = std::fs::metadata(location).map_err(|fault| refuse(key, location, fault))?.len();
        if length > STORE_BYTES_MAX {
            return Err(refuse(key, location, format!("more than {STORE_BYTES_MAX} bytes")));
        }
        let bytes = std::fs::read(location).map_err(|fault| refuse(key, location, fault))?;
        let password = self.password.map_or("", |password| &password.0);
        parse(&bytes, kind, password).map(Some).map_err(|fault| refuse(key, location, fault))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::BrokerConfig;

    const ON: [(&str, &str); 2] = [("zookeeper.ssl.client.enable", "true"), ("zookeeper.clientCnxnSocket", NETTY)];

    fn with(pairs: &[(&str, &str)], options: &str) -> Result<Option<ZookeeperTls>, LaunchError> {
        let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let connect = ("zookeeper.connect".to_owned(), "zk:2181".to_owned());
        let keys = BrokerConfig::new(pairs.chain([connect]).collect()).unwrap();
        tls(&keys.zookeeper, &JavaOptions::parse(options))
    }

    /// Each is one line that names key and value, and none is passed over.
    #[test]
    fn what_is_not_built_is_refused_by_name() {
        let trust = ("zookeeper.ssl.truststore.location", "/nowhere/trust.jks");
        let cases: &[(&[(&str, &str)], &str)] = &[
            (&[ON[0]], "zookeeper.ssl.client.enable=true"),
            (&[ON[0], ("zookeeper.clientCnxnSocket", NIO)], "zookeeper.ssl.client.enable=true"),
            (&[("zookeeper.clientCnxnSocket", "com.example.Socket")], "zookeeper.clientCnxnSocket=com.example.Socket"),
            (&ON, "zookeeper.ssl.truststore.location"),
            (&[ON[0], ON[1], trust], "zookeeper.ssl.truststore.location=/nowhere/trust.jks"),
            (
                &[ON[0], ON[1], ("zookeeper.ssl.truststore.location", "/nowhere/trust.bcfks")],
                "zookeeper.ssl.truststore.type=",
            ),
            (&[ON[0], ON[1], trust, ("zookeeper.ssl.truststore.type", "BCFKS")], "zookeeper.ssl.truststore.type=BCFKS"),
            (&[ON[0], ON[1], ("zookeeper.ssl.crl.enable", "true")], "zookeeper.ssl.crl.enable=true"),
            (&[ON[0], ON[1], ("zookeeper.ssl.ocsp.enable", "true")], "zookeeper.ssl.ocsp.enable=true"),
            (
                &[ON[0], ON[1], ("zookeeper.ssl.endpoint.identification.algorithm", "")],
                "zookeeper.ssl.endpoint.identification.algorithm=",
            ),
        ];
        for (pairs, expected) in cases {
            let fault = with(pairs, "").err().unwrap_or_else(|| panic!("{pairs:?}"));
            assert!(fault.0.contains(expected) && !fault.0.contains('\n'), "{fault}");
        }
    }

    #[test]
    fn versions_are_those_enabled_or_the_one_protocol() {
        let of = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            choice(&BrokerConfig::new(pairs.collect()).unwrap().zookeeper).map(|choice| choice.protocols)
        };
        assert_eq!(of(&[]).unwrap(), [Protocol::Tls12]);
        assert_eq!(of(&[("zookeeper.ssl.protocol", "TLSv1.3")]).unwrap(), [Protocol::Tls13]);
        let both = ("zookeeper.ssl.enabled.protocols", "TLSv1.3,TLSv1.2");
        assert_eq!(of(&[both]).unwrap(), [Protocol::Tls13, Protocol::Tls12]);
        assert!(of(&[("zookeeper.ssl.enabled.protocols", "TLSv1.2,TLSv1.1")]).is_err());
        assert!(of(&[("zookeeper.ssl.protocol", "TLS")]).is_err());
    }

    #[test]
    fn in_clear_nothing_else_matters() {
        assert!(with(&[("zookeeper.clientCnxnSocket", NIO)], "").unwrap().is_none());
        assert!(with(&[("zookeeper.ssl.crl.enable", "true")], "").unwrap().is_none());
    }

    #[test]
    fn what_only_a_system_property_says_is_refused() {
        assert!(with(&[], "-Dzookeeper.client.secure=true").unwrap_err().0.contains("zookeeper.ssl.client.enable"));
        let fault = with(&ON, "-Dzookeeper.ssl.keyStore.location=/k.jks").unwrap_err();
        assert!(fault.0.contains("zookeeper.ssl.keystore.location"), "{fault}");
        assert!(with(&[ON[1]], "-Dzookeeper.clientCnxnSocket=x").unwrap().is_none());
    }
}
