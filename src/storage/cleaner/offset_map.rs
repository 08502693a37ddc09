//! Key → last offset, by hash alone (class `SkimpyOffsetMap`): 24 bytes per key, whatever the keys are.
//!
//! As in Kafka keys are not kept, so two keys of one 128-bit hash would be taken for one; here the hash is keyed with
//! a random number. The table is cut into shards that grow one by one, so that a small log costs little memory and
//! growing never doubles what a large one costs.

use super::sip::Sip128;
use crate::common::{Offset, ids::NO_OFFSET};

/// What a key costs (16 bytes of hash, 8 of offset): Kafka's number, on which its maps' capacity depends.
pub const BYTES_PER_ENTRY: usize = 24;
const SHARDS: usize = 64;
const SHARD_SLOTS_MIN: usize = 16;

#[derive(Debug, Clone, Copy)]
struct Entry {
    hash: (u64, u64),
    /// `NO_OFFSET`: free.
    offset: Offset,
}

const FREE: Entry = Entry { hash: (0, 0), offset: NO_OFFSET };

#[derive(Debug, Default)]
struct Shard {
    slots: Vec<Entry>,
    used: usize,
}

#[derive(Debug)]
pub struct OffsetMap {
    hasher: Sip128<1, 3>,
    shards: Vec<Shard>,
    slots: usize,
    entries_max: usize,
    len: usize,
    latest_offset: Offset,
}

impl OffsetMap {
    /// A map for `bytes` of memory that may be filled to `load_factor`. Takes no memory yet.
    #[must_use]
    pub fn new(bytes: usize, load_factor: f64) -> Self {
        let slots = bytes / BYTES_PER_ENTRY;
        Self {
            hasher: Sip128 { key: (rand::random(), rand::random()) },
            shards: std::iter::repeat_with(Shard::default).take(SHARDS).collect(),
            slots,
            entries_max: (slots as f64 * load_factor) as usize,
            len: 0,
            latest_offset: NO_OFFSET,
        }
    }

    /// Notes that the key was last seen at `offset`. False, and nothing noted, if the map is full.
    #[must_use]
    pub fn put(&mut self, key: &[u8], offset: Offset) -> bool {
        // Even for a key that is there: this is where Kafka stops reading, too.
        if self.len >= self.entries_max {
            return false;
        }
        let hash = self.hasher.hash(key);
        let nominal = self.slots / SHARDS;
        let shard = &mut self.shards[hash.1 as usize % SHARDS];
        self.len += usize::from(shard.put(hash, offset, nominal));
        self.latest_offset = offset;
        true
    }

    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<Offset> {
        let hash = self.hasher.hash(key);
        self.shards[hash.1 as usize % SHARDS].get(hash)
    }

    /// The map covers the log up to here, inclusive.
    #[must_use]
    pub const fn latest_offset(&self) -> Offset {
        self.latest_offset
    }

    pub const fn update_latest_offset(&mut self, offset: Offset) {
        self.latest_offset = offset;
    }

    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Share of the slots that are used.
    #[must_use]
    pub fn utilization(&self) -> f64 {
        if self.slots == 0 { 0.0 } else { self.len as f64 / self.slots as f64 }
    }

    /// Bytes taken at the moment.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.shards.iter().map(|shard| shard.slots.capacity() * size_of::<Entry>()).sum()
    }
}

impl Shard {
    /// True if the key is new.
    fn put(&mut self, hash: (u64, u64), offset: Offset, nominal: usize) -> bool {
        // 15 of 16 slots: beyond that probing gets long.
        if self.used + 1 > self.slots.len() - self.slots.len() / 16 {
            self.grow(nominal);
        }
        let at = self.find(hash);
        let is_new = self.slots[at].offset == NO_OFFSET;
        self.slots[at] = Entry { hash, offset };
        self.used += usize::from(is_new);
        is_new
    }

    fn get(&self, hash: (u64, u64)) -> Option<Offset> {
        if self.slots.is_empty() {
            return None;
        }
        let entry = self.slots[self.find(hash)];
        (entry.offset != NO_OFFSET).then_some(entry.offset)
    }

    /// Where the hash is, or would go. There is always a free slot.
    fn find(&self, hash: (u64, u64)) -> usize {
        let mut at = ((u128::from(hash.0) * self.slots.len() as u128) >> 64) as usize;
        loop {
            let entry = &self.slots[at];
            if entry.offset == NO_OFFSET || entry.hash == hash {
                return at;
            }
            at = if at + 1 == self.slots.len() { 0 } else { at + 1 };
        }
    }

    /// Doubles, up to the shard's part of the memory; a shard that got more than its part of the keys grows on slowly.
    fn grow(&mut self, nominal: usize) {
        let now = self.slots.len();
        let wanted = if now < nominal { (now * 2).min(nominal) } else { now + now / 8 };
        let bigger = Self { slots: vec![FREE; wanted.max(SHARD_SLOTS_MIN)], used: self.used };
        for entry in std::mem::replace(self, bigger).slots {
            if entry.offset != NO_OFFSET {
                let at = self.find(entry.hash);
                self.slots[at] = entry;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_last_offset_of_each_key() {
        let mut map = OffsetMap::new(1 << 20, 0.9);
        for offset in 0..30_000i64 {
            assert!(map.put(&(offset % 10_000).to_be_bytes(), offset));
        }
        assert_eq!(map.len(), 10_000);
        for key in 0..10_000i64 {
            assert_eq!(map.get(&key.to_be_bytes()), Some(20_000 + key));
        }
        assert_eq!(map.get(b"never"), None);
        assert_eq!(map.latest_offset(), 29_999);
    }

    #[test]
    fn fills_up_where_kafkas_map_does() {
        let mut map = OffsetMap::new(24 * 1_000, 0.9);
        let taken = (0..2_000i64).take_while(|key| map.put(&key.to_be_bytes(), *key)).count();
        assert_eq!(taken, 900);
        assert!(!map.put(&0i64.to_be_bytes(), 5_000), "a known key does not get in either");
        assert_eq!((map.latest_offset(), map.get(&0i64.to_be_bytes())), (899, Some(0)));
    }

    #[test]
    fn takes_memory_as_it_needs_it() {
        let bytes = 4 << 20;
        let mut map = OffsetMap::new(bytes, 0.9);
        assert_eq!(map.memory_bytes(), 0);
        for key in 0..1_000u32 {
            assert!(map.put(&key.to_be_bytes(), i64::from(key)));
        }
        assert!(map.memory_bytes() < 200_000, "{}", map.memory_bytes());
        let mut key = 1_000u32;
        while map.put(&key.to_be_bytes(), i64::from(key)) {
            key += 1;
        }
        assert!(map.memory_bytes() <= bytes + bytes / 20, "{} of {bytes}", map.memory_bytes());
        assert!((map.utilization() - 0.9).abs() < 0.001);
    }
}
