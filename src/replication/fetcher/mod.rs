//! Copying partitions from their leaders (classes `ReplicaFetcherManager`, `ReplicaFetcherThread`): decisions are pure
//! (`state`, `truncation`, `session`), `fetcher` drives them with one connection, `manager` keeps the fetchers.

mod driver;
mod leader;
pub mod manager;
pub mod session;
pub mod state;
pub mod truncation;

pub use manager::{FetcherConfig, FetcherManager, FetcherSetup};
pub use state::InitialFetchState;
