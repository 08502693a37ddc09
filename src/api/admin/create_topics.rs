//! CreateTopics (key 19), v0–7.
//! v1 validate only, error message · v4 −1 for the broker's defaults (KIP-464) · v5 partitions, replication factor and
//! configurations in the answer (KIP-525) · v7 topic id (KIP-516)

use indexmap::IndexMap;
use kafka_protocol::{
    messages::{
        CreateTopicsRequest, CreateTopicsResponse, TopicName,
        create_topics_request::CreatableTopic,
        create_topics_response::{CreatableTopicConfigs, CreatableTopicResult},
    },
    protocol::StrBytes,
};

use crate::{
    admin::{AdminError, CreatedTopic, NewTopic, TopicConfigEntry},
    api::Context,
    common::ErrorCode,
};

/// KRaft's own topic, which must not come to be here either.
const CLUSTER_METADATA_TOPIC: &str = "__cluster_metadata";

pub async fn handle(ctx: &Context<'_>, request: CreateTopicsRequest) -> CreateTopicsResponse {
    if !super::is_controller(ctx) {
        let refused = |topic: CreatableTopic| failed(topic.name, ErrorCode::NotController, Some(String::new()));
        return CreateTopicsResponse::default().with_topics(request.topics.into_iter().map(refused).collect());
    }
    let mut seen: IndexMap<TopicName, usize> = IndexMap::new();
    for topic in &request.topics {
        *seen.entry(topic.name.clone()).or_default() += 1;
    }
    let mut results: Vec<Option<CreatableTopicResult>> = Vec::with_capacity(request.topics.len());
    let mut asked = Vec::new();
    for topic in request.topics {
        let fault = if topic.name.as_str() == CLUSTER_METADATA_TOPIC {
            Some(format!("Creation of internal topic {CLUSTER_METADATA_TOPIC} is prohibited."))
        } else if seen.get(&topic.name).is_some_and(|count| *count > 1) {
            Some("Found multiple entries for this topic.".to_owned())
        } else {
            None
        };
        match fault {
            Some(why) => results.push(Some(failed(topic.name, ErrorCode::InvalidRequest, Some(why)))),
            None => {
                results.push(None);
                asked.push(topic);
            }
        }
    }
    let names: Vec<TopicName> = asked.iter().map(|topic| topic.name.clone()).collect();
    let topics = asked.into_iter().map(to_new_topic).collect();
    let answers = ctx.services.admin.create_topics(topics, request.timeout_ms, request.validate_only).await;
    let mut answers = names.into_iter().zip(answers).map(|(name, answer)| to_result(name, answer));
    let topics = results.into_iter().filter_map(|result| result.or_else(|| answers.next())).collect();
    CreateTopicsResponse::default().with_topics(topics)
}

fn to_new_topic(topic: CreatableTopic) -> NewTopic {
    let assignments = topic
        .assignments
        .into_iter()
        .map(|assignment| (assignment.partition_index, assignment.broker_ids.into_iter().map(|id| id.0).collect()));
    let configs =
        topic.configs.into_iter().map(|config| (config.name.to_string(), config.value.map(|v| v.to_string())));
    NewTopic {
        name: topic.name.to_string(),
        num_partitions: topic.num_partitions,
        replication_factor: topic.replication_factor,
        assignments: assignments.collect(),
        configs: configs.collect(),
    }
}

fn to_result(name: TopicName, answer: Result<CreatedTopic, AdminError>) -> CreatableTopicResult {
    match answer {
        Ok(created) => CreatableTopicResult::default()
            .with_name(name)
            .with_topic_id(created.topic_id)
            .with_error_message(None)
            .with_num_partitions(created.num_partitions)
            .with_replication_factor(created.replication_factor)
            .with_configs(Some(created.configs.into_iter().map(to_config).collect())),
        Err(refusal) => failed(name, refusal.code, refusal.message),
    }
}

fn to_config(entry: TopicConfigEntry) -> CreatableTopicConfigs {
    CreatableTopicConfigs::default()
        .with_name(StrBytes::from_string(entry.name))
        .with_value(entry.value.map(StrBytes::from_string))
        .with_read_only(entry.read_only)
        .with_config_source(entry.source)
        .with_is_sensitive(entry.sensitive)
}

fn failed(name: TopicName, code: ErrorCode, why: Option<String>) -> CreatableTopicResult {
    CreatableTopicResult::default()
        .with_name(name)
        .with_error_code(code.code())
        .with_error_message(why.map(StrBytes::from_string))
}
