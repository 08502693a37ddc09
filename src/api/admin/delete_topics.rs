//! DeleteTopics (key 20), v0–6.
//! v3 TOPIC_DELETION_DISABLED · v5 error message (KIP-599) · v6 by topic id too (KIP-516)

use kafka_protocol::messages::{
    DeleteTopicsRequest, DeleteTopicsResponse, TopicName, delete_topics_response::DeletableTopicResult,
};
use uuid::Uuid;

use crate::{api::Context, common::ErrorCode, metadata::MetadataImage};

pub async fn handle(ctx: &Context<'_>, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    let asked = asked_for(&request, ctx.version);
    let all = |code: ErrorCode| {
        let results = asked.iter().map(|(name, id)| result(name.clone(), *id, code)).collect();
        DeleteTopicsResponse::default().with_responses(results)
    };
    if !super::is_controller(ctx) {
        return all(ErrorCode::NotController);
    }
    if !ctx.services.admin.config().delete_topic_enable {
        let old = ctx.version < 3;
        return all(if old { ErrorCode::InvalidRequest } else { ErrorCode::TopicDeletionDisabled });
    }
    if asked.iter().any(|(name, id)| name.is_some() && !id.is_nil()) {
        return all(ErrorCode::InvalidRequest);
    }
    let image = ctx.services.metadata.image();
    let mut results: Vec<DeletableTopicResult> =
        asked.into_iter().map(|(name, id)| resolve(&image, name, id)).collect();
    let good = |result: &&mut DeletableTopicResult| result.error_code == 0;
    let mut names: Vec<String> = results
        .iter_mut()
        .filter(good)
        .filter_map(|result| result.name.as_ref())
        .map(|name| name.to_string())
        .collect();
    names.sort_unstable();
    names.dedup();
    let codes = ctx.services.admin.delete_topics(&names, request.timeout_ms).await;
    for result in results.iter_mut().filter(good) {
        let at = result.name.as_ref().and_then(|name| names.binary_search_by(|other| other.as_str().cmp(name)).ok());
        let code = at.and_then(|at| codes.get(at)).copied().unwrap_or(ErrorCode::UnknownServerError);
        result.error_code = code.code();
    }
    DeleteTopicsResponse::default().with_responses(results)
}

fn asked_for(request: &DeleteTopicsRequest, version: i16) -> Vec<(Option<TopicName>, Uuid)> {
    if version >= 6 {
        return request.topics.iter().map(|topic| (topic.name.clone(), topic.topic_id)).collect();
    }
    request.topic_names.iter().map(|name| (Some(name.clone()), Uuid::nil())).collect()
}

fn resolve(image: &MetadataImage, name: Option<TopicName>, id: Uuid) -> DeletableTopicResult {
    let name = match image.topic_by_id(id).filter(|_| !id.is_nil()) {
        Some(topic) => Some(TopicName(kafka_protocol::protocol::StrBytes::from_string(topic.name.to_string()))),
        None => name,
    };
    let code = match &name {
        None if !id.is_nil() => ErrorCode::UnknownTopicId,
        Some(name) if image.topic(name.as_str()).is_some() => ErrorCode::None,
        _ => ErrorCode::UnknownTopicOrPartition,
    };
    result(name, id, code)
}

fn result(name: Option<TopicName>, id: Uuid, code: ErrorCode) -> DeletableTopicResult {
    DeletableTopicResult::default()
        .with_name(name)
        .with_topic_id(id)
        .with_error_code(code.code())
        .with_error_message(None)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kafka_protocol::protocol::StrBytes;

    use super::*;
    use crate::metadata::{MetadataDelta, TopicImage};

    #[test]
    fn names_and_ids_are_resolved() {
        let id = Uuid::from_u64_pair(0, 1);
        let mut image = MetadataImage::default();
        let topic = TopicImage { name: "t".into(), id, partitions: Vec::new() };
        image.apply(&MetadataDelta { topics: vec![Arc::new(topic)], ..MetadataDelta::default() });
        let named = |name: &'static str| Some(TopicName(StrBytes::from_static_str(name)));
        let code = |name, id| resolve(&image, name, id).error_code;
        assert_eq!(code(named("t"), Uuid::nil()), 0);
        assert_eq!(code(named("x"), Uuid::nil()), 3);
        assert_eq!(code(None, Uuid::from_u64_pair(0, 2)), 100);
        assert_eq!(resolve(&image, None, id).name, named("t"));
        let v6 = DeleteTopicsRequest::default().with_topic_names(vec![TopicName::default()]);
        assert!(asked_for(&v6, 6).is_empty());
        assert_eq!(asked_for(&v6, 5).len(), 1);
    }
}
