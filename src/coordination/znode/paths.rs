//! Where things are in the tree.

use crate::common::BrokerId;

pub const CLUSTER: &str = "/cluster";
pub const CLUSTER_ID: &str = "/cluster/id";
pub const CONTROLLER: &str = "/controller";
pub const CONTROLLER_EPOCH: &str = "/controller_epoch";
pub const BROKER_IDS: &str = "/brokers/ids";
pub const BROKER_SEQ_ID: &str = "/brokers/seqid";
pub const TOPICS: &str = "/brokers/topics";
pub const DELETE_TOPICS: &str = "/admin/delete_topics";
/// Moves of partitions, as tools from before Kafka 2.6 ask for them.
pub const REASSIGN_PARTITIONS: &str = "/admin/reassign_partitions";
pub const PREFERRED_REPLICA_ELECTION: &str = "/admin/preferred_replica_election";
pub const CONFIG_CHANGES: &str = "/config/changes";
/// Prefix of the sequential nodes announcing a changed configuration.
pub const CONFIG_CHANGE_PREFIX: &str = "config_change_";
pub const ISR_CHANGE_NOTIFICATION: &str = "/isr_change_notification";
/// Prefix of the sequential nodes announcing ISRs that their leaders have changed.
pub const ISR_CHANGE_PREFIX: &str = "isr_change_";
pub const LOG_DIR_EVENT_NOTIFICATION: &str = "/log_dir_event_notification";
/// Prefix of the sequential nodes announcing a failed log dir.
pub const LOG_DIR_EVENT_PREFIX: &str = "log_dir_event_";
pub const PRODUCER_ID_BLOCK: &str = "/latest_producer_id_block";
pub const FEATURE: &str = "/feature";
/// Root of consumers from before Kafka 0.9.
pub const CONSUMERS: &str = "/consumers";

/// Created at every start of a broker (`ZkData.PersistentZkPaths`), parents included. But for the block of producer ids:
/// Kafka creates that one without data, which no client of ours can say, and its brokers fail on one that is empty.
pub const PERSISTENT: &[&str] = &[
    CONSUMERS,
    BROKER_IDS,
    TOPICS,
    CONFIG_CHANGES,
    DELETE_TOPICS,
    BROKER_SEQ_ID,
    ISR_CHANGE_NOTIFICATION,
    LOG_DIR_EVENT_NOTIFICATION,
    "/config/topics",
    "/config/clients",
    "/config/users",
    "/config/brokers",
    "/config/ips",
];

#[must_use]
pub fn broker(id: BrokerId) -> String {
    format!("{BROKER_IDS}/{id}")
}

#[must_use]
pub fn topic(topic: &str) -> String {
    format!("{TOPICS}/{topic}")
}

#[must_use]
pub fn partitions(topic: &str) -> String {
    format!("{TOPICS}/{topic}/partitions")
}

#[must_use]
pub fn partition(topic: &str, partition: i32) -> String {
    format!("{TOPICS}/{topic}/partitions/{partition}")
}

#[must_use]
pub fn partition_state(topic: &str, partition: i32) -> String {
    format!("{TOPICS}/{topic}/partitions/{partition}/state")
}

/// `entity_path` is e.g. `topics/foo`, `brokers/<default>`, `users/alice/clients/app`.
#[must_use]
pub fn config(entity_path: &str) -> String {
    format!("/config/{entity_path}")
}

#[must_use]
pub fn topic_config(topic: &str) -> String {
    format!("/config/topics/{topic}")
}

#[must_use]
pub fn delete_topic(topic: &str) -> String {
    format!("{DELETE_TOPICS}/{topic}")
}
