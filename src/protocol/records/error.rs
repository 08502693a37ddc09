//! Why bytes are not records, in the four ways Kafka tells them apart on the wire.

use super::compression::CompressionError;
use crate::common::ErrorCode;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordsError {
    /// Well-formed enough to read, but against the rules (`InvalidRecordException`).
    #[error("{0}")]
    Invalid(String),
    /// Checksum or framing is wrong (`CorruptRecordException`).
    #[error("{0}")]
    Corrupt(String),
    /// The compressed payload does not decompress. Kafka has no code for it: UNKNOWN_SERVER_ERROR.
    #[error("{0}")]
    Undecodable(String),
    /// A codec this request version or format cannot carry (`UnsupportedCompressionTypeException`).
    #[error("{0}")]
    UnsupportedCompression(String),
}

impl RecordsError {
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Invalid(_) => ErrorCode::InvalidRecord,
            Self::Corrupt(_) => ErrorCode::CorruptMessage,
            Self::Undecodable(_) => ErrorCode::UnknownServerError,
            Self::UnsupportedCompression(_) => ErrorCode::UnsupportedCompressionType,
        }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid(message.into())
    }

    /// What Kafka says of a record whose fields do not parse.
    #[cold]
    pub(crate) fn structure() -> Self {
        Self::invalid("Found invalid record structure")
    }
}

impl From<CompressionError> for RecordsError {
    fn from(error: CompressionError) -> Self {
        match error {
            CompressionError::Corrupt(what) => Self::Undecodable(format!("Failed to decompress record stream: {what}")),
            // Ours alone: Kafka would go on for as long as the stream lasts.
            CompressionError::OverBudget(budget) => {
                Self::invalid(format!("Record batch decompresses to more than {budget} bytes"))
            }
        }
    }
}
