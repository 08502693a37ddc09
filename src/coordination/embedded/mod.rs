//! The coordination store in process: ZooKeeper's tree in memory, made durable by redb. A broker that needs no
//! ensemble uses it, and so do tests.

mod persist;
pub mod session;
pub mod store;
pub mod tree;
pub mod watches;

#[cfg(test)]
pub mod conformance;
#[cfg(test)]
mod tests;

pub use store::EmbeddedStore;
