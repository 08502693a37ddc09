//! AllocateProducerIds (key 67), v0 (KIP-730): from a broker to the controller (`KafkaController.allocateProducerIds`).

use kafka_protocol::messages::{AllocateProducerIdsRequest, AllocateProducerIdsResponse, ProducerId};

use crate::{
    api::{Context, admin::is_controller},
    common::{BrokerId, ErrorCode},
    metadata::MetadataImage,
};

pub async fn handle(ctx: &Context<'_>, request: AllocateProducerIdsRequest) -> AllocateProducerIdsResponse {
    match allocate(ctx, request.broker_id.0, request.broker_epoch).await {
        Ok((first, length)) => AllocateProducerIdsResponse::default()
            .with_producer_id_start(ProducerId(first))
            .with_producer_id_len(length),
        Err(code) => AllocateProducerIdsResponse::default().with_error_code(code.code()),
    }
}

async fn allocate(ctx: &Context<'_>, broker: BrokerId, epoch: i64) -> Result<(i64, i32), ErrorCode> {
    if !is_controller(ctx) {
        return Err(ErrorCode::NotController);
    }
    check_epoch(&ctx.services.metadata.load(), broker, epoch)?;
    ctx.services.cluster.allocate_producer_id_block(broker).await.map_err(|fault| {
        tracing::error!(broker, %fault, "no block of producer ids");
        ErrorCode::UnknownServerError
    })
}

/// A block must not be lost to a broker that is no more.
fn check_epoch(image: &MetadataImage, broker: BrokerId, epoch: i64) -> Result<(), ErrorCode> {
    match image.brokers.get(&broker) {
        None => Err(ErrorCode::BrokerIdNotRegistered),
        Some(live) if live.epoch != epoch => Err(ErrorCode::StaleBrokerEpoch),
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::{BrokerImage, MetadataDelta};

    #[test]
    fn only_the_living_get_blocks() {
        let mut image = MetadataImage::default();
        let broker = BrokerImage { id: 1, epoch: 40, rack: None, endpoints: Vec::new() };
        image.apply(&MetadataDelta { brokers: Some(vec![broker]), ..MetadataDelta::default() });
        assert_eq!(check_epoch(&image, 1, 40), Ok(()));
        assert_eq!(check_epoch(&image, 1, 39), Err(ErrorCode::StaleBrokerEpoch));
        assert_eq!(check_epoch(&image, 2, 40), Err(ErrorCode::BrokerIdNotRegistered));
    }
}
