//! Why a request has no answer.

use std::{io, time::Duration};

/// After any of these the connection is closed; whether the other side did what was asked is not known unless it could
/// not be asked at all ([`ClientError::was_sent`]).
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    #[error("no connection within {0:?}")]
    ConnectTimeout(Duration),
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    #[error("the connection broke: {0}")]
    Broken(io::Error),
    #[error("not a response: {0}")]
    Malformed(String),
    #[error("the request cannot be encoded: {0}")]
    Unsendable(String),
    #[error("api {api_key} is spoken in versions {min} to {max} there, not in {wanted} or lower")]
    UnsupportedVersion { api_key: i16, wanted: i16, min: i16, max: i16 },
    #[error("no controller answered within {0:?}")]
    NoController(Duration),
}

impl ClientError {
    /// Whether the other side may have received the request.
    #[must_use]
    pub fn was_sent(&self) -> bool {
        matches!(self, Self::Timeout(_) | Self::Broken(_) | Self::Malformed(_))
    }
}
