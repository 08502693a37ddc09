//! One file per API, and the table that says which are served. Version numbers stop here.

pub mod admin;
pub mod context;
pub mod data;
pub mod dispatch;
pub mod error_counts;
pub mod group;
pub mod inter_broker;
pub mod messages;
pub mod metadata;
pub mod table;
pub mod transaction;

pub use context::{ConnectionInfo, Context, Services};
pub use dispatch::{BadRequest, Reply, dispatch};
