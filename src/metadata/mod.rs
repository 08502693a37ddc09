//! The cluster's image as every broker sees it, and placement of replicas. Values only: who fills it is above.

pub mod cache;
pub mod image;

pub use cache::MetadataCache;
pub use image::{BrokerImage, Endpoint, MetadataImage, PartitionImage, TopicImage};
