//! DescribeConfigs: v0–4.
//!
//! v1: synonyms and the source instead of `is_default` · v3: type and documentation · v4: flexible.

use kafka_protocol::{
    messages::{
        DescribeConfigsRequest, DescribeConfigsResponse,
        describe_configs_response::{DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym},
    },
    protocol::StrBytes,
};

use crate::{
    admin::configs::ResourceType,
    api::Context,
    common::ErrorCode,
    config::{
        def::Kind,
        describe::{ConfigEntry, ConfigSynonym},
    },
};

pub async fn handle(ctx: &Context, request: DescribeConfigsRequest) -> DescribeConfigsResponse {
    let mut results = Vec::with_capacity(request.resources.len());
    // A type nobody knows spoils the whole request.
    if let Some(refused) = refuse_unknown_types(&request) {
        return refused;
    }
    let admin = ctx.services.config_admin();
    for resource in request.resources {
        let result = DescribeConfigsResult::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone());
        results.push(match admin.describe(resource.resource_type, &resource.resource_name).await {
            Ok(entries) => {
                let wanted = resource.configuration_keys.filter(|keys| !keys.is_empty());
                let is_wanted = |entry: &ConfigEntry| {
                    wanted.as_ref().is_none_or(|keys| keys.iter().any(|key| key.as_str() == entry.name))
                };
                let configs = entries
                    .into_iter()
                    .filter(is_wanted)
                    .map(|entry| to_wire(entry, request.include_synonyms, request.include_documentation))
                    .collect();
                result.with_error_message(None).with_configs(configs)
            }
            Err(refusal) => result
                .with_error_code(refusal.code.code())
                .with_error_message(refusal.message.map(StrBytes::from_string)),
        });
    }
    DescribeConfigsResponse::default().with_results(results)
}

fn refuse_unknown_types(request: &DescribeConfigsRequest) -> Option<DescribeConfigsResponse> {
    let is_unknown =
        |type_id: i8| matches!(ResourceType::from_id(type_id), ResourceType::Group | ResourceType::Unknown);
    let wrong = request.resources.iter().find(|resource| is_unknown(resource.resource_type))?;
    let message = StrBytes::from_string(format!(
        "Unexpected resource type {} for resource {}",
        ResourceType::from_id(wrong.resource_type).name(),
        wrong.resource_name.as_str()
    ));
    let results = request
        .resources
        .iter()
        .map(|resource| {
            DescribeConfigsResult::default()
                .with_error_code(ErrorCode::InvalidRequest.code())
                .with_error_message(Some(message.clone()))
                .with_resource_type(resource.resource_type)
                .with_resource_name(resource.resource_name.clone())
        })
        .collect();
    Some(DescribeConfigsResponse::default().with_results(results))
}

fn to_wire(entry: ConfigEntry, with_synonyms: bool, with_documentation: bool) -> DescribeConfigsResourceResult {
    let synonyms = if with_synonyms { entry.synonyms } else { Vec::new() };
    DescribeConfigsResourceResult::default()
        .with_name(StrBytes::from_string(entry.name))
        .with_value(entry.value.map(StrBytes::from_string))
        .with_read_only(entry.read_only)
        .with_config_source(entry.source as i8)
        .with_is_sensitive(entry.sensitive)
        .with_synonyms(synonyms.into_iter().map(synonym_to_wire).collect())
        .with_config_type(type_id(entry.kind))
        .with_documentation(entry.documentation.filter(|_| with_documentation).map(StrBytes::from_static_str))
}

fn synonym_to_wire(synonym: ConfigSynonym) -> DescribeConfigsSynonym {
    DescribeConfigsSynonym::default()
        .with_name(StrBytes::from_string(synonym.name))
        .with_value(synonym.value.map(StrBytes::from_string))
        .with_source(synonym.source as i8)
}

/// Numbers of `DescribeConfigsResponse.ConfigType`.
fn type_id(kind: Option<Kind>) -> i8 {
    match kind {
        None => 0,
        Some(Kind::Boolean) => 1,
        Some(Kind::String) => 2,
        Some(Kind::Int) => 3,
        Some(Kind::Short) => 4,
        Some(Kind::Long) => 5,
        Some(Kind::Double) => 6,
        Some(Kind::List) => 7,
        Some(Kind::Class) => 8,
        Some(Kind::Password) => 9,
    }
}
