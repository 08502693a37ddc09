//! Topics that come to be because somebody asked for them (class `AutoTopicCreationManager`).

use super::{Admin, NewTopic};
use crate::common::{
    ErrorCode,
    topic_name::{self, GROUP_METADATA_TOPIC, TRANSACTION_STATE_TOPIC},
};

impl Admin {
    /// Begins to create topics and does not wait for their leaders. The code is what a Metadata response shows of each
    /// for now: LEADER_NOT_AVAILABLE when it is on its way.
    pub async fn auto_create_topics(&self, names: &[String]) -> Vec<(String, ErrorCode)> {
        let mut answers = Vec::with_capacity(names.len());
        let mut claimed = Vec::new();
        for name in names {
            if topic_name::validate(name).is_err() {
                answers.push((name.clone(), ErrorCode::InvalidTopicException));
            } else if self.creating.lock().insert(name.clone()) {
                claimed.push(name.clone());
            } else {
                answers.push((name.clone(), ErrorCode::UnknownTopicOrPartition));
            }
        }
        if claimed.is_empty() {
            return answers;
        }
        let claim = Claim { admin: self, names: claimed };
        let topics = claim.names.iter().map(|name| self.template(name)).collect();
        // No time to wait: "timed out" means that it was written.
        let results = self.create_topics(topics, 0, false).await;
        for (name, result) in claim.names.iter().zip(results) {
            let code = match result.map_err(|refusal| refusal.code) {
                Ok(_) | Err(ErrorCode::TopicAlreadyExists | ErrorCode::RequestTimedOut) => {
                    ErrorCode::LeaderNotAvailable
                }
                Err(code) => code,
            };
            answers.push((name.clone(), code));
        }
        answers
    }

    /// Settings of `__consumer_offsets` (`GroupCoordinator.offsetsTopicConfigs`).
    #[must_use]
    pub fn offsets_topic_configs(&self) -> Vec<(String, String)> {
        let segment_bytes = self.config.load().offsets_topic_segment_bytes.to_string();
        vec![
            ("cleanup.policy".into(), "compact".into()),
            ("segment.bytes".into(), segment_bytes),
            ("compression.type".into(), "producer".into()),
        ]
    }

    /// Settings of `__transaction_state` (`TransactionStateManager.transactionTopicConfigs`).
    #[must_use]
    pub fn transaction_topic_configs(&self) -> Vec<(String, String)> {
        let config = self.config.load();
        vec![
            ("unclean.leader.election.enable".into(), "false".into()),
            ("compression.type".into(), "uncompressed".into()),
            ("cleanup.policy".into(), "compact".into()),
            ("min.insync.replicas".into(), config.transaction_topic_min_isr.to_string()),
            ("segment.bytes".into(), config.transaction_topic_segment_bytes.to_string()),
        ]
    }

    fn template(&self, name: &str) -> NewTopic {
        let config = self.config.load();
        let (num_partitions, replication_factor, configs) = match name {
            GROUP_METADATA_TOPIC => (
                config.offsets_topic_num_partitions,
                config.offsets_topic_replication_factor,
                self.offsets_topic_configs(),
            ),
            TRANSACTION_STATE_TOPIC => (
                config.transaction_topic_num_partitions,
                config.transaction_topic_replication_factor,
                self.transaction_topic_configs(),
            ),
            _ => (config.num_partitions, config.default_replication_factor, Vec::new()),
        };
        NewTopic {
            name: name.to_owned(),
            num_partitions,
            replication_factor,
            assignments: Vec::new(),
            configs: configs.into_iter().map(|(key, value)| (key, Some(value))).collect(),
        }
    }
}

/// Names being created; given back even if the request that began it is dropped half-way.
struct Claim<'a> {
    admin: &'a Admin,
    names: Vec<String>,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut creating = self.admin.creating.lock();
        for name in &self.names {
            creating.swap_remove(name);
        }
    }
}
