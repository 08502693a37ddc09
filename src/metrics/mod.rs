//! What is counted, under Kafka's MBean names.
//!
//! A metric is declared once, with its MBean; whoever counts holds the typed struct and touches one atomic; whoever
//! reports walks the structs as [`Source`]s. Rates are left to the reader: a counter is what Prometheus wants.

pub mod catalog;
pub mod meter;
pub mod prometheus;

pub use catalog::{
    BrokerTopicMetrics, BrokerTopicStats, ControllerMetrics, FetcherLags, ReplicaManagerMetrics, RequestMetrics,
    ServerMetrics,
};
pub use meter::{Gauge, Meter, Source, Value, Visitor};
