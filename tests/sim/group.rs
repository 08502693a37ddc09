//! Members of one classic group, which commit as they go and read what was committed when they are given a partition.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use kafka_protocol::{
    messages::{
        GroupId, HeartbeatRequest, JoinGroupRequest, OffsetCommitRequest, OffsetFetchRequest, SyncGroupRequest,
        TopicName,
        join_group_request::JoinGroupRequestProtocol,
        join_group_response::JoinGroupResponse,
        offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic},
        offset_fetch_request::OffsetFetchRequestTopic,
        sync_group_request::SyncGroupRequestAssignment,
    },
    protocol::StrBytes,
};
use monedula::{
    common::{ErrorCode, TopicPartition, topic_name::GROUP_METADATA_TOPIC},
    coordination::ClusterStore,
};
use parking_lot::Mutex;
use rand::Rng;
use tokio::time::Instant;

use super::{
    clients::{Client, TOPIC},
    history::History,
    world::PARTITIONS,
};

const GROUP: &str = "g";
const COORDINATOR: i8 = 0;

pub struct Member {
    client: Client,
    /// What is true, whoever believes what.
    truth: ClusterStore,
    id: StrBytes,
    generation: i32,
}

impl Member {
    pub fn new(client: Client, truth: ClusterStore) -> Self {
        Self { client, truth, id: StrBytes::default(), generation: -1 }
    }

    /// Joins, and works until it must join again.
    pub async fn live(&mut self, history: &Mutex<History>) {
        let Some(partitions) = self.join().await else {
            self.client.forget_coordinator(GROUP);
            return tokio::time::sleep(Duration::from_millis(500)).await;
        };
        for partition in &partitions {
            let mut history = history.lock();
            let History { commits, anomalies, .. } = &mut *history;
            commits.assigned(self.generation, *partition, &self.id, anomalies);
        }
        for partition in &partitions {
            self.fetch(*partition, history, false).await;
        }
        let quits = self.client.random.random_range(10..60);
        for _ in 0..quits {
            tokio::time::sleep(self.client.tide.pause(900, 4)).await;
            let request = HeartbeatRequest::default()
                .with_group_id(group())
                .with_generation_id(self.generation)
                .with_member_id(self.id.clone());
            let answer = self.client.ask_coordinator(GROUP, COORDINATOR, &request, 3).await;
            let mut code = answer.map(|answer| ErrorCode::from_code(answer.error_code));
            for partition in &partitions {
                if code == Some(ErrorCode::None) {
                    code = self.commit(*partition, history).await;
                }
                if self.client.random.random_bool(0.2) {
                    self.fetch(*partition, history, false).await;
                }
            }
            match code {
                Some(ErrorCode::None) => {}
                Some(ErrorCode::UnknownMemberId) => {
                    self.id = StrBytes::default();
                    return;
                }
                Some(ErrorCode::RebalanceInProgress | ErrorCode::IllegalGeneration | ErrorCode::FencedInstanceId) => {
                    return;
                }
                _ => self.client.forget_coordinator(GROUP),
            }
        }
    }

    /// The partitions that this member is given.
    async fn join(&mut self) -> Option<Vec<i32>> {
        let protocol = JoinGroupRequestProtocol::default()
            .with_name(StrBytes::from_static_str("range"))
            .with_metadata(Bytes::new());
        let request = JoinGroupRequest::default()
            .with_group_id(group())
            .with_session_timeout_ms(6000)
            .with_rebalance_timeout_ms(4000)
            .with_member_id(self.id.clone())
            .with_protocol_type(StrBytes::from_static_str("consumer"))
            .with_protocols(vec![protocol]);
        let joined = self.client.ask_coordinator(GROUP, COORDINATOR, &request, 5).await?;
        match ErrorCode::from_code(joined.error_code) {
            ErrorCode::None => {}
            ErrorCode::MemberIdRequired => {
                self.id = joined.member_id;
                return Box::pin(self.join()).await;
            }
            ErrorCode::UnknownMemberId => {
                self.id = StrBytes::default();
                return None;
            }
            _ => return None,
        }
        self.id = joined.member_id.clone();
        self.generation = joined.generation_id;
        let request = SyncGroupRequest::default()
            .with_group_id(group())
            .with_generation_id(self.generation)
            .with_member_id(self.id.clone())
            .with_assignments(assign(&joined));
        let synced = self.client.ask_coordinator(GROUP, COORDINATOR, &request, 3).await?;
        (synced.error_code == 0).then(|| synced.assignment.iter().map(|partition| i32::from(*partition)).collect())
    }

    async fn commit(&mut self, partition: i32, history: &Mutex<History>) -> Option<ErrorCode> {
        let value = history.lock().commits.begins(partition);
        let partitions =
            vec![OffsetCommitRequestPartition::default().with_partition_index(partition).with_committed_offset(value)];
        let topic = OffsetCommitRequestTopic::default().with_name(topic_name()).with_partitions(partitions);
        let request = OffsetCommitRequest::default()
            .with_group_id(group())
            .with_generation_id_or_member_epoch(self.generation)
            .with_member_id(self.id.clone())
            .with_topics(vec![topic]);
        let answer = self.client.ask_coordinator(GROUP, COORDINATOR, &request, 7).await?;
        let code = ErrorCode::from_code(answer.topics.first()?.partitions.first()?.error_code);
        if code.is_none() {
            history.lock().commits.acknowledged(partition, value);
        }
        Some(code)
    }

    /// `is_calm`: nobody may be a coordinator of old any more.
    pub async fn fetch(&mut self, partition: i32, history: &Mutex<History>, is_calm: bool) -> bool {
        let asked = Instant::now();
        let topic = OffsetFetchRequestTopic::default().with_name(topic_name()).with_partition_indexes(vec![partition]);
        let request = OffsetFetchRequest::default()
            .with_group_id(group())
            .with_topics(Some(vec![topic]))
            .with_require_stable(true);
        let before = coordinator(&self.truth).await;
        let answer = self.client.ask_coordinator(GROUP, COORDINATOR, &request, 7).await;
        let asked_of = self.client.known_coordinator(GROUP);
        let is_in_office =
            before.is_some_and(|(leader, _)| Some(leader) == asked_of) && coordinator(&self.truth).await == before;
        let found = answer.as_ref().filter(|answer| answer.error_code == 0);
        let found = found.and_then(|answer| answer.topics.first()?.partitions.first());
        let Some(found) = found.filter(|found| found.error_code == 0) else {
            self.client.forget_coordinator(GROUP);
            return false;
        };
        let mut history = history.lock();
        let History { commits, anomalies, .. } = &mut *history;
        let mut regressions = Vec::new();
        commits.fetched(partition, found.committed_offset, asked, &mut regressions);
        if is_calm || is_in_office {
            anomalies.extend(regressions);
        } else {
            // A coordinator that has been replaced and does not know it answers from memory, as Kafka's does.
            commits.stale += regressions.len() as u64;
        }
        true
    }
}

/// Who leads the group's partition of `__consumer_offsets`, and in which epoch.
async fn coordinator(truth: &ClusterStore) -> Option<(i32, i32)> {
    // The hash of "g" is odd, and there are two partitions.
    let tp = TopicPartition::new(GROUP_METADATA_TOPIC, 1);
    let state = truth.partition_states(&[tp]).await.ok()?.pop()??.state;
    Some((state.leader, state.leader_epoch))
}

/// The leader deals partitions out in turn; everybody else sends nothing.
fn assign(joined: &JoinGroupResponse) -> Vec<SyncGroupRequestAssignment> {
    if joined.leader != joined.member_id {
        return Vec::new();
    }
    let mut dealt: BTreeMap<StrBytes, Vec<u8>> = BTreeMap::new();
    for (at, member) in joined.members.iter().enumerate() {
        let own = (0..PARTITIONS).filter(|partition| *partition as usize % joined.members.len() == at);
        dealt.insert(member.member_id.clone(), own.map(|partition| partition as u8).collect());
    }
    let assignment = |(member, partitions): (StrBytes, Vec<u8>)| {
        SyncGroupRequestAssignment::default().with_member_id(member).with_assignment(partitions.into())
    };
    dealt.into_iter().map(assignment).collect()
}

fn group() -> GroupId {
    GroupId(StrBytes::from_static_str(GROUP))
}

fn topic_name() -> TopicName {
    TopicName(StrBytes::from_static_str(TOPIC))
}
