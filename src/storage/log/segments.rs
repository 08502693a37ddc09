//! The segments of one log, in offset order (class `LogSegments`). There is always at least one, the active one.

use std::sync::Arc;

use super::segment::Segment;
use crate::common::Offset;

pub struct Segments {
    ordered: Vec<Arc<Segment>>,
}

impl Segments {
    /// `ordered` must not be empty.
    #[must_use]
    pub fn new(mut ordered: Vec<Arc<Segment>>) -> Self {
        debug_assert!(!ordered.is_empty());
        ordered.sort_by_key(|segment| segment.base_offset());
        ordered.shrink_to_fit();
        Self { ordered }
    }

    /// The one that is written to.
    #[must_use]
    pub fn active(&self) -> &Arc<Segment> {
        &self.ordered[self.ordered.len() - 1]
    }

    #[must_use]
    pub fn first(&self) -> &Arc<Segment> {
        &self.ordered[0]
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.ordered.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ordered.is_empty()
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Arc<Segment>> {
        self.ordered.iter()
    }

    /// The segment that holds `offset`, if it is not below the first one.
    #[must_use]
    pub fn floor(&self, offset: Offset) -> Option<&Arc<Segment>> {
        let after = self.ordered.partition_point(|segment| segment.base_offset() <= offset);
        after.checked_sub(1).map(|at| &self.ordered[at])
    }

    /// The next segment above the one that begins at `base_offset`.
    #[must_use]
    pub fn higher(&self, base_offset: Offset) -> Option<&Arc<Segment>> {
        self.ordered.get(self.ordered.partition_point(|segment| segment.base_offset() <= base_offset))
    }

    /// The segment that holds `offset`, or the first one, and all above.
    #[must_use]
    pub fn from_offset(&self, offset: Offset) -> &[Arc<Segment>] {
        let after = self.ordered.partition_point(|segment| segment.base_offset() <= offset);
        &self.ordered[after.saturating_sub(1)..]
    }

    pub fn push(&mut self, segment: Arc<Segment>) {
        debug_assert!(segment.base_offset() > self.active().base_offset());
        self.ordered.push(segment);
    }

    /// Takes all but `segment`, which becomes the only one.
    pub fn replace_all(&mut self, segment: Arc<Segment>) -> Vec<Arc<Segment>> {
        std::mem::replace(&mut self.ordered, vec![segment])
    }

    /// Puts `new` where `old` were (the cleaner). The active one is never among them.
    pub fn replace(&mut self, new: &[Arc<Segment>], old: &[Arc<Segment>]) {
        self.ordered.retain(|segment| !old.iter().any(|gone| Arc::ptr_eq(gone, segment)));
        self.ordered.extend(new.iter().cloned());
        self.ordered.sort_by_key(|segment| segment.base_offset());
    }

    /// Segments with offsets in `from..to`: the one that holds `from`, and all that begin below `to`
    /// (`LogSegments.values`).
    #[must_use]
    pub fn between(&self, from: Offset, to: Offset) -> &[Arc<Segment>] {
        let first = self.ordered.partition_point(|segment| segment.base_offset() <= from).saturating_sub(1);
        let end = self.ordered.partition_point(|segment| segment.base_offset() < to);
        if from == to { &[] } else { self.ordered.get(first..end).unwrap_or_default() }
    }

    /// Takes the first `count`, never the last one.
    pub fn remove_front(&mut self, count: usize) -> Vec<Arc<Segment>> {
        let count = count.min(self.ordered.len() - 1);
        self.ordered.drain(..count).collect()
    }

    /// Takes those that begin above `offset`, never the first one.
    pub fn remove_above(&mut self, offset: Offset) -> Vec<Arc<Segment>> {
        let keep = self.ordered.partition_point(|segment| segment.base_offset() <= offset).max(1);
        self.ordered.split_off(keep)
    }
}
