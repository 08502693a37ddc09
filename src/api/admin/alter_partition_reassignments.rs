//! AlterPartitionReassignments (key 45), v0 (KIP-455).

use std::sync::Arc;

use kafka_protocol::{
    messages::{
        AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse,
        alter_partition_reassignments_response::{ReassignablePartitionResponse, ReassignableTopicResponse},
    },
    protocol::StrBytes,
};

use crate::{
    api::Context,
    common::{ErrorCode, TopicPartition},
    controller::command::ApiError,
};

/// What `Errors.NO_REASSIGNMENT_IN_PROGRESS` says.
const NONE_IN_PROGRESS: &str = "No partition reassignment is in progress.";

pub async fn handle(
    ctx: &Context<'_>,
    request: AlterPartitionReassignmentsRequest,
) -> AlterPartitionReassignmentsResponse {
    let mut wishes = Vec::new();
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let name: Arc<str> = topic.name.0.as_str().into();
        let mut indexes = Vec::with_capacity(topic.partitions.len());
        for it in topic.partitions {
            indexes.push(it.partition_index);
            let target = it.replicas.map(|ids| ids.into_iter().map(|id| id.0).collect());
            wishes.push((TopicPartition::new(Arc::clone(&name), it.partition_index), target));
        }
        topics.push((topic.name, indexes));
    }
    let answers = match ctx.services.controller.alter_reassignments(wishes).await {
        Ok(answers) => answers,
        Err(code) => {
            let why = StrBytes::from_static_str(super::NOT_CONTROLLER_MESSAGE);
            let refused = AlterPartitionReassignmentsResponse::default().with_error_code(code.code());
            return refused.with_error_message(Some(why));
        }
    };
    let mut answers = answers.into_iter();
    let topics = topics.into_iter().map(|(name, indexes)| {
        let partitions = indexes.into_iter().zip(&mut answers).map(|(index, answer)| response(index, answer)).collect();
        ReassignableTopicResponse::default().with_name(name).with_partitions(partitions)
    });
    let responses = topics.collect();
    AlterPartitionReassignmentsResponse::default().with_error_message(None).with_responses(responses)
}

fn response(index: i32, answer: Result<(), ApiError>) -> ReassignablePartitionResponse {
    let response = ReassignablePartitionResponse::default().with_partition_index(index);
    let Err(ApiError { code, message }) = answer else { return response.with_error_message(None) };
    let message =
        message.or_else(|| (code == ErrorCode::NoReassignmentInProgress).then(|| NONE_IN_PROGRESS.to_owned()));
    response.with_error_code(code.code()).with_error_message(message.map(StrBytes::from_string))
}
