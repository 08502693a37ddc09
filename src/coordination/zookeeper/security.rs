//! What a session is protected with: TLS, the broker's login, and the access lists of what it creates.

use futures::FutureExt;
use zookeeper_client::{Client, Connector, Error, SaslOptions};

use super::{address::Address, tls::ZookeeperTls};
use crate::config::def::Password;

/// A login with SASL's DIGEST-MD5 (class `org.apache.zookeeper.server.auth.DigestLoginModule`).
#[derive(Debug, Clone)]
pub struct DigestLogin {
    pub username: String,
    pub password: Password,
}

/// How the servers are spoken to; the default is in clear and as nobody.
#[derive(Debug, Clone, Default)]
pub struct ZookeeperSecurity {
    /// `zookeeper.set.acl`: what the broker creates only it may change.
    pub set_acl: bool,
    pub login: Option<DigestLogin>,
    pub tls: Option<ZookeeperTls>,
}

impl ZookeeperSecurity {
    pub(super) async fn connect(&self, mut connector: Connector, servers: &str) -> Result<Client, Error> {
        if let Some(login) = &self.login {
            connector = connector.with_sasl(SaslOptions::digest_md5(login.username.clone(), login.password.0.clone()));
        }
        match &self.tls {
            Some(tls) => connector.with_tls(tls.options()).secure_connect(servers).boxed().await,
            None => connector.connect(servers).boxed().await,
        }
    }

    /// A reason for the operator why no session could be opened; `None` if protection is not to blame.
    pub(super) async fn why_not(&self, address: &Address) -> Option<String> {
        match &self.tls {
            Some(tls) => tls.why_not(address).await,
            None => None,
        }
    }
}
