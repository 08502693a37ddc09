//! The metrics by who counts them.

pub mod broker_topic;
pub mod replica_manager;
pub mod request;
pub mod server;

pub use broker_topic::{BrokerTopicMetrics, BrokerTopicStats};
pub use replica_manager::{PurgatoryMetrics, ReplicaManagerMetrics};
pub use request::{CountedApi, RequestMetrics};
pub use server::{BrokerState, ServerMetrics};
