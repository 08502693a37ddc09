//! Between the message crate's strings and ours. What the coordinator keeps is copied: a slice would keep the whole
//! request frame alive.

use std::sync::Arc;

use bytes::Bytes;
use indexmap::IndexMap;
use kafka_protocol::{messages::TopicName, protocol::StrBytes};
use smallvec::smallvec;

use crate::{
    api::{BadRequest, Context, Reply},
    common::{ErrorCode, TopicPartition},
    metadata::MetadataImage,
    protocol::{chunk::Chunk, hot::Malformed},
};

pub(in crate::api) fn shared(text: &StrBytes) -> Arc<str> {
    Arc::from(text.as_str())
}

pub(in crate::api) fn shared_option(text: Option<&StrBytes>) -> Option<Arc<str>> {
    text.map(shared)
}

pub(in crate::api) fn wire(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

pub(in crate::api) fn wire_option(text: Option<&Arc<str>>) -> Option<StrBytes> {
    text.map(|text| wire(text))
}

pub(in crate::api) fn topic_name(topic: &str) -> TopicName {
    TopicName(wire(topic))
}

/// A body that the group's own codec cannot read.
pub(super) fn malformed(ctx: &Context<'_>, fault: Malformed) -> BadRequest {
    BadRequest(format!("cannot parse api key {} version {}: {fault}", ctx.api_key, ctx.version))
}

/// Counts the answer's error; `frame` is `None` if it would be larger than a frame can be.
pub(super) fn framed(ctx: &Context<'_>, error: ErrorCode, frame: Option<Bytes>) -> Result<Reply, BadRequest> {
    ctx.services.request_metrics.answered(ctx.api_key, error.code());
    let frame = frame.ok_or_else(|| BadRequest("response over 2 GiB".into()))?;
    Ok(Reply::Frame(smallvec![Chunk::Bytes(frame)]))
}

/// Answers per partition, grouped by topic in the order the topics first appear.
pub(in crate::api) fn by_topic<V>(
    answers: impl IntoIterator<Item = (TopicPartition, V)>,
) -> IndexMap<Arc<str>, Vec<(i32, V)>> {
    let mut topics: IndexMap<Arc<str>, Vec<(i32, V)>> = IndexMap::new();
    for (tp, value) in answers {
        topics.entry(tp.topic).or_default().push((tp.partition, value));
    }
    topics
}

/// Splits what was asked into partitions that exist and answers for those that do not.
pub(in crate::api) fn check_partitions<V>(
    image: &MetadataImage,
    asked: impl IntoIterator<Item = (TopicPartition, V)>,
) -> (IndexMap<TopicPartition, V>, Vec<(TopicPartition, ErrorCode)>) {
    let mut known = IndexMap::new();
    let mut unknown = Vec::new();
    for (tp, value) in asked {
        if image.partition(&tp.topic, tp.partition).is_some() {
            known.insert(tp, value);
        } else {
            unknown.push((tp, ErrorCode::UnknownTopicOrPartition));
        }
    }
    (known, unknown)
}
