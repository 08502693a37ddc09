//! The current image (class `ZkMetadataCache`): swapped whole, read without a lock, and awaited on.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::MetadataImage;

/// Holder of the newest [`MetadataImage`].
#[derive(Default)]
pub struct MetadataCache {
    image: ArcSwap<MetadataImage>,
}

impl MetadataCache {
    #[must_use]
    pub fn image(&self) -> Arc<MetadataImage> {
        self.image.load_full()
    }

    /// Borrow of the current image for the produce and fetch path: no reference count is touched.
    #[must_use]
    pub fn load(&self) -> arc_swap::Guard<Arc<MetadataImage>> {
        self.image.load()
    }

    /// Replaces the image with what `change` makes of it.
    pub fn update(&self, change: impl Fn(&mut MetadataImage)) {
        self.image.rcu(|old| {
            let mut next = MetadataImage::clone(old);
            change(&mut next);
            next
        });
    }
}
