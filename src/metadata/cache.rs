//! The current image (class `ZkMetadataCache`): swapped whole, read without a lock, and awaited on.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use arc_swap::ArcSwap;
use futures::{Stream, channel::mpsc};
use parking_lot::Mutex;

use super::{MetadataDelta, MetadataImage};

/// Holder of the newest [`MetadataImage`].
#[derive(Default)]
pub struct MetadataCache {
    image: ArcSwap<MetadataImage>,
    /// Those who wait for a change; a signal already waiting is enough.
    listeners: Mutex<Vec<mpsc::Sender<()>>>,
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
        self.signal();
    }

    fn signal(&self) {
        self.listeners.lock().retain_mut(|listener| match listener.try_send(()) {
            Ok(()) => true,
            Err(fault) => fault.is_full(),
        });
    }

    /// As [`Self::update`], with a change as a value. An empty one wakes waiters and copies nothing.
    pub fn apply(&self, delta: &MetadataDelta) {
        if delta.is_empty() { self.signal() } else { self.update(|image| image.apply(delta)) }
    }

    /// Yields after every change from now on; several changes in a row may be one signal. Subscribe before looking at
    /// the image, or a change in between is missed.
    #[must_use]
    pub fn subscribe(&self) -> Changes {
        let (sender, receiver) = mpsc::channel(0);
        let mut listeners = self.listeners.lock();
        listeners.retain(|listener| !listener.is_closed());
        listeners.push(sender);
        Changes(receiver)
    }
}

/// Signals that the image is another one.
pub struct Changes(mpsc::Receiver<()>);

impl Stream for Changes {
    type Item = ();

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<()>> {
        Pin::new(&mut self.0).poll_next(context)
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt, StreamExt};

    use super::*;

    #[test]
    fn changes_are_signalled_and_merge() {
        let cache = MetadataCache::default();
        let mut changes = cache.subscribe();
        assert!(changes.next().now_or_never().is_none());
        for controller in 1..5 {
            cache.apply(&MetadataDelta { controller: Some(Some(controller)), ..MetadataDelta::default() });
        }
        assert_eq!(changes.next().now_or_never(), Some(Some(())));
        assert!(changes.next().now_or_never().is_none());
        assert_eq!(cache.load().controller, Some(4));
        drop(changes);
        cache.update(|_| ());
        assert!(cache.listeners.lock().is_empty());
    }
}
