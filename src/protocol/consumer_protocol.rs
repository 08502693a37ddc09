//! The part of the embedded consumer protocol that a broker reads: which topics a member subscribes to (class
//! `ConsumerProtocol`, schema `ConsumerProtocolSubscription`). To everything else in it the coordinator is blind.

/// Protocol type of consumers, as opposed to e.g. `connect`.
pub const PROTOCOL_TYPE: &str = "consumer";

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SubscriptionError {
    #[error("subscription is cut short")]
    Truncated,
    #[error("unsupported subscription version {0}")]
    Version(i16),
    #[error("topic name is null or not UTF-8")]
    TopicName,
}

/// Topics of a subscription of any version: the array comes right after the version, whatever follows.
pub fn subscribed_topics(metadata: &[u8]) -> Result<Vec<String>, SubscriptionError> {
    let mut rest = metadata;
    let version = i16::from_be_bytes(take(&mut rest)?);
    if version < 0 {
        return Err(SubscriptionError::Version(version));
    }
    let count = i32::from_be_bytes(take(&mut rest)?);
    let count = usize::try_from(count).map_err(|_| SubscriptionError::Truncated)?;
    // Each name takes at least its length: a lying count allocates nothing.
    let mut topics = Vec::with_capacity(count.min(rest.len() / 2));
    for _ in 0..count {
        let length = i16::from_be_bytes(take(&mut rest)?);
        let length = usize::try_from(length).map_err(|_| SubscriptionError::TopicName)?;
        let (name, after) = rest.split_at_checked(length).ok_or(SubscriptionError::Truncated)?;
        topics.push(std::str::from_utf8(name).map_err(|_| SubscriptionError::TopicName)?.to_owned());
        rest = after;
    }
    Ok(topics)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], SubscriptionError> {
    let (head, after) = rest.split_first_chunk::<N>().ok_or(SubscriptionError::Truncated)?;
    *rest = after;
    Ok(*head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_topics_of_any_version() {
        // Version 3: topics, user data, owned partitions, generation, rack follow.
        let bytes = b"\x00\x03\x00\x00\x00\x02\x00\x01a\x00\x02bc\xff\xff\xff\xff\x00\x00\x00\x00";
        assert_eq!(subscribed_topics(bytes).unwrap(), ["a", "bc"]);
        assert_eq!(subscribed_topics(b"\x00\x00\x00\x00\x00\x00").unwrap(), Vec::<String>::new());
    }

    #[test]
    fn refuses_lies() {
        assert_eq!(subscribed_topics(b""), Err(SubscriptionError::Truncated));
        assert_eq!(subscribed_topics(b"\xff\xff\x00\x00\x00\x00"), Err(SubscriptionError::Version(-1)));
        assert_eq!(subscribed_topics(b"\x00\x00\x7f\xff\xff\xff"), Err(SubscriptionError::Truncated));
        assert_eq!(subscribed_topics(b"\x00\x00\x00\x00\x00\x01\x00\x09a"), Err(SubscriptionError::Truncated));
    }
}
