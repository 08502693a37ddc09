//! Producers and consumers of the simulation: they know what any client knows, and note what they see.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use kafka_protocol::{
    messages::{
        FetchRequest, FindCoordinatorRequest, MetadataRequest, ProduceRequest, TopicName,
        fetch_request::{FetchPartition, FetchTopic},
        metadata_request::MetadataRequestTopic,
        produce_request::{PartitionProduceData, TopicProduceData},
    },
    protocol::{Decodable, Request, StrBytes},
};
use monedula::{
    client::{Channel, ClientConfig, Connector, Peer},
    common::ErrorCode,
    protocol::records::{builder::RecordBatchBuilder, iter::batches, iter::for_each_record_view},
};
use parking_lot::Mutex;
use rand::{Rng, SeedableRng, rngs::SmallRng};

use super::{history::History, tide::Tide};

pub const TOPIC: &str = "t";

/// One client with a connection to each broker.
pub struct Client {
    config: Arc<ClientConfig>,
    brokers: Vec<i32>,
    channels: Vec<Option<Channel>>,
    /// Leader and epoch of each partition. News of an older epoch is no news (KIP-320).
    leaders: BTreeMap<(&'static str, i32), (i32, i32)>,
    /// Who coordinates a key.
    coordinators: BTreeMap<String, i32>,
    pub random: SmallRng,
    pub tide: Tide,
}

impl Client {
    pub fn new(connector: Arc<dyn Connector>, brokers: Vec<i32>, seed: u64, tide: Tide) -> Self {
        let config = ClientConfig {
            client_id: "sim".to_owned(),
            request_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(1),
            connector,
            response_bytes_max: 64 << 20,
        };
        let channels = brokers.iter().map(|_| None).collect();
        let random = SmallRng::seed_from_u64(seed);
        Self {
            config: Arc::new(config),
            brokers,
            channels,
            leaders: BTreeMap::new(),
            coordinators: BTreeMap::new(),
            random,
            tide,
        }
    }

    fn channel(&mut self, broker: i32) -> Option<&mut Channel> {
        let at = self.brokers.iter().position(|id| *id == broker)?;
        let peer = Peer { id: broker, host: format!("broker-{broker}"), port: 9092 };
        let config = &self.config;
        Some(self.channels[at].get_or_insert_with(|| Channel::new(peer, Arc::clone(config))))
    }

    /// Asks one broker. What a broker of ours answers needs no guard here.
    pub async fn ask<R: Request>(&mut self, broker: i32, request: &R, version: i16) -> Option<R::Response> {
        let body = self.channel(broker)?.send_raw(request, version).await.ok()?;
        Some(R::Response::decode(&mut body.freeze(), version).unwrap())
    }

    /// Asks anybody who leads.
    async fn refresh(&mut self, topic: &'static str) {
        let any = self.anybody();
        let asked = MetadataRequestTopic::default().with_name(Some(TopicName(StrBytes::from_static_str(topic))));
        let request = MetadataRequest::default().with_topics(Some(vec![asked])).with_allow_auto_topic_creation(false);
        let Some(response) = self.ask(any, &request, 9).await else { return };
        let Some(found) = response.topics.first().filter(|topic| topic.error_code == 0) else { return };
        for partition in &found.partitions {
            let known = self.leaders.entry((topic, partition.partition_index)).or_insert((-1, -1));
            if partition.leader_epoch >= known.1 {
                *known = (partition.leader_id.0, partition.leader_epoch);
            }
        }
    }

    fn anybody(&mut self) -> i32 {
        self.brokers[self.random.random_range(0..self.brokers.len())]
    }

    /// The leader of a partition and its epoch as far as is known; asks if it is not.
    pub async fn leader_of(&mut self, topic: &'static str, partition: i32) -> Option<(i32, i32)> {
        let known = |client: &Self| client.leaders.get(&(topic, partition)).copied().filter(|(leader, _)| *leader >= 0);
        if known(self).is_none() {
            self.refresh(topic).await;
        }
        known(self)
    }

    pub fn forget_leader_of(&mut self, topic: &'static str, partition: i32) {
        if let Some(leader) = self.leaders.get_mut(&(topic, partition)) {
            leader.0 = -1;
        }
    }

    async fn leader(&mut self, partition: i32) -> Option<(i32, i32)> {
        self.leader_of(TOPIC, partition).await
    }

    fn forget_leader(&mut self, partition: i32) {
        self.forget_leader_of(TOPIC, partition);
    }

    /// Asks the coordinator of a group (`kind` 0) or of a transactional id (1).
    pub async fn ask_coordinator<R: Request>(
        &mut self,
        key: &str,
        kind: i8,
        request: &R,
        version: i16,
    ) -> Option<R::Response> {
        if !self.coordinators.contains_key(key) {
            let any = self.anybody();
            let find =
                FindCoordinatorRequest::default().with_key(StrBytes::from_string(key.to_owned())).with_key_type(kind);
            let found = self.ask(any, &find, 3).await.filter(|found| found.error_code == 0)?;
            self.coordinators.insert(key.to_owned(), found.node_id.0);
        }
        self.ask(self.coordinators[key], request, version).await
    }

    /// Whom the next request about this key goes to.
    pub fn known_coordinator(&self, key: &str) -> Option<i32> {
        self.coordinators.get(key).copied()
    }

    pub fn forget_coordinator(&mut self, key: &str) {
        self.coordinators.remove(key);
    }

    /// Sends one value with acks=all, once: what becomes of it is known or is not.
    pub async fn produce(&mut self, partition: i32, value: u64, now: i64, history: &Mutex<History>) {
        let Some((leader, _)) = self.leader(partition).await else {
            tokio::time::sleep(Duration::from_millis(200)).await;
            return;
        };
        let mut batch = RecordBatchBuilder::new(0);
        batch.append(now, None, Some(&value.to_be_bytes()), &[]);
        let data = PartitionProduceData::default().with_index(partition).with_records(Some(batch.build().freeze()));
        let topic = TopicProduceData::default().with_name(topic_name()).with_partition_data(vec![data]);
        let request = ProduceRequest::default()
            .with_acks(-1)
            .with_timeout_ms(3000)
            .with_topic_data([topic].into_iter().collect());
        history.lock().sent += 1;
        let answer = self.ask(leader, &request, 8).await;
        let answer = answer.and_then(|response| {
            let topic = response.responses.into_iter().next()?;
            topic.partition_responses.into_iter().next()
        });
        let code = answer.as_ref().map(|it| ErrorCode::from_code(it.error_code));
        match (answer, code) {
            (Some(answer), Some(ErrorCode::None)) => history.lock().acknowledged(partition, answer.base_offset, value),
            // These are given before anything is appended.
            (
                _,
                Some(ErrorCode::NotEnoughReplicas | ErrorCode::UnknownTopicOrPartition | ErrorCode::KafkaStorageError),
            ) => {
                history.lock().refused(partition, value);
                self.forget_leader(partition);
            }
            _ => {
                history.lock().unknown += 1;
                self.forget_leader(partition);
            }
        }
    }

    /// `fetch.max.wait.ms`
    pub fn max_wait_ms(&self) -> i32 {
        self.tide.pause(500, 6).as_millis() as i32
    }

    /// Between two fetches: not every record is worth one of its own.
    pub async fn rest(&mut self) {
        let pause = self.random.random_range(0..200);
        tokio::time::sleep(self.tide.pause(pause, 20)).await;
    }

    /// Reads on from `offset`; the next offset to read from.
    pub async fn consume(&mut self, partition: i32, offset: i64, history: &Mutex<History>) -> i64 {
        let Some((leader, epoch)) = self.leader(partition).await else {
            tokio::time::sleep(Duration::from_millis(200)).await;
            return offset;
        };
        let wanted = FetchPartition::default()
            .with_partition(partition)
            .with_current_leader_epoch(epoch)
            .with_fetch_offset(offset)
            .with_partition_max_bytes(1 << 20);
        let topic = FetchTopic::default().with_topic(topic_name()).with_partitions(vec![wanted]);
        let request = FetchRequest::default()
            .with_max_wait_ms(self.max_wait_ms())
            .with_min_bytes(1)
            .with_max_bytes(1 << 20)
            .with_topics(vec![topic]);
        let answer = self.ask(leader, &request, 11).await;
        let data = answer.and_then(|response| response.responses.into_iter().next()?.partitions.into_iter().next());
        let Some(data) = data else {
            self.forget_leader(partition);
            return offset;
        };
        match ErrorCode::from_code(data.error_code) {
            ErrorCode::None => {}
            // Without unclean elections nothing that a consumer has read can be out of range.
            ErrorCode::OffsetOutOfRange => {
                history.lock().anomalies.push(format!("partition {partition}: {offset} is out of range"));
                return offset;
            }
            _ => {
                self.forget_leader(partition);
                tokio::time::sleep(Duration::from_millis(100)).await;
                return offset;
            }
        }
        let mut next = offset;
        for (at, value) in values(&data.records.unwrap_or_default()) {
            if at >= offset {
                history.lock().was_read(partition, at, value);
                next = at + 1;
            }
        }
        next
    }
}

/// Offsets and values of whole batches.
pub fn values(records: &Bytes) -> Vec<(i64, u64)> {
    let mut found = Vec::new();
    for batch in batches(records).map_while(Result::ok) {
        for_each_record_view(batch.bytes, &mut |record| {
            found.extend(number_of(record.value).map(|value| (record.offset, value)));
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    }
    found
}

/// Offsets and values of all records of whole batches; of those that end transactions also.
pub fn every_record(bytes: &[u8]) -> Vec<(i64, Vec<u8>)> {
    let mut found = Vec::new();
    for batch in batches(bytes).map_while(Result::ok) {
        for_each_record_view(batch.bytes, &mut |record| {
            found.push((record.offset, record.value.unwrap_or_default().to_vec()));
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    }
    found
}

/// The number that a value of ours is.
pub fn number_of(value: Option<&[u8]>) -> Option<u64> {
    Some(u64::from_be_bytes(value?.try_into().ok()?))
}

fn topic_name() -> TopicName {
    TopicName(StrBytes::from_static_str(TOPIC))
}
