//! DescribeCluster (key 60), v0–1.
//! v1 endpoint type: brokers or controllers (KIP-919); we have brokers only

use kafka_protocol::{
    messages::{
        BrokerId as WireBrokerId, DescribeClusterRequest, DescribeClusterResponse,
        describe_cluster_response::DescribeClusterBroker,
    },
    protocol::StrBytes,
};

use super::metadata::{CLUSTER_OPERATIONS, nodes};
use crate::{api::Context, common::ErrorCode};

/// `EndpointType.BROKER` and `.CONTROLLER`.
const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

#[allow(clippy::unused_async)]
pub async fn handle(ctx: &Context<'_>, request: DescribeClusterRequest) -> DescribeClusterResponse {
    if request.endpoint_type != BROKERS {
        return wrong_endpoint(ctx.version, request.endpoint_type);
    }
    let image = ctx.services.metadata.image();
    let brokers: Vec<DescribeClusterBroker> = nodes(&image, &ctx.connection.listener)
        .map(|(id, endpoint, rack)| {
            DescribeClusterBroker::default()
                .with_broker_id(WireBrokerId(id))
                .with_host(StrBytes::from_string(endpoint.host.clone()))
                .with_port(i32::from(endpoint.port))
                .with_rack(rack.map(|rack| StrBytes::from_string(rack.to_owned())))
        })
        .collect();
    // A controller that the client cannot reach would only confuse it.
    let controller = image.controller.filter(|id| brokers.iter().any(|broker| broker.broker_id.0 == *id));
    let mut response = DescribeClusterResponse::default()
        .with_cluster_id(StrBytes::from_string(ctx.services.cluster_id.clone()))
        .with_controller_id(WireBrokerId(controller.unwrap_or(-1)))
        .with_brokers(brokers);
    if request.include_cluster_authorized_operations {
        response.cluster_authorized_operations = CLUSTER_OPERATIONS;
    }
    response
}

fn wrong_endpoint(version: i16, asked: i8) -> DescribeClusterResponse {
    let (code, why) = if asked == CONTROLLERS {
        let why = "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER";
        (ErrorCode::MismatchedEndpointType, why.to_owned())
    } else {
        (ErrorCode::UnsupportedEndpointType, format!("Unsupported endpoint type {asked}"))
    };
    let code = if version == 0 { ErrorCode::InvalidRequest } else { code };
    DescribeClusterResponse::default().with_error_code(code.code()).with_error_message(Some(StrBytes::from_string(why)))
}
