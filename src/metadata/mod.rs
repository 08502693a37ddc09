//! The cluster's image as every broker sees it, and placement of replicas. Values only: who fills it is above.

pub mod cache;
pub mod delta;
pub mod image;
pub mod placement;
pub mod update;

pub use cache::{Changes, MetadataCache};
pub use delta::MetadataDelta;
pub use image::{BrokerImage, Endpoint, MetadataImage, PartitionImage, TopicImage};
pub use update::MetadataUpdate;
