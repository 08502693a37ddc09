//! How a session begins, and how one that the library has given up is resumed or replaced.

use std::time::Duration;

use zookeeper_client::{Client, Error, SessionInfo};

use super::{
    address::Address,
    request::create_options,
    security::ZookeeperSecurity,
    session::{Ended, Session},
};
use crate::coordination::{CoordinationError, CreateMode, znode::access::Access};

/// Between attempts; each of them already waits for its servers.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// Knows where the servers are.
#[derive(Debug, Clone)]
pub struct Dialer {
    pub address: Address,
    pub session_timeout: Duration,
    pub security: ZookeeperSecurity,
}

impl Dialer {
    /// A client at the chroot; of an old session, or of a new one.
    pub async fn dial(&self, session: Option<SessionInfo>) -> Result<Client, Error> {
        let connector = Client::connector().with_session_timeout(self.session_timeout);
        let connector = match session {
            Some(session) => connector.with_session(session),
            None => connector,
        };
        let client = self.security.connect(connector, &self.address.rounds()).await?;
        client.chroot(self.address.chroot.as_str()).map_err(|_| Error::BadArguments(&"the chroot is no valid path"))
    }

    /// The first session. The chroot is created if it is not there.
    pub async fn open(&self, within: Duration) -> Result<Client, CoordinationError> {
        let hosts = &self.address.hosts;
        let opening = async {
            let client = loop {
                match self.dial(None).await {
                    Ok(client) => break client,
                    Err(Error::Timeout | Error::ConnectionLoss | Error::NoHosts) => {}
                    Err(fault) => return Err(fault),
                }
            };
            self.create_chroot(&client).await.map(|()| client)
        };
        match tokio::time::timeout(within, opening).await {
            Ok(Ok(client)) => Ok(client),
            Ok(Err(Error::AuthFailed)) => {
                let user = self.security.login.as_ref().map_or("nobody", |login| &login.username);
                Err(CoordinationError::Store(format!("ZooKeeper at {hosts} refuses the login of '{user}'")))
            }
            Ok(Err(fault)) => {
                Err(CoordinationError::Store(format!("cannot open a session with ZooKeeper at {hosts}: {fault}")))
            }
            Err(_) => {
                let within = within.as_millis();
                let why = self.security.why_not(&self.address).await.map(|why| format!(": {why}")).unwrap_or_default();
                Err(CoordinationError::Store(format!(
                    "no ZooKeeper server at {hosts} answered within {within} ms{why}"
                )))
            }
        }
    }

    async fn create_chroot(&self, client: &Client) -> Result<(), Error> {
        if self.address.is_rooted() || client.check_stat("/").await?.is_some() {
            return Ok(());
        }
        let root = client.clone().chroot("/").map_err(|_| Error::BadArguments(&"the root is no valid path"))?;
        let access = Access::of(self.security.set_acl, &self.address.chroot);
        root.mkdir(&self.address.chroot, &create_options(CreateMode::Persistent, access)).await
    }

    /// Tries until a server answers: the old session, or `None` if the server says that it has expired.
    async fn resume(&self, session: SessionInfo) -> Option<Client> {
        loop {
            match self.dial(Some(session.clone())).await {
                Ok(client) => {
                    // This server may be behind the one that this session has read from.
                    let _ = client.sync("/").await;
                    return Some(client);
                }
                Err(Error::SessionExpired) => return None,
                Err(fault) => {
                    tracing::info!(%fault, "the ZooKeeper session cannot be resumed yet");
                    tokio::time::sleep(RETRY_AFTER).await;
                }
            }
        }
    }

    async fn renew(&self) -> Client {
        loop {
            match self.dial(None).await {
                Ok(client) => return client,
                Err(fault) => {
                    tracing::warn!(%fault, "cannot open a new ZooKeeper session yet");
                    tokio::time::sleep(RETRY_AFTER).await;
                }
            }
        }
    }
}

impl Session {
    /// From a client that is finished to one that works.
    pub(super) async fn recover(&mut self) -> Ended {
        self.disconnected();
        self.drain().await;
        let session = self.client.session().clone();
        let resumed = tokio::select! {
            biased;
            _ = self.closing.changed() => return Ended::Closed,
            resumed = self.dialer.resume(session) => resumed,
        };
        let client = match resumed {
            Some(client) => client,
            None => {
                self.expired();
                tokio::select! {
                    biased;
                    _ = self.closing.changed() => return Ended::Closed,
                    client = self.dialer.renew() => client,
                }
            }
        };
        self.adopt(client);
        Ended::Terminated
    }
}
