//! TLS to the servers (`zookeeper.ssl.*`).

use std::{
    fmt, io,
    net::{TcpStream, ToSocketAddrs},
    sync::Arc,
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
};
use zookeeper_client::TlsOptions;

use super::address::Address;
use crate::security::keystore::Identity;

/// How long each step of a handshake may take that is made to learn why there is no connection.
const STEP_WAIT: Duration = Duration::from_secs(2);

/// Authorities, identity and what TLS may use, ready for connections.
#[derive(Clone)]
pub struct ZookeeperTls {
    options: TlsOptions,
    config: Arc<ClientConfig>,
}

impl fmt::Debug for ZookeeperTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ZookeeperTls")
    }
}

impl ZookeeperTls {
    /// The library knows the primitives of the process only, so `provider` becomes those; there can be one of them.
    pub fn new(
        authorities: Vec<CertificateDer<'static>>,
        identity: Option<Identity>,
        provider: CryptoProvider,
    ) -> Result<Self, String> {
        let mut options = TlsOptions::new().with_pem_ca(&pem_of(&authorities)).map_err(|fault| fault.to_string())?;
        let mut roots = RootCertStore::empty();
        for authority in authorities {
            roots.add(authority).map_err(|fault| format!("a trusted certificate cannot be used: {fault}"))?;
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(provider.clone()))
            .with_safe_default_protocol_versions()
            .map_err(|fault| fault.to_string())?
            .with_root_certificates(roots);
        let config = match identity {
            Some(Identity { chain, key }) => {
                options =
                    options.with_pem_identity(&pem_of(&chain), &key_pem(&key)).map_err(|fault| fault.to_string())?;
                builder.with_client_auth_cert(chain, key).map_err(|fault| fault.to_string())?
            }
            None => builder.with_no_client_auth(),
        };
        adopt(provider)?;
        Ok(Self { options, config: Arc::new(config) })
    }

    pub(super) fn options(&self) -> TlsOptions {
        self.options.clone()
    }

    /// Shakes hands with one server after another, to tell the operator what the library keeps to itself. `None` if
    /// TLS is not to blame.
    pub(super) async fn why_not(&self, address: &Address) -> Option<String> {
        for host in address.hosts.split(',') {
            let (config, server) = (Arc::clone(&self.config), host.to_owned());
            match tokio::task::spawn_blocking(move || shake_hands(config, &server)).await {
                Ok(Err(fault)) if fault.kind() == io::ErrorKind::InvalidData => {
                    return Some(format!("TLS with {host}: {fault}"));
                }
                _ => {}
            }
        }
        None
    }
}

/// The names of servers are compared with their certificates, so they must be names.
pub(super) fn check_names(address: &Address) -> Result<(), String> {
    for host in address.hosts.split(',') {
        ServerName::try_from(host_of(host)).map_err(|_| format!("'{host}' is no name that a certificate can have"))?;
    }
    Ok(())
}

fn host_of(server: &str) -> &str {
    match server.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, _)) => host,
        None => server.rsplit_once(':').map_or(server, |(host, _)| host),
    }
}

fn shake_hands(config: Arc<ClientConfig>, server: &str) -> io::Result<()> {
    let name = ServerName::try_from(host_of(server).to_owned()).map_err(io::Error::other)?;
    let address = server.to_socket_addrs()?.next().ok_or(io::ErrorKind::NotFound)?;
    let mut stream = TcpStream::connect_timeout(&address, STEP_WAIT)?;
    stream.set_read_timeout(Some(STEP_WAIT))?;
    stream.set_write_timeout(Some(STEP_WAIT))?;
    let mut connection = ClientConnection::new(config, name).map_err(io::Error::other)?;
    while connection.is_handshaking() {
        connection.complete_io(&mut stream)?;
    }
    // In TLS 1.3 a server's verdict on our certificate comes after the handshake.
    connection.complete_io(&mut stream).map(drop)
}

fn adopt(provider: CryptoProvider) -> Result<(), String> {
    let wanted: Vec<_> = provider.cipher_suites.iter().map(|suite| suite.suite()).collect();
    let _ = provider.install_default();
    let has = CryptoProvider::get_default().map(|it| it.cipher_suites.iter().map(|suite| suite.suite()).collect());
    if has == Some(wanted) { Ok(()) } else { Err("this process already uses TLS with other cipher suites".to_owned()) }
}

fn pem_of(certificates: &[CertificateDer<'_>]) -> String {
    certificates.iter().map(|it| pem("CERTIFICATE", it)).collect()
}

fn key_pem(key: &PrivateKeyDer<'_>) -> String {
    let label = match key {
        PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
        PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
        _ => "PRIVATE KEY",
    };
    pem(label, key.secret_der())
}

fn pem(label: &str, der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in STANDARD.encode(der).as_bytes().chunks(64) {
        text.extend(line.iter().copied().map(char::from));
        text.push('\n');
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}
