//! A real ZooKeeper behind [`ZnodeStore`](super::ZnodeStore) (classes `ZooKeeperClient` and the retrying half of
//! `KafkaZkClient`).
//!
//! One task, the [`session`], owns the connection. Calls reach it through a queue, so they go out in the order they
//! were made, at most `zookeeper.max.in.flight.requests` at a time. What it promises beyond the client library:
//!
//! - **A call waits for the connection.** While no server can be reached calls wait, without limit, as Kafka's do. A
//!   call whose answer was lost is sent again; if the second answer says "exists", "other version" or "no node" where
//!   the first one's success would cause just that, the tree is read to tell which it was ([`lost`]).
//! - **Only the server ends a session.** The library gives up a session by itself after 7/5 of its timeout; Java's
//!   client never does, and after an outage of the whole ensemble the session still lives. So the old session is tried
//!   until it is resumed or the server says that it has expired.
//! - **No armed watch is lost.** Within a connection and a reconnection the server sees to that. A resumed or new
//!   session knows of no watches: every armed one fires then, whether its node has changed or not
//!   (see [`watches`]). Re-read and re-arm, as after any event.
//!
//! Calls made under a session that has expired fail with
//! [`SessionExpired`](super::CoordinationError::SessionExpired), sent or not: what they were based on may be gone.

mod address;
mod lost;
mod recovery;
mod request;
mod security;
mod session;
mod store;
mod tls;
mod watches;

pub use security::{DigestLogin, ZookeeperSecurity};
pub use store::{ZookeeperConfig, ZookeeperStore};
pub use tls::ZookeeperTls;
