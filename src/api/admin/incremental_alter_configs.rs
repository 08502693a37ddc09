//! IncrementalAlterConfigs: v0–1: changes only the keys that are named (KIP-339).
//!
//! v1: flexible.

use kafka_protocol::{
    messages::{
        IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
        incremental_alter_configs_response::AlterConfigsResourceResponse,
    },
    protocol::StrBytes,
};

use crate::{
    admin::configs::{ConfigOp, OpType, ResourceChange},
    api::Context,
};

pub async fn handle(ctx: &Context<'_>, request: IncrementalAlterConfigsRequest) -> IncrementalAlterConfigsResponse {
    let changes: Vec<ResourceChange> = request
        .resources
        .iter()
        .map(|resource| ResourceChange {
            type_id: resource.resource_type,
            name: resource.resource_name.to_string(),
            ops: resource
                .configs
                .iter()
                .map(|config| ConfigOp {
                    name: config.name.to_string(),
                    op: OpType::from_id(config.config_operation),
                    value: config.value.as_ref().map(ToString::to_string),
                })
                .collect(),
        })
        .collect();
    let outcomes = ctx.services.config_admin().incremental_alter(&changes, request.validate_only).await;
    let responses = changes
        .into_iter()
        .zip(outcomes)
        .map(|(change, outcome)| {
            let response = AlterConfigsResourceResponse::default()
                .with_resource_type(change.type_id)
                .with_resource_name(StrBytes::from_string(change.name));
            match outcome {
                Ok(()) => response.with_error_message(None),
                Err(refusal) => response
                    .with_error_code(refusal.code.code())
                    .with_error_message(refusal.message.map(StrBytes::from_string)),
            }
        })
        .collect();
    IncrementalAlterConfigsResponse::default().with_responses(responses)
}
