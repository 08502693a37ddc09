//! Where things are.

pub mod api_versions;
pub mod describe_cluster;
pub mod find_coordinator;
pub mod metadata;
