//! Coordination at ZooKeeper's level behind one trait, and Kafka's meaning on top of it, written once.
//! Nothing above this room knows whether ZooKeeper or the embedded store answers.

pub mod cluster_store;
pub mod embedded;
pub mod znode;
pub mod znode_store;
pub mod zookeeper;

pub use cluster_store::ClusterStore;
pub use embedded::EmbeddedStore;
pub use znode_store::{
    CoordinationError, CreateMode, Event, EventKind, MultiOp, MultiResult, SessionEvent, Stat, ZnodeStore,
};
pub use zookeeper::{DigestLogin, ZookeeperConfig, ZookeeperSecurity, ZookeeperStore, ZookeeperTls};
