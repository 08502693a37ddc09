//! A folder that Apache Kafka wrote, under a store that has never heard of it: what the files tell of the topics.

use indexmap::IndexMap;

use crate::{common::topic_name, controller::adopt::AdoptedTopic, storage::LogManager};

/// Topics of the loaded logs. Internal ones get the configuration that Kafka creates them with.
pub fn topics_on_disk(logs: &LogManager) -> Vec<AdoptedTopic> {
    let mut topics: IndexMap<String, AdoptedTopic> = IndexMap::new();
    for (tp, log) in logs.all() {
        let topic = topics.entry(tp.topic.to_string()).or_insert_with(|| AdoptedTopic {
            name: tp.topic.to_string(),
            topic_id: None,
            partitions: Vec::new(),
            latest_leader_epoch: 0,
            config: adopted_config(&tp.topic),
        });
        topic.partitions.push(tp.partition);
        topic.topic_id = topic.topic_id.or(log.topic_id());
        topic.latest_leader_epoch = topic.latest_leader_epoch.max(log.latest_epoch().unwrap_or(0));
    }
    if !topics.is_empty() {
        tracing::warn!(
            topics = topics.len(),
            "taking over topics whose configurations were kept elsewhere: retention.ms=-1 and retention.bytes=-1 hold their \
             records until the configurations are set again"
        );
    }
    topics.into_values().collect()
}

/// What was configured is not in the folder. A topic that was kept for ever must not lose records to a default.
fn adopted_config(topic: &str) -> IndexMap<String, String> {
    let pairs: &[(&str, &str)] = match topic {
        topic_name::GROUP_METADATA_TOPIC => {
            &[("compression.type", "producer"), ("cleanup.policy", "compact"), ("segment.bytes", "104857600")]
        }
        topic_name::TRANSACTION_STATE_TOPIC => &[
            ("compression.type", "uncompressed"),
            ("cleanup.policy", "compact"),
            ("min.insync.replicas", "1"),
            ("segment.bytes", "104857600"),
            ("unclean.leader.election.enable", "false"),
        ],
        _ => &[("retention.ms", "-1"), ("retention.bytes", "-1")],
    };
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_an_unknown_configuration_are_held() {
        assert_eq!(adopted_config("orders").get("retention.ms").map(String::as_str), Some("-1"));
        assert_eq!(adopted_config("__consumer_offsets").get("cleanup.policy").map(String::as_str), Some("compact"));
        assert_eq!(adopted_config("__consumer_offsets").get("retention.ms"), None);
    }
}
