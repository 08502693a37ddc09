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
    api::{Context, messages::default_message},
    common::ErrorCode,
    config::{
        def::Kind,
        describe::{ConfigEntry, ConfigSource, ConfigSynonym},
    },
};

pub async fn handle(ctx: &Context<'_>, request: DescribeConfigsRequest) -> DescribeConfigsResponse {
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
                // The message stays empty, not null, as Kafka leaves it.
                result.with_configs(configs)
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
    tracing::debug!(resource_type = wrong.resource_type, "refusing to describe a resource of an unknown type");
    // Kafka does not tell which resource it was.
    let message = StrBytes::from_static_str(default_message(ErrorCode::InvalidRequest));
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
    // Loggers have no documentation to leave out: theirs is empty, not null.
    let documentation = match entry.source {
        ConfigSource::BrokerLogger => Some(""),
        _ => entry.documentation.filter(|_| with_documentation),
    };
    // `is_default` (v0) stays false, as Kafka leaves it.
    DescribeConfigsResourceResult::default()
        .with_name(StrBytes::from_string(entry.name))
        .with_value(entry.value.map(StrBytes::from_string))
        .with_read_only(entry.read_only)
        .with_config_source(entry.source as i8)
        .with_is_sensitive(entry.sensitive)
        .with_synonyms(synonyms.into_iter().map(synonym_to_wire).collect())
        .with_config_type(type_id(entry.kind))
        .with_documentation(documentation.map(StrBytes::from_static_str))
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

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use kafka_protocol::protocol::{Decodable, Encodable};

    use super::*;
    use crate::config::{DynamicConfig, describe};

    /// Every version can carry a whole broker: what it has no field for is left out, never an error.
    #[test]
    fn a_broker_fits_into_every_version() {
        let properties = [("broker.id", "3"), ("ssl.key.password", "sekrit")];
        let properties = properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let config = DynamicConfig::new(properties).unwrap();
        for version in 0..=4 {
            let configs = describe::describe_broker(&config).into_iter().map(|it| to_wire(it, true, true)).collect();
            let result = DescribeConfigsResult::default().with_resource_type(4).with_configs(configs);
            let response = DescribeConfigsResponse::default().with_results(vec![result]);
            let mut frame = BytesMut::new();
            response.encode(&mut frame, version).unwrap();
            assert!(!frame.windows(6).any(|bytes| bytes == b"sekrit"), "a secret travels");
            let back = DescribeConfigsResponse::decode(&mut frame.freeze(), version).unwrap();
            let entry =
                |name: &str| back.results[0].configs.iter().find(|it| it.name.as_str() == name).unwrap().clone();
            let id = entry("broker.id");
            assert_eq!((id.value.as_deref(), id.read_only), (Some("3"), true));
            assert_eq!(id.config_source, if version == 0 { -1 } else { ConfigSource::StaticBroker as i8 });
            assert_eq!(id.synonyms.len(), if version == 0 { 0 } else { 2 });
            assert_eq!(id.config_type, if version < 3 { 0 } else { 3 });
            let password = entry("ssl.key.password");
            assert_eq!((password.value, password.is_sensitive), (None, true));
        }
    }
}
