//! All sessions of the broker, and who goes when there are too many (class `FetchSessionCache`).

use std::{collections::BTreeSet, sync::Arc};

use indexmap::IndexMap;
use parking_lot::Mutex;

use super::{
    FINAL_EPOCH, FetchContext, FetchSession, INITIAL_EPOCH, INVALID_SESSION_ID, Outcome, Requested, SessionRequest,
    next_epoch,
};
use crate::common::{ErrorCode, Timestamp};

/// Order of eviction: consumers before followers, small sessions before large ones.
type EvictableKey = (bool, usize, i32);

struct Entry {
    session: Arc<Mutex<FetchSession>>,
    privileged: bool,
    created: Timestamp,
    last_used: Timestamp,
    size: usize,
}

#[derive(Default)]
struct Cache {
    sessions: IndexMap<i32, Entry, ahash::RandomState>,
    by_last_use: BTreeSet<(Timestamp, i32)>,
    /// Sessions that have existed long enough to be pushed out by anybody.
    evictable_by_all: BTreeSet<EvictableKey>,
    /// Those that a follower may push out: all consumers', and old enough followers'.
    evictable_by_privileged: BTreeSet<EvictableKey>,
    partitions: usize,
    evictions: u64,
}

/// The cache. Its lock is held for a few tree operations; each session has its own.
pub struct FetchSessions {
    /// `max.incremental.fetch.session.cache.slots`
    max_entries: usize,
    /// `min.incremental.fetch.session.eviction.ms`
    eviction_ms: i64,
    cache: Mutex<Cache>,
}

impl FetchSessions {
    #[must_use]
    pub fn new(max_entries: usize, eviction_ms: i64) -> Self {
        Self { max_entries, eviction_ms, cache: Mutex::default() }
    }

    /// What `request` is about; the session it names moves on by one epoch.
    #[must_use]
    pub fn new_context(&self, now: Timestamp, request: SessionRequest) -> FetchContext {
        if request.is_full() {
            return self.full_context(request);
        }
        let mut cache = self.cache.lock();
        let Some(entry) = cache.sessions.get(&request.session_id) else {
            return FetchContext::Error(ErrorCode::FetchSessionIdNotFound);
        };
        let shared = Arc::clone(&entry.session);
        let mut session = shared.lock();
        if session.epoch != request.epoch {
            return FetchContext::Error(ErrorCode::InvalidFetchSessionEpoch);
        }
        if session.uses_topic_ids != request.uses_topic_ids {
            return FetchContext::Error(ErrorCode::FetchSessionTopicIdError);
        }
        session.update(request.partitions, &request.forgotten);
        let (id, size) = (session.id, session.len());
        if size == 0 {
            drop(session);
            cache.remove(id);
            return FetchContext::Sessionless(Vec::new());
        }
        session.epoch = next_epoch(session.epoch);
        let epoch = session.epoch;
        drop(session);
        cache.touch(id, size, now, self.eviction_ms);
        FetchContext::Incremental { session: shared, id, epoch }
    }

    fn full_context(&self, request: SessionRequest) -> FetchContext {
        if request.session_id != INVALID_SESSION_ID {
            self.cache.lock().remove(request.session_id);
        }
        let SessionRequest { epoch, partitions, uses_topic_ids, from_follower, .. } = request;
        if epoch == FINAL_EPOCH {
            FetchContext::Sessionless(partitions)
        } else {
            FetchContext::Full { partitions, uses_topic_ids, from_follower }
        }
    }

    /// Makes a session if there is room or somebody to push out; 0 if not.
    pub(super) fn create(
        &self,
        now: Timestamp,
        privileged: bool,
        uses_topic_ids: bool,
        mut random_id: impl FnMut() -> i32,
        partitions: Vec<(Requested, Outcome)>,
    ) -> i32 {
        let mut cache = self.cache.lock();
        let size = partitions.len();
        if cache.sessions.len() >= self.max_entries && !cache.try_evict(now, (privileged, size, 0), self.eviction_ms) {
            return INVALID_SESSION_ID;
        }
        let id = loop {
            let id = random_id();
            if id > INVALID_SESSION_ID && !cache.sessions.contains_key(&id) {
                break id;
            }
        };
        let epoch = next_epoch(INITIAL_EPOCH);
        let session = FetchSession::new(id, privileged, uses_topic_ids, now, epoch, partitions.into_iter());
        let size = session.len();
        debug_assert_eq!((session.privileged, session.created), (privileged, now));
        let session = Arc::new(Mutex::new(session));
        cache.sessions.insert(id, Entry { session, privileged, created: now, last_used: now, size: 0 });
        cache.touch(id, size, now, self.eviction_ms);
        id
    }

    /// Sessions, partitions in them, and evictions since the start (`NumIncrementalFetchSessions` and so on).
    #[must_use]
    pub fn counts(&self) -> (usize, usize, u64) {
        let cache = self.cache.lock();
        (cache.sessions.len(), cache.partitions, cache.evictions)
    }
}

impl Cache {
    fn remove(&mut self, id: i32) {
        let Some(entry) = self.sessions.swap_remove(&id) else { return };
        self.unlist(id, &entry);
    }

    fn unlist(&mut self, id: i32, entry: &Entry) {
        self.by_last_use.remove(&(entry.last_used, id));
        let key = (entry.privileged, entry.size, id);
        self.evictable_by_all.remove(&key);
        self.evictable_by_privileged.remove(&key);
        self.partitions -= entry.size;
    }

    /// Notes a use of the session and its size now.
    fn touch(&mut self, id: i32, size: usize, now: Timestamp, eviction_ms: i64) {
        let Some(mut entry) = self.sessions.swap_remove(&id) else { return };
        self.unlist(id, &entry);
        entry.last_used = now;
        entry.size = size;
        self.by_last_use.insert((now, id));
        let key = (entry.privileged, size, id);
        let is_old = now - entry.created > eviction_ms;
        if is_old || !entry.privileged {
            self.evictable_by_privileged.insert(key);
        }
        if is_old {
            self.evictable_by_all.insert(key);
        }
        self.partitions += size;
        self.sessions.insert(id, entry);
    }

    /// Makes room: the longest unused session if it is stale, else the least valuable one if `newcomer` is worth more.
    fn try_evict(&mut self, now: Timestamp, newcomer: EvictableKey, eviction_ms: i64) -> bool {
        let Some((last_used, oldest)) = self.by_last_use.first().copied() else { return false };
        let victim = if now - last_used > eviction_ms {
            oldest
        } else {
            let candidates = if newcomer.0 { &self.evictable_by_privileged } else { &self.evictable_by_all };
            match candidates.first() {
                Some(least) if newcomer >= *least => least.2,
                _ => return false,
            }
        };
        self.remove(victim);
        self.evictions += 1;
        true
    }
}
