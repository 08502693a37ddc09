//! The messages that Kafka sends where nobody has written a better one (class `Errors`).

use crate::common::ErrorCode;

/// Kafka's own words for those codes that reach a client with them; the code's name for the others.
#[must_use]
pub const fn default_message(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::CoordinatorNotAvailable => "The coordinator is not available.",
        ErrorCode::InvalidRequest => {
            "This most likely occurs because of a request being malformed by the client library or the message was \
             sent to an incompatible broker. See the broker logs for more details."
        }
        other => other.name(),
    }
}
