//! `/latest_producer_id_block`: the newest block of producer ids anybody has (class `ProducerIdBlockZNode`).

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{BadZnode, Number, json, parse};
use crate::common::{BrokerId, ProducerId};

const WHAT: &str = "producer id block";

/// Ids `first..=last` belong to `broker`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerIdBlock {
    pub broker: BrokerId,
    pub first: ProducerId,
    pub last: ProducerId,
}

#[derive(Serialize)]
struct Written {
    version: i32,
    broker: BrokerId,
    block_start: String,
    block_end: String,
}

#[derive(Deserialize)]
struct Read {
    broker: BrokerId,
    block_start: Number,
    block_end: Number,
}

impl ProducerIdBlock {
    #[must_use]
    pub fn encode(&self) -> Bytes {
        json(&Written {
            version: 1,
            broker: self.broker,
            block_start: self.first.to_string(),
            block_end: self.last.to_string(),
        })
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, BadZnode> {
        let read: Read = parse(WHAT, bytes)?;
        match (read.block_start.value(), read.block_end.value()) {
            (Some(first), Some(last)) if first >= 0 && last >= first => Ok(Self { broker: read.broker, first, last }),
            _ => Err(BadZnode::new(WHAT, "the block's ends are not numbers in order")),
        }
    }
}
