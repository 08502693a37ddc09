//! CreatePartitions (key 37), v0–3.
//! v2 flexible · v3 strict mutation quota (KIP-599)

use indexmap::IndexMap;
use kafka_protocol::{
    messages::{
        CreatePartitionsRequest, CreatePartitionsResponse, TopicName, create_partitions_request::CreatePartitionsTopic,
        create_partitions_response::CreatePartitionsTopicResult,
    },
    protocol::StrBytes,
};

use crate::{
    admin::{AdminError, MorePartitions},
    api::Context,
    common::ErrorCode,
};

pub async fn handle(ctx: &Context<'_>, request: CreatePartitionsRequest) -> CreatePartitionsResponse {
    if !super::is_controller(ctx) {
        let refused = |topic: CreatePartitionsTopic| result(topic.name, ErrorCode::NotController, None);
        return CreatePartitionsResponse::default().with_results(request.topics.into_iter().map(refused).collect());
    }
    let mut by_name: IndexMap<TopicName, Vec<CreatePartitionsTopic>> = IndexMap::new();
    for topic in request.topics {
        by_name.entry(topic.name.clone()).or_default().push(topic);
    }
    let (mut names, mut topics, mut duplicates) = (Vec::new(), Vec::new(), Vec::new());
    for (name, mut entries) in by_name {
        match entries.pop() {
            Some(topic) if entries.is_empty() => {
                topics.push(to_more_partitions(topic));
                names.push(name);
            }
            _ => {
                let why = "Duplicate topic in request.".to_owned();
                duplicates.push(result(name, ErrorCode::InvalidRequest, Some(why)));
            }
        }
    }
    let answers = ctx.services.admin.create_partitions(topics, request.timeout_ms, request.validate_only).await;
    let mut results: Vec<CreatePartitionsTopicResult> = names
        .into_iter()
        .zip(answers)
        .map(|(name, answer)| match answer {
            Ok(()) => result(name, ErrorCode::None, None),
            Err(AdminError { code, message }) => result(name, code, message),
        })
        .collect();
    results.extend(duplicates);
    CreatePartitionsResponse::default().with_results(results)
}

fn to_more_partitions(topic: CreatePartitionsTopic) -> MorePartitions {
    let assignments = topic.assignments.map(|assignments| {
        assignments.into_iter().map(|one| one.broker_ids.into_iter().map(|id| id.0).collect()).collect()
    });
    MorePartitions { topic: topic.name.to_string(), count: topic.count, assignments }
}

fn result(name: TopicName, code: ErrorCode, why: Option<String>) -> CreatePartitionsTopicResult {
    CreatePartitionsTopicResult::default()
        .with_name(name)
        .with_error_code(code.code())
        .with_error_message(why.map(StrBytes::from_string))
}
