//! AddOffsetsToTxn (key 25), v0–4.
//! v2 PRODUCER_FENCED · v3 flexible · v4 as v3 (KIP-890)
//!
//! The partition of `__consumer_offsets` that a group lives in joins the transaction.

use kafka_protocol::messages::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};

use super::told_to;
use crate::{
    api::{Context, group::wire::shared},
    common::{TopicPartition, topic_name::GROUP_METADATA_TOPIC},
};

pub async fn handle(ctx: &Context<'_>, request: AddOffsetsToTxnRequest) -> AddOffsetsToTxnResponse {
    let partition = ctx.services.groups.partition_for(&request.group_id);
    let offsets = TopicPartition::new(GROUP_METADATA_TOPIC, partition);
    let id = shared(&request.transactional_id);
    let producer = (request.producer_id.0, request.producer_epoch);
    let error = ctx.services.transactions.add_partitions(&id, producer, vec![offsets]).await;
    AddOffsetsToTxnResponse::default().with_error_code(told_to(ctx.version, error).code())
}
