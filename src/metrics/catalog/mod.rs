//! The metrics by who counts them.

pub mod broker_topic;
pub mod controller;
pub mod fetcher;
pub mod replica_manager;
pub mod request;
pub mod server;

pub use broker_topic::{BrokerTopicMetrics, BrokerTopicStats};
pub use controller::ControllerMetrics;
pub use fetcher::FetcherLags;
pub use replica_manager::{PurgatoryMetrics, ReplicaManagerMetrics};
pub use request::{CountedApi, RequestMetrics};
pub use server::{BrokerState, ServerMetrics};
