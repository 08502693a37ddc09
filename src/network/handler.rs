//! What a connection asks of the rooms below: an answer to a frame.

use std::sync::Arc;

use bytes::BytesMut;
use kafka_protocol::messages::ApiKey;

use crate::api::{BadRequest, ConnectionInfo, Reply, Services, dispatch};

/// Answers requests. A trait so that connections are tested without a broker behind them.
pub trait RequestHandler: Send + Sync + 'static {
    /// `frame` is a request without its length.
    fn handle<'a>(
        &'a self,
        connection: &'a Arc<ConnectionInfo>,
        frame: BytesMut,
    ) -> impl Future<Output = Result<Reply, BadRequest>> + Send + 'a;

    /// Whether a request may be dropped half way when its client has gone. A waiting fetch is of use to nobody then;
    /// anything else has effects, and runs to its end.
    fn may_abandon(&self, frame: &[u8]) -> bool {
        frame.first_chunk().is_some_and(|key| i16::from_be_bytes(*key) == ApiKey::Fetch as i16)
    }
}

impl RequestHandler for Arc<Services> {
    fn handle<'a>(
        &'a self,
        connection: &'a Arc<ConnectionInfo>,
        frame: BytesMut,
    ) -> impl Future<Output = Result<Reply, BadRequest>> + Send + 'a {
        dispatch(self, connection, frame)
    }
}
