//! Requests to whoever is controller now (class `NodeToControllerChannelManager`).

use std::{sync::Arc, time::Duration};

use kafka_protocol::protocol::Request;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use super::{Channel, ClientConfig, ClientError, Peer, peer_of};
use crate::metadata::MetadataCache;

/// Pause before a controller that is not there, or is none, is looked for again (`retryBackoffMs`).
const BACKOFF: Duration = Duration::from_millis(100);
/// Connections kept for the next request.
const IDLE_MAX: usize = 2;

/// Finds the controller in the image, and asks again, elsewhere if it has moved, until the deadline. Clones share
/// their connections; requests of several callers go side by side.
#[derive(Clone)]
pub struct ControllerChannel {
    shared: Arc<Shared>,
}

struct Shared {
    metadata: Arc<MetadataCache>,
    inter_broker_listener: String,
    config: Arc<ClientConfig>,
    idle: Mutex<Vec<Channel>>,
}

impl ControllerChannel {
    #[must_use]
    pub fn new(metadata: Arc<MetadataCache>, inter_broker_listener: String, config: Arc<ClientConfig>) -> Self {
        let idle = Mutex::new(Vec::new());
        Self { shared: Arc::new(Shared { metadata, inter_broker_listener, config, idle }) }
    }

    /// Sends in `highest_version`, or with `negotiate` in the highest at or below it that the controller speaks.
    /// `not_controller` tells from the response whether the broker asked was not the controller. After a broken
    /// connection the request is sent again: it must bear being carried out twice.
    pub async fn send<R: Request + Clone>(
        &self,
        request: &R,
        highest_version: i16,
        negotiate: bool,
        within: Duration,
        not_controller: impl Fn(&R::Response) -> bool,
    ) -> Result<R::Response, ClientError> {
        self.send_built(|_| request.clone(), highest_version, negotiate, within, not_controller).await
    }

    /// As [`Self::send`], for requests whose fields depend on the version.
    pub async fn send_built<R: Request>(
        &self,
        build: impl Fn(i16) -> R,
        highest_version: i16,
        negotiate: bool,
        within: Duration,
        not_controller: impl Fn(&R::Response) -> bool,
    ) -> Result<R::Response, ClientError> {
        let deadline = Instant::now() + within;
        loop {
            let asked = tokio::time::timeout_at(deadline, self.ask(&build, highest_version, negotiate)).await;
            match asked {
                Ok(Ok(response)) if !not_controller(&response) => return Ok(response),
                Ok(Err(fault @ (ClientError::Unsendable(_) | ClientError::UnsupportedVersion { .. }))) => {
                    return Err(fault);
                }
                Ok(Ok(_)) => {}
                Ok(Err(fault)) => tracing::debug!(%fault, "the controller did not answer; asking again"),
                Err(_) => return Err(ClientError::NoController(within)),
            }
            if Instant::now() + BACKOFF >= deadline {
                return Err(ClientError::NoController(within));
            }
            sleep(BACKOFF).await;
        }
    }

    async fn ask<R: Request>(
        &self,
        build: &impl Fn(i16) -> R,
        highest: i16,
        negotiate: bool,
    ) -> Result<R::Response, ClientError> {
        let Some(peer) = self.controller() else {
            return Err(ClientError::NoController(Duration::ZERO));
        };
        let mut channel = self.channel(peer);
        let version = if negotiate { channel.version_for::<R>(highest).await? } else { highest };
        let response = channel.send(&build(version), version).await?;
        let mut idle = self.shared.idle.lock();
        if idle.len() < IDLE_MAX {
            idle.push(channel);
        }
        Ok(response)
    }

    fn controller(&self) -> Option<Peer> {
        let image = self.shared.metadata.load();
        let broker = image.brokers.get(&image.controller?)?;
        peer_of(broker, &self.shared.inter_broker_listener)
    }

    /// A connection that is left from before, if it leads to the same place.
    fn channel(&self, peer: Peer) -> Channel {
        let mut idle = self.shared.idle.lock();
        idle.retain(|channel| *channel.peer() == peer);
        idle.pop().unwrap_or_else(|| Channel::new(peer, Arc::clone(&self.shared.config)))
    }
}
