//! What a topic may be called (class `org.apache.kafka.common.internals.Topic`).

/// Names of the topics that only the broker itself writes to.
pub const GROUP_METADATA_TOPIC: &str = "__consumer_offsets";
pub const TRANSACTION_STATE_TOPIC: &str = "__transaction_state";

/// Longest legal name; a directory adds `-<partition>.<32 hex>-delete` to it and must fit in 255 bytes.
const MAX_NAME_LENGTH: usize = 249;

#[must_use]
pub fn is_internal(topic: &str) -> bool {
    topic == GROUP_METADATA_TOPIC || topic == TRANSACTION_STATE_TOPIC
}

/// `Err` says what is wrong in Kafka's words, fit for an INVALID_TOPIC_EXCEPTION message.
pub fn validate(topic: &str) -> Result<(), String> {
    let fault = if topic.is_empty() {
        "the empty string is not allowed".to_owned()
    } else if topic == "." || topic == ".." {
        format!("'{topic}' is not allowed")
    } else if topic.len() > MAX_NAME_LENGTH {
        format!("the length of '{topic}' is longer than the max allowed length {MAX_NAME_LENGTH}")
    } else if !topic.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')) {
        format!("'{topic}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'")
    } else {
        return Ok(());
    };
    Err(format!("Topic name is invalid: {fault}"))
}

/// Two topics collide if their metric names would: `.` and `_` are the same there.
#[must_use]
pub fn collides(one: &str, other: &str) -> bool {
    one.len() == other.len() && one.bytes().zip(other.bytes()).all(|(a, b)| unify(a) == unify(b))
}

fn unify(byte: u8) -> u8 {
    if byte == b'.' { b'_' } else { byte }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_kafka_refuses() {
        for bad in ["", ".", "..", "a/b", "a b", "ä", &"x".repeat(250)] {
            assert!(validate(bad).is_err(), "{bad:?}");
        }
        for good in ["a", "a.b_c-D9", "...", &"x".repeat(249)] {
            assert!(validate(good).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn dots_and_underscores_collide() {
        assert!(collides("a.b", "a_b"));
        assert!(!collides("a.b", "a-b"));
        assert!(!collides("a.b", "a.bc"));
    }
}
