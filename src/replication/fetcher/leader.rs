//! What a fetcher asks of a leader (class `RemoteLeaderEndPoint`).

use bytes::BytesMut;
use indexmap::IndexMap;
use kafka_protocol::{
    messages::{
        BrokerId as WireBrokerId, FetchRequest, ListOffsetsRequest, TopicName,
        fetch_request::{FetchPartition, FetchTopic, ForgottenTopic, ReplicaState},
        list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic},
    },
    protocol::StrBytes,
};
use uuid::Uuid;

use super::{manager::FetcherConfig, session::FetchPlan};
use crate::{
    client::{Channel, ClientError, Peer},
    common::{BrokerId, ErrorCode, LeaderEpoch, Offset, Timestamp, TopicPartition},
    protocol::hot::fetched::{self, FetchedResponse},
};

/// The newest version, and the oldest whose answers say where logs part (KIP-595).
pub(super) const FETCH_VERSIONS: (i16, i16) = (17, 12);
/// From here topics are named by id.
const TOPIC_IDS_SINCE: i16 = 13;
/// From here a follower says who it is along with its epoch (KIP-903).
const REPLICA_STATE_SINCE: i16 = 15;
const LIST_OFFSETS_VERSION: i16 = 9;

pub(super) struct Leader {
    channel: Channel,
    broker_id: BrokerId,
    config: FetcherConfig,
}

impl Leader {
    pub(super) fn new(channel: Channel, broker_id: BrokerId, config: FetcherConfig) -> Self {
        Self { channel, broker_id, config }
    }

    pub(super) fn peer(&self) -> &Peer {
        self.channel.peer()
    }

    /// The version to fetch in.
    pub(super) async fn fetch_version(&mut self) -> Result<i16, ClientError> {
        let (newest, oldest) = FETCH_VERSIONS;
        let version = self.channel.version_for::<FetchRequest>(newest).await?;
        if version < oldest {
            let (api_key, min, max) = (1, version, version);
            return Err(ClientError::UnsupportedVersion { api_key, wanted: oldest, min, max });
        }
        Ok(version)
    }

    pub(super) async fn fetch(
        &mut self,
        plan: &FetchPlan,
        version: i16,
        broker_epoch: i64,
    ) -> Result<FetchedResponse, ClientError> {
        let version = if plan.uses_topic_ids { version } else { version.min(TOPIC_IDS_SINCE - 1) };
        let request = self.fetch_request(plan, version, broker_epoch);
        let body: BytesMut = self.channel.send_raw(&request, version).await?;
        fetched::decode(body, version).map_err(|fault| ClientError::Malformed(fault.to_string()))
    }

    fn fetch_request(&self, plan: &FetchPlan, version: i16, broker_epoch: i64) -> FetchRequest {
        let mut topics: IndexMap<(&str, Uuid), Vec<FetchPartition>, ahash::RandomState> = IndexMap::default();
        for (tp, wanted) in &plan.send {
            let partition = FetchPartition::default()
                .with_partition(tp.partition)
                .with_current_leader_epoch(wanted.leader_epoch)
                .with_fetch_offset(wanted.fetch_offset)
                .with_last_fetched_epoch(wanted.last_fetched_epoch)
                .with_log_start_offset(wanted.log_start_offset)
                .with_partition_max_bytes(self.config.fetch_max_bytes);
            topics.entry((&tp.topic, wanted.topic_id)).or_default().push(partition);
        }
        let mut forgotten: IndexMap<(&str, Uuid), Vec<i32>, ahash::RandomState> = IndexMap::default();
        for (tp, id) in &plan.forget {
            forgotten.entry((&tp.topic, *id)).or_default().push(tp.partition);
        }
        let by_id = version >= TOPIC_IDS_SINCE;
        let name = |name: &str| TopicName(if by_id { StrBytes::default() } else { text(name) });
        let id = |id: Uuid| if by_id { id } else { Uuid::nil() };
        let topics = topics.into_iter().map(|((topic, topic_id), partitions)| {
            FetchTopic::default().with_topic(name(topic)).with_topic_id(id(topic_id)).with_partitions(partitions)
        });
        let forgotten = forgotten.into_iter().map(|((topic, topic_id), partitions)| {
            ForgottenTopic::default().with_topic(name(topic)).with_topic_id(id(topic_id)).with_partitions(partitions)
        });
        let request = FetchRequest::default()
            .with_max_wait_ms(self.config.wait_max_ms)
            .with_min_bytes(self.config.min_bytes)
            .with_max_bytes(self.config.response_max_bytes)
            .with_session_id(plan.session_id)
            .with_session_epoch(plan.session_epoch)
            .with_topics(topics.collect())
            .with_forgotten_topics_data(forgotten.collect());
        let broker = WireBrokerId(self.broker_id);
        if version >= REPLICA_STATE_SINCE {
            let state = ReplicaState::default().with_replica_id(broker).with_replica_epoch(broker_epoch);
            request.with_replica_state(state)
        } else {
            request.with_replica_id(broker)
        }
    }

    /// Where the leader's log begins (−2) or ends (−1).
    pub(super) async fn list_offset(
        &mut self,
        tp: &TopicPartition,
        leader_epoch: LeaderEpoch,
        timestamp: Timestamp,
    ) -> Result<Result<Offset, ErrorCode>, ClientError> {
        let version = self.channel.version_for::<ListOffsetsRequest>(LIST_OFFSETS_VERSION).await?;
        let partition = ListOffsetsPartition::default()
            .with_partition_index(tp.partition)
            .with_current_leader_epoch(leader_epoch)
            .with_timestamp(timestamp);
        let topic = ListOffsetsTopic::default().with_name(TopicName(text(&tp.topic))).with_partitions(vec![partition]);
        let request =
            ListOffsetsRequest::default().with_replica_id(WireBrokerId(self.broker_id)).with_topics(vec![topic]);
        let response = self.channel.send(&request, version).await?;
        let answers = response.topics.iter().filter(|topic| topic.name.0.as_str() == &*tp.topic);
        let mut answers = answers.flat_map(|topic| &topic.partitions);
        match answers.find(|it| it.partition_index == tp.partition) {
            None => Err(ClientError::Malformed(format!("ListOffsets says nothing of {tp}"))),
            Some(answer) => Ok(match ErrorCode::from_code(answer.error_code) {
                ErrorCode::None => Ok(answer.offset),
                code => Err(code),
            }),
        }
    }
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}
