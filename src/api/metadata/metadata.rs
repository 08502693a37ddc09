//! Metadata (key 3), v0–12.
//! v0 an empty list means all · v1 null means all, controller id, rack · v2 cluster id · v4 auto-creation is the client's choice
//! · v5 offline replicas · v6 LISTENER_NOT_FOUND · v7 leader epoch · v8–10 authorized operations of the cluster · v10 topic
//! ids in the answer · v12 asked by topic id (KIP-516)

use std::sync::Arc;

use indexmap::IndexSet;
use kafka_protocol::{
    messages::{
        BrokerId as WireBrokerId, MetadataRequest, MetadataResponse, TopicName,
        metadata_response::{MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic},
    },
    protocol::StrBytes,
};
use uuid::Uuid;

use crate::{
    api::Context,
    common::{BrokerId, ErrorCode, topic_name},
    metadata::{Endpoint, MetadataImage, PartitionImage, TopicImage},
};

/// "No controller" and "no leader".
const NONE: BrokerId = -1;
/// Every operation on a topic (`AclEntry.supportedOperations`), a bit per `AclOperation.code`: read 3, write 4, create 5,
/// delete 6, alter 7, describe 8, describe configs 10, alter configs 11. Without an authorizer all is allowed.
const TOPIC_OPERATIONS: i32 = 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 11;
/// As above, on the cluster: create 5, alter 7, describe 8, cluster action 9, describe configs 10, alter configs 11,
/// idempotent write 12.
pub const CLUSTER_OPERATIONS: i32 = 1 << 5 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12;

pub async fn handle(ctx: &Context<'_>, request: MetadataRequest) -> MetadataResponse {
    let asked = match asked_for(&request, ctx.version) {
        Ok(asked) => asked,
        Err(code) => return refused(&request, code),
    };
    let image = ctx.services.metadata.image();
    let view = View {
        image: &image,
        listener: &ctx.connection.listener,
        hide_unreachable: ctx.version == 0,
        tell_missing_listener: ctx.version >= 6,
    };
    let mut topics = view.topics(&asked);
    let missing = view.missing(&asked);
    if !missing.is_empty() {
        let config = ctx.services.admin.config();
        if request.allow_auto_topic_creation && config.auto_create_topics_enable {
            let created = ctx.services.admin.auto_create_topics(&missing).await;
            topics.extend(created.into_iter().map(|(name, code)| without_partitions(&name, code)));
        } else {
            topics.extend(missing.iter().map(|name| without_partitions(name, code_of_unknown(name))));
        }
    }
    if ctx.version >= 8 && request.include_topic_authorized_operations {
        for topic in topics.iter_mut().filter(|topic| topic.name.is_some()) {
            topic.topic_authorized_operations = TOPIC_OPERATIONS;
        }
    }
    let mut response = MetadataResponse::default()
        .with_brokers(view.brokers())
        .with_cluster_id(Some(StrBytes::from_string(ctx.services.cluster_id.clone())))
        .with_controller_id(WireBrokerId(image.controller.unwrap_or(NONE)))
        .with_topics(topics);
    if (8..=10).contains(&ctx.version) && request.include_cluster_authorized_operations {
        response.cluster_authorized_operations = CLUSTER_OPERATIONS;
    }
    response
}

/// What a request wants to see.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    All,
    Names(IndexSet<String>),
    Ids(IndexSet<Uuid>),
}

fn asked_for(request: &MetadataRequest, version: i16) -> Result<Asked, ErrorCode> {
    let Some(topics) = request.topics.as_ref().filter(|topics| version > 0 || !topics.is_empty()) else {
        return Ok(Asked::All);
    };
    if version < 12 && topics.iter().any(|topic| topic.name.is_none() || !topic.topic_id.is_nil()) {
        return Err(ErrorCode::InvalidRequest);
    }
    let ids: IndexSet<Uuid> = topics.iter().map(|topic| topic.topic_id).filter(|id| !id.is_nil()).collect();
    if !ids.is_empty() {
        return Ok(Asked::Ids(ids));
    }
    let names = topics.iter().filter_map(|topic| topic.name.as_ref()).map(|name| name.to_string());
    Ok(Asked::Names(names.collect()))
}

/// The image as clients of one listener see it.
struct View<'a> {
    image: &'a MetadataImage,
    listener: &'a str,
    /// v0: replicas that cannot be reached are left out, with an error.
    hide_unreachable: bool,
    tell_missing_listener: bool,
}

impl View<'_> {
    fn topics(&self, asked: &Asked) -> Vec<MetadataResponseTopic> {
        match asked {
            Asked::All => self.image.topics.values().map(|topic| self.topic(topic)).collect(),
            Asked::Names(names) => {
                names.iter().filter_map(|name| self.image.topic(name)).map(|topic| self.topic(topic)).collect()
            }
            Asked::Ids(ids) => {
                let (known, unknown): (Vec<Uuid>, Vec<Uuid>) =
                    ids.iter().partition(|id| self.image.topic_by_id(**id).is_some());
                let nameless = |id: Uuid| {
                    MetadataResponseTopic::default()
                        .with_name(None)
                        .with_topic_id(id)
                        .with_error_code(ErrorCode::UnknownTopicId.code())
                };
                let known =
                    known.into_iter().filter_map(|id| self.image.topic_by_id(id)).map(|topic| self.topic(topic));
                unknown.into_iter().map(nameless).chain(known).collect()
            }
        }
    }

    /// Names asked for that nobody has.
    fn missing(&self, asked: &Asked) -> Vec<String> {
        match asked {
            Asked::Names(names) => names.iter().filter(|name| self.image.topic(name).is_none()).cloned().collect(),
            Asked::All | Asked::Ids(_) => Vec::new(),
        }
    }

    fn topic(&self, topic: &Arc<TopicImage>) -> MetadataResponseTopic {
        let partitions = topic.partitions.iter().map(|partition| self.partition(partition)).collect();
        MetadataResponseTopic::default()
            .with_name(Some(TopicName(StrBytes::from_string(topic.name.to_string()))))
            .with_topic_id(topic.id)
            .with_is_internal(topic_name::is_internal(&topic.name))
            .with_partitions(partitions)
    }

    fn partition(&self, partition: &PartitionImage) -> MetadataResponsePartition {
        let replicas = self.shown(&partition.replicas);
        let isr = self.shown(&partition.isr);
        let led = endpoint_of(self.image, partition.leader, self.listener).is_some();
        let code = if !led {
            let listens_elsewhere = self.image.brokers.contains_key(&partition.leader);
            match listens_elsewhere && self.tell_missing_listener {
                true => ErrorCode::ListenerNotFound,
                false => ErrorCode::LeaderNotAvailable,
            }
        } else if replicas.len() < partition.replicas.len() || isr.len() < partition.isr.len() {
            ErrorCode::ReplicaNotAvailable
        } else {
            ErrorCode::None
        };
        MetadataResponsePartition::default()
            .with_error_code(code.code())
            .with_partition_index(partition.partition)
            .with_leader_id(WireBrokerId(if led { partition.leader } else { NONE }))
            .with_leader_epoch(partition.leader_epoch)
            .with_replica_nodes(replicas)
            .with_isr_nodes(isr)
            .with_offline_replicas(wire(&partition.offline_replicas))
    }

    fn shown(&self, brokers: &[BrokerId]) -> Vec<WireBrokerId> {
        if !self.hide_unreachable {
            return wire(brokers);
        }
        let reachable = |id: &&BrokerId| endpoint_of(self.image, **id, self.listener).is_some();
        brokers.iter().filter(reachable).copied().map(WireBrokerId).collect()
    }

    fn brokers(&self) -> Vec<MetadataResponseBroker> {
        let one = |(id, endpoint, rack): (BrokerId, &Endpoint, Option<&str>)| {
            MetadataResponseBroker::default()
                .with_node_id(WireBrokerId(id))
                .with_host(StrBytes::from_string(endpoint.host.clone()))
                .with_port(i32::from(endpoint.port))
                .with_rack(rack.map(|rack| StrBytes::from_string(rack.to_owned())))
        };
        nodes(self.image, self.listener).map(one).collect()
    }
}

/// Brokers as a listener's clients reach them; one that lacks the listener is not there for them.
pub fn nodes<'a>(
    image: &'a MetadataImage,
    listener: &'a str,
) -> impl Iterator<Item = (BrokerId, &'a Endpoint, Option<&'a str>)> {
    image
        .brokers
        .values()
        .filter_map(move |broker| Some((broker.id, endpoint_of(image, broker.id, listener)?, broker.rack.as_deref())))
}

/// Where a live broker is reached by a listener's clients.
pub fn endpoint_of<'a>(image: &'a MetadataImage, broker: BrokerId, listener: &str) -> Option<&'a Endpoint> {
    image.brokers.get(&broker)?.endpoints.iter().find(|endpoint| endpoint.listener == listener)
}

fn wire(brokers: &[BrokerId]) -> Vec<WireBrokerId> {
    brokers.iter().copied().map(WireBrokerId).collect()
}

fn without_partitions(name: &str, code: ErrorCode) -> MetadataResponseTopic {
    MetadataResponseTopic::default()
        .with_error_code(code.code())
        .with_name(Some(TopicName(StrBytes::from_string(name.to_owned()))))
        .with_is_internal(topic_name::is_internal(name))
}

fn code_of_unknown(name: &str) -> ErrorCode {
    match topic_name::validate(name) {
        Ok(()) => ErrorCode::UnknownTopicOrPartition,
        Err(_) => ErrorCode::InvalidTopicException,
    }
}

/// Every topic of a request that makes no sense gets the same code (`MetadataRequest.getErrorResponse`).
fn refused(request: &MetadataRequest, code: ErrorCode) -> MetadataResponse {
    let one = |topic: &kafka_protocol::messages::metadata_request::MetadataRequestTopic| {
        MetadataResponseTopic::default()
            .with_error_code(code.code())
            .with_name(Some(topic.name.clone().unwrap_or_default()))
            .with_topic_id(topic.topic_id)
    };
    let topics = request.topics.iter().flatten().map(one).collect();
    MetadataResponse::default().with_cluster_id(None).with_controller_id(WireBrokerId(NONE)).with_topics(topics)
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::metadata_request::MetadataRequestTopic;

    use super::*;
    use crate::metadata::{BrokerImage, MetadataDelta};

    fn image() -> MetadataImage {
        let endpoint = |listener: &str, port| Endpoint {
            listener: listener.into(),
            security_protocol: "PLAINTEXT".into(),
            host: "h".into(),
            port,
        };
        let broker = |id, endpoints| BrokerImage { id, epoch: 1, rack: Some("r".into()), endpoints };
        let partition = |partition, leader, replicas: &[BrokerId]| PartitionImage {
            partition,
            leader,
            leader_epoch: 4,
            partition_epoch: 0,
            isr: replicas.to_vec(),
            replicas: replicas.to_vec(),
            offline_replicas: Vec::new(),
        };
        let partitions = vec![partition(0, 1, &[1, 2]), partition(1, 2, &[2]), partition(2, -1, &[3])];
        let mut image = MetadataImage::default();
        image.apply(&MetadataDelta {
            brokers: Some(vec![
                broker(1, vec![endpoint("IN", 1), endpoint("OUT", 2)]),
                broker(2, vec![endpoint("IN", 3)]),
            ]),
            topics: vec![Arc::new(TopicImage { name: "t".into(), id: Uuid::from_u64_pair(0, 9), partitions })],
            ..MetadataDelta::default()
        });
        image
    }

    fn codes(version: i16, listener: &str) -> Vec<(i16, i32, usize)> {
        let image = image();
        let view =
            View { image: &image, listener, hide_unreachable: version == 0, tell_missing_listener: version >= 6 };
        let topics = view.topics(&Asked::All);
        topics[0].partitions.iter().map(|p| (p.error_code, p.leader_id.0, p.replica_nodes.len())).collect()
    }

    /// 5 LEADER_NOT_AVAILABLE, 9 REPLICA_NOT_AVAILABLE, 72 LISTENER_NOT_FOUND.
    #[test]
    fn partitions_are_seen_from_a_listener() {
        assert_eq!(codes(12, "IN"), [(0, 1, 2), (0, 2, 1), (5, -1, 1)]);
        assert_eq!(codes(12, "OUT"), [(0, 1, 2), (72, -1, 1), (5, -1, 1)]);
        assert_eq!(codes(5, "OUT"), [(0, 1, 2), (5, -1, 1), (5, -1, 1)]);
        assert_eq!(codes(0, "OUT"), [(9, 1, 1), (5, -1, 0), (5, -1, 0)]);
        let image = image();
        let ports = |listener| nodes(&image, listener).map(|(_, endpoint, _)| endpoint.port).collect::<Vec<_>>();
        assert_eq!((ports("IN"), ports("OUT")), (vec![1, 3], vec![2]));
    }

    #[test]
    fn all_none_names_and_ids() {
        let request = |topics: Option<Vec<MetadataRequestTopic>>| MetadataRequest::default().with_topics(topics);
        let named = |name: &'static str| {
            MetadataRequestTopic::default().with_name(Some(TopicName(StrBytes::from_static_str(name))))
        };
        let id = Uuid::from_u64_pair(0, 9);
        let by_id = MetadataRequestTopic::default().with_name(None).with_topic_id(id);
        assert_eq!(asked_for(&request(Some(vec![])), 0), Ok(Asked::All));
        assert_eq!(asked_for(&request(None), 1), Ok(Asked::All));
        assert_eq!(asked_for(&request(Some(vec![])), 1), Ok(Asked::Names(IndexSet::new())));
        let twice = asked_for(&request(Some(vec![named("a"), named("a")])), 4);
        assert_eq!(twice, Ok(Asked::Names(["a".to_owned()].into())));
        assert_eq!(asked_for(&request(Some(vec![by_id.clone()])), 12), Ok(Asked::Ids([id].into())));
        assert_eq!(asked_for(&request(Some(vec![by_id.clone()])), 11), Err(ErrorCode::InvalidRequest));
        let refusal = refused(&request(Some(vec![by_id])), ErrorCode::InvalidRequest);
        assert_eq!((refusal.topics[0].error_code, refusal.topics[0].name.as_ref().unwrap().len()), (42, 0));

        let image = image();
        let view = View { image: &image, listener: "IN", hide_unreachable: false, tell_missing_listener: true };
        let topics = view.topics(&Asked::Ids([Uuid::from_u64_pair(7, 7), id].into()));
        assert_eq!((topics[0].error_code, topics[0].name.is_none()), (100, true));
        assert_eq!(topics[1].name.as_ref().unwrap().as_str(), "t");
        let asked = Asked::Names(["x".to_owned(), "t".to_owned()].into());
        assert_eq!((view.topics(&asked).len(), view.missing(&asked)), (1, vec!["x".to_owned()]));
        assert_eq!((TOPIC_OPERATIONS, CLUSTER_OPERATIONS), (3576, 8096));
    }
}
