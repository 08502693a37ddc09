//! One connection to one broker (class `BrokerBlockingSender`).

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use kafka_protocol::{
    messages::{ApiVersionsRequest, ApiVersionsResponse},
    protocol::{Decodable, Request, StrBytes},
};
use tokio::time::timeout;

use super::{ClientConfig, ClientError, Peer, wire};
use crate::{common::ErrorCode, protocol::guard, transport::Stream};

/// ApiVersions as Kafka 3.9 asks it among brokers.
const API_VERSIONS_VERSION: i16 = 4;

/// Connects when something is to be sent; drops the connection after any failure, also when a caller gives up half way,
/// since the answer would otherwise be taken for the next one's.
pub struct Channel {
    peer: Peer,
    config: Arc<ClientConfig>,
    connection: Option<Connection>,
    next_correlation_id: i32,
}

struct Connection {
    stream: Stream,
    /// What the other side speaks: api key, first and last version, by key. Asked when first needed.
    versions: Option<Vec<(i16, i16, i16)>>,
}

impl Channel {
    #[must_use]
    pub fn new(peer: Peer, config: Arc<ClientConfig>) -> Self {
        Self { peer, config, connection: None, next_correlation_id: 0 }
    }

    #[must_use]
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Whether a connection is open, as far as is known.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    /// Asks and decodes the answer.
    pub async fn send<R: Request>(&mut self, request: &R, version: i16) -> Result<R::Response, ClientError> {
        let body = self.send_raw(request, version).await?;
        let decoded = decode_response::<R>(body, version);
        if decoded.is_err() {
            self.connection = None;
        }
        decoded
    }

    /// The response's body undecoded, for hot paths (Fetch).
    pub async fn send_raw<R: Request>(&mut self, request: &R, version: i16) -> Result<BytesMut, ClientError> {
        let mut connection = self.take_connection().await?;
        let body = self.exchange(&mut connection, request, version).await?;
        self.connection = Some(connection);
        Ok(body)
    }

    /// Highest version both sides speak, at most `highest` (ApiVersions, asked once per connection).
    pub async fn version_for<R: Request>(&mut self, highest: i16) -> Result<i16, ClientError> {
        let mut connection = self.take_connection().await?;
        if connection.versions.is_none() {
            connection.versions = Some(self.ask_versions(&mut connection).await?);
        }
        let spoken = connection.versions.iter().flatten().find(|(key, ..)| *key == R::KEY).copied();
        self.connection = Some(connection);
        let (_, min, max) = spoken.unwrap_or((R::KEY, -1, -1));
        if min > highest || max < 0 {
            return Err(ClientError::UnsupportedVersion { api_key: R::KEY, wanted: highest, min, max });
        }
        Ok(max.min(highest))
    }

    /// The open connection or a new one. Taken, so that whoever is dropped while waiting takes it along.
    async fn take_connection(&mut self) -> Result<Connection, ClientError> {
        if let Some(connection) = self.connection.take() {
            return Ok(connection);
        }
        let within = self.config.connect_timeout;
        let connected = timeout(within, self.config.connector.connect(&self.peer)).await;
        let stream = connected.map_err(|_| ClientError::ConnectTimeout(within))?.map_err(ClientError::Connect)?;
        Ok(Connection { stream, versions: None })
    }

    async fn exchange<R: Request>(
        &mut self,
        connection: &mut Connection,
        request: &R,
        version: i16,
    ) -> Result<BytesMut, ClientError> {
        let correlation_id = self.next_correlation_id;
        self.next_correlation_id = correlation_id.wrapping_add(1);
        let frame = wire::encode(request, version, correlation_id, &self.config.client_id)?;
        let asked = async {
            wire::send(&mut connection.stream, frame).await.map_err(ClientError::Broken)?;
            wire::receive(&mut connection.stream, self.config.response_bytes_max).await
        };
        let within = self.config.request_timeout;
        let mut body = timeout(within, asked).await.map_err(|_| ClientError::Timeout(within))??;
        wire::take_header::<R>(&mut body, version, correlation_id)?;
        Ok(body)
    }

    async fn ask_versions(&mut self, connection: &mut Connection) -> Result<Vec<(i16, i16, i16)>, ClientError> {
        let request = ApiVersionsRequest::default()
            .with_client_software_name(StrBytes::from_static_str("monedula"))
            .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
        let body = self.exchange(connection, &request, API_VERSIONS_VERSION).await?;
        let code = body
            .first_chunk()
            .map_or(ErrorCode::UnknownServerError, |code| ErrorCode::from_code(i16::from_be_bytes(*code)));
        let response = match code {
            ErrorCode::None => decode_response::<ApiVersionsRequest>(body, API_VERSIONS_VERSION)?,
            // Brokers that know no such version say so in version 0; it is the one that all of them know.
            ErrorCode::UnsupportedVersion => {
                let body = self.exchange(connection, &ApiVersionsRequest::default(), 0).await?;
                decode_response::<ApiVersionsRequest>(body, 0)?
            }
            other => return Err(ClientError::Malformed(format!("ApiVersions was answered with {other}"))),
        };
        Ok(versions_of(&response))
    }
}

fn versions_of(response: &ApiVersionsResponse) -> Vec<(i16, i16, i16)> {
    response.api_keys.iter().map(|api| (api.api_key, api.min_version, api.max_version)).collect()
}

/// Decodes a body that the guard has let through.
fn decode_response<R: Request>(body: BytesMut, version: i16) -> Result<R::Response, ClientError> {
    let mut body: Bytes = body.freeze();
    guard::check_response(R::KEY, version, &body).map_err(|fault| ClientError::Malformed(fault.to_string()))?;
    R::Response::decode(&mut body, version).map_err(|fault| ClientError::Malformed(format!("{fault:#}")))
}

#[cfg(test)]
mod tests;
