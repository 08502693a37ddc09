//! Memory that requests are received into (class `MemoryPool`): buffers lent by the reactor, and the bound on all of them.

use std::{
    cell::RefCell,
    sync::atomic::{AtomicI64, Ordering},
};

use bytes::BytesMut;
use tokio::sync::Notify;

/// What a read starts with.
pub(super) const READ_SIZE: usize = 16 * 1024;
/// Buffers kept by a reactor, and the largest one it keeps. A megabyte just received into is a megabyte in cache and
/// without page faults, so the last one given back is the first one lent again.
const KEPT_BUFFERS_MAX: usize = 8;
const KEPT_SIZE_MAX: usize = 2 << 20;

thread_local! {
    static KEPT: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
}

/// An empty buffer with room for at least [`READ_SIZE`].
pub(super) fn lend() -> BytesMut {
    KEPT.with_borrow_mut(Vec::pop).unwrap_or_else(|| BytesMut::with_capacity(READ_SIZE))
}

/// Takes a buffer back if nothing in it is read and nobody holds a part of it.
pub(super) fn give_back(mut buffer: BytesMut) {
    // A buffer that frames were cut from only shows what is left of it; the first size that can be reclaimed is its own.
    let mut size = KEPT_SIZE_MAX;
    while size > READ_SIZE && !buffer.try_reclaim(size) {
        size /= 2;
    }
    if buffer.is_empty() && buffer.try_reclaim(size) && buffer.capacity() <= 2 * KEPT_SIZE_MAX {
        KEPT.with_borrow_mut(|kept| {
            if kept.len() < KEPT_BUFFERS_MAX {
                kept.push(buffer);
            }
        });
    }
}

/// Makes room to receive the rest of a frame: reclaimed if nobody holds what was in the buffer before, else allocated in
/// steps that follow the bytes *received*, whatever the frame claims to hold.
pub(super) fn make_room(buffer: &mut BytesMut, needed: usize) {
    /// From here on a peer has shown that it means it.
    const EARNEST: usize = 64 * 1024;
    if buffer.capacity() - buffer.len() >= needed || buffer.try_reclaim(needed) {
        return;
    }
    let received = buffer.len();
    let step = if received < EARNEST { received.max(READ_SIZE) } else { received.saturating_mul(16) };
    buffer.reserve(needed.min(step));
}

/// `queued.max.request.bytes`: as long as anything is left a request may be received, so one request may overdraw it
/// (class `SimpleMemoryPool`, not strict).
pub(super) struct RequestMemory {
    available: AtomicI64,
    freed: Notify,
}

/// A request's share of the pool, until dropped.
pub(super) struct Lease<'a> {
    pool: &'a RequestMemory,
    bytes: i64,
}

impl RequestMemory {
    pub(super) fn new(bytes: usize) -> Self {
        Self { available: AtomicI64::new(i64::try_from(bytes).unwrap_or(i64::MAX)), freed: Notify::new() }
    }

    /// Takes `bytes` if anything at all is left.
    pub(super) fn try_lease(&self, bytes: usize) -> Option<Lease<'_>> {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.available
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |available| (available > 0).then(|| available - bytes))
            .ok()?;
        Some(Lease { pool: self, bytes })
    }

    pub(super) async fn lease(&self, bytes: usize) -> Lease<'_> {
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            // Listening before looking: a lease returned in between is not missed.
            freed.as_mut().enable();
            if let Some(lease) = self.try_lease(bytes) {
                return lease;
            }
            freed.await;
        }
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        self.pool.available.fetch_add(self.bytes, Ordering::AcqRel);
        self.pool.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_grows_with_what_was_received_not_with_what_is_claimed() {
        let mut buffer = BytesMut::with_capacity(READ_SIZE);
        buffer.extend_from_slice(&[0; 10]);
        make_room(&mut buffer, 100 << 20);
        assert!(buffer.capacity() <= 3 * READ_SIZE, "{}", buffer.capacity());
        buffer.extend_from_slice(&[0; 100_000]);
        make_room(&mut buffer, 100 << 20);
        assert!(buffer.capacity() <= 4 << 20, "{}", buffer.capacity());
        make_room(&mut buffer, 900_000);
        assert!(buffer.capacity() - buffer.len() >= 900_000);
    }

    #[test]
    fn a_large_buffer_is_used_again_once_its_frames_are_gone() {
        let mut buffer = lend();
        buffer.reserve(1 << 20);
        buffer.resize(1 << 20, 7);
        let place = buffer.as_ptr();
        let frame = buffer.split_to(1 << 20);
        drop(frame);
        give_back(buffer);
        let mut again = lend();
        assert!(again.try_reclaim(1 << 20));
        assert_eq!(again.as_ptr(), place);
    }

    #[test]
    fn a_buffer_whose_frame_is_kept_is_not_lent_again() {
        let mut buffer = lend();
        buffer.resize(buffer.capacity(), 7);
        let frame = buffer.split();
        give_back(buffer);
        let mut other = lend();
        other.resize(100, 1);
        assert!(frame.iter().all(|byte| *byte == 7));
    }

    #[tokio::test]
    async fn the_pool_is_overdrawn_by_one_request_only() {
        let pool = RequestMemory::new(100);
        let first = pool.lease(60).await;
        let second = pool.lease(60).await;
        assert!(pool.try_lease(1).is_none());
        drop(first);
        let third = pool.try_lease(1).unwrap();
        drop((second, third));
        assert_eq!(pool.available.load(Ordering::Relaxed), 100);
    }
}
