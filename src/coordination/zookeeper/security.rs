//! What a session is protected with: the broker's login, and the access lists of what it creates.

use zookeeper_client::{Connector, SaslOptions};

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
}

impl ZookeeperSecurity {
    pub(super) fn protect(&self, connector: Connector) -> Connector {
        match &self.login {
            Some(login) => {
                connector.with_sasl(SaslOptions::digest_md5(login.username.clone(), login.password.0.clone()))
            }
            None => connector,
        }
    }
}
