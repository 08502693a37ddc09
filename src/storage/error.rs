//! What can go wrong with a log. Turned into wire codes by `replication` and `api`.

use std::path::PathBuf;

use crate::common::{ErrorCode, Offset};

/// One record that was refused, for ProduceResponse v8+ `record_errors` (KIP-467).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordError {
    pub batch_index: i32,
    pub message: String,
}

#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The disk failed: the log dir goes offline and partitions in it answer KAFKA_STORAGE_ERROR.
    #[error("I/O error in {dir}: {source}")]
    Io { dir: PathBuf, source: std::io::Error },
    /// Files that cannot be what Kafka or we wrote.
    #[error("corrupt log in {dir}: {what}")]
    Corrupt { dir: PathBuf, what: String },
    #[error("offset {requested} is out of range [{log_start}, {log_end}]")]
    OffsetOutOfRange { requested: Offset, log_start: Offset, log_end: Offset },
    /// An append was refused; `code` is what Kafka answers, `message` its ErrorMessage.
    #[error("{code}: {message}")]
    Refused { code: ErrorCode, message: String, record_errors: Vec<RecordError> },
    /// The batch is one that was appended before: the first answer is repeated (KIP-98).
    #[error("duplicate of the batch at {base_offset}")]
    DuplicateSequence { base_offset: Offset, last_offset: Offset, append_time: i64, log_start_offset: Offset },
    /// Start refused: another process holds the lock, ids do not match, and the like.
    #[error("{0}")]
    Startup(String),
}

impl StorageError {
    #[must_use]
    pub fn refused(code: ErrorCode, message: impl Into<String>) -> Self {
        Self::Refused { code, message: message.into(), record_errors: Vec::new() }
    }

    /// The code a client gets.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Io { .. } | Self::Startup(_) => ErrorCode::KafkaStorageError,
            Self::Corrupt { .. } => ErrorCode::CorruptMessage,
            Self::OffsetOutOfRange { .. } => ErrorCode::OffsetOutOfRange,
            Self::Refused { code, .. } => *code,
            Self::DuplicateSequence { .. } => ErrorCode::None,
        }
    }
}
