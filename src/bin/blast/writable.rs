//! How long until every partition takes records again: tries all of them, over and over, until the last one has.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use bytes::Bytes;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{MetadataRequest, ProduceRequest, TopicName};
use kafka_protocol::protocol::{Decodable, Request, StrBytes};
use monedula::client::{Channel, ClientConfig, Peer, Sockets};

use super::{WritableArgs, produce::now_ms, wire};

/// Between two attempts at what is not writable yet.
const PAUSE: Duration = Duration::from_millis(5);

type Partition = (String, i32);

/// Brokers by id, and the leader of each partition.
#[derive(Default)]
struct Cluster {
    brokers: BTreeMap<i32, Peer>,
    leaders: BTreeMap<Partition, i32>,
}

pub fn all(args: &WritableArgs) -> Result<serde_json::Value> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run(args))
}

async fn run(args: &WritableArgs) -> Result<serde_json::Value> {
    let began = Instant::now();
    let deadline = began + Duration::from_secs_f64(args.seconds);
    let config = Arc::new(ClientConfig {
        client_id: "blast".to_owned(),
        request_timeout: Duration::from_secs(10),
        connect_timeout: Duration::from_millis(500),
        connector: Arc::new(Sockets::default()),
        response_bytes_max: 256 << 20,
    });
    let record = wire::batch(100, 0, now_ms()).freeze();
    let mut channels: BTreeMap<i32, Channel> = BTreeMap::new();
    let mut first = Channel::new(peer(-1, &args.bootstrap)?, Arc::clone(&config));
    let mut waiting: Option<Vec<Partition>> = None;
    let (mut last, mut total, mut rounds) = (began, 0, 0);
    while Instant::now() < deadline {
        rounds += 1;
        let cluster = look(&mut first, &args.prefix).await.unwrap_or_default();
        let open = waiting.get_or_insert_with(|| cluster.leaders.keys().cloned().collect());
        total = total.max(open.len());
        let mut of_broker: BTreeMap<i32, Vec<Partition>> = BTreeMap::new();
        for partition in open.iter() {
            if let Some(leader) = cluster.leaders.get(partition).filter(|leader| **leader >= 0 && **leader != args.dead)
            {
                of_broker.entry(*leader).or_default().push(partition.clone());
            }
        }
        for (broker, partitions) in of_broker {
            let Some(peer) = cluster.brokers.get(&broker) else { continue };
            let channel = channels.entry(broker).or_insert_with(|| Channel::new(peer.clone(), Arc::clone(&config)));
            let done = write(channel, &partitions, &record, args.acks).await.unwrap_or_default();
            if !done.is_empty() {
                last = Instant::now();
                open.retain(|partition| !done.contains(partition));
            }
        }
        if open.is_empty() && total > 0 {
            let end_ms = now_ms() - i64::try_from(last.elapsed().as_millis())?;
            return Ok(serde_json::json!({
                "mode": "writable", "partitions": total, "rounds": rounds,
                "seconds": (last - began).as_secs_f64(), "end_ms": end_ms,
            }));
        }
        waiting = waiting.filter(|open| !open.is_empty());
        tokio::time::sleep(PAUSE).await;
    }
    bail!("{} of {total} partitions are not writable", waiting.map_or(0, |open| open.len()));
}

fn peer(id: i32, address: &str) -> Result<Peer> {
    let Some((host, port)) = address.rsplit_once(':') else { bail!("{address} is no host:port") };
    Ok(Peer { id, host: host.to_owned(), port: port.parse()? })
}

/// Our own brokers, or Apache Kafka's: decoded without a guard.
async fn ask<R: Request>(channel: &mut Channel, request: &R, version: i16) -> Result<R::Response> {
    let body = channel.send_raw(request, version).await?;
    R::Response::decode(&mut body.freeze(), version)
}

async fn look(channel: &mut Channel, prefix: &str) -> Result<Cluster> {
    let answer = ask(channel, &MetadataRequest::default().with_topics(None), 9).await?;
    let brokers = answer.brokers.iter().map(|broker| {
        let port = u16::try_from(broker.port).unwrap_or(0);
        (broker.node_id.0, Peer { id: broker.node_id.0, host: broker.host.to_string(), port })
    });
    let mut cluster = Cluster { brokers: brokers.collect(), leaders: BTreeMap::new() };
    for topic in answer.topics {
        let Some(name) = topic.name.filter(|name| name.0.starts_with(prefix)) else { continue };
        for partition in topic.partitions {
            cluster.leaders.insert((name.0.to_string(), partition.partition_index), partition.leader_id.0);
        }
    }
    Ok(cluster)
}

/// One record to each; those that took it.
async fn write(channel: &mut Channel, partitions: &[Partition], record: &Bytes, acks: i16) -> Result<Vec<Partition>> {
    let mut topics: BTreeMap<&str, Vec<PartitionProduceData>> = BTreeMap::new();
    for (topic, partition) in partitions {
        let data = PartitionProduceData::default().with_index(*partition).with_records(Some(record.clone()));
        topics.entry(topic).or_default().push(data);
    }
    let topics = topics.into_iter().map(|(name, data)| {
        let name = TopicName(StrBytes::from_string(name.to_owned()));
        TopicProduceData::default().with_name(name).with_partition_data(data)
    });
    let request = ProduceRequest::default().with_acks(acks).with_timeout_ms(5000).with_topic_data(topics.collect());
    let answer = ask(channel, &request, 8).await?;
    let mut done = Vec::new();
    for topic in answer.responses {
        for partition in topic.partition_responses.iter().filter(|partition| partition.error_code == 0) {
            done.push((topic.name.0.to_string(), partition.index));
        }
    }
    Ok(done)
}
