//! What a group keeps of offsets: committed, on their way to the log, and held back by open transactions.

use super::{group::Group, records::OffsetAndMetadata, state::GroupState};
use crate::{
    common::{Offset, ProducerId, Timestamp, TopicPartition},
    protocol::consumer_protocol,
};

/// A commit and where its batch lies in the log: a transaction's commit must not overwrite one that was appended later
/// (class `CommitRecordMetadataAndOffset`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedOffset {
    /// `None`: not in the log yet.
    pub appended_at: Option<Offset>,
    pub value: OffsetAndMetadata,
}

/// Commits of one partition in an open transaction.
#[derive(Debug, Clone, Default)]
pub struct PendingOffset {
    /// The newest one in the log: what the transaction will commit. A later one that fails leaves it as it is.
    pub logged: Option<CommittedOffset>,
    /// How many are on their way to the log.
    pub staged: usize,
}

impl CommittedOffset {
    fn older_than(&self, appended_at: Offset) -> bool {
        self.appended_at.is_none_or(|at| at < appended_at)
    }
}

impl Group {
    /// A commit is in the log.
    pub(super) fn offset_appended(&mut self, tp: &TopicPartition, value: OffsetAndMetadata, appended_at: Offset) {
        if self.offsets.get(tp).is_none_or(|current| current.older_than(appended_at)) {
            let committed = CommittedOffset { appended_at: Some(appended_at), value };
            self.offsets.insert(tp.clone(), committed);
        }
    }

    /// The commit's write has ended, either way; a newer commit may be pending already.
    pub(super) fn unstage_offset(&mut self, tp: &TopicPartition, value: &OffsetAndMetadata) {
        if self.pending_offsets.get(tp) == Some(value) {
            self.pending_offsets.swap_remove(tp);
        }
    }

    pub(super) fn stage_transactional(&mut self, producer: ProducerId, tp: TopicPartition) {
        self.pending_transactions.entry(producer).or_default().entry(tp).or_default().staged += 1;
    }

    /// A staged commit is in the log. If its transaction was ended meanwhile, there is nothing left to note.
    pub(super) fn transactional_appended(
        &mut self,
        producer: ProducerId,
        tp: &TopicPartition,
        value: &OffsetAndMetadata,
        appended_at: Offset,
    ) {
        let Some(pending) = self.pending_transactions.get_mut(&producer).and_then(|pending| pending.get_mut(tp)) else {
            return;
        };
        pending.staged = pending.staged.saturating_sub(1);
        if pending.logged.as_ref().is_none_or(|logged| logged.older_than(appended_at)) {
            pending.logged = Some(CommittedOffset { appended_at: Some(appended_at), value: value.clone() });
        }
    }

    /// A staged commit did not get into the log.
    pub(super) fn unstage_transactional(&mut self, producer: ProducerId, tp: &TopicPartition) {
        let Some(offsets) = self.pending_transactions.get_mut(&producer) else { return };
        if let Some(pending) = offsets.get_mut(tp) {
            pending.staged = pending.staged.saturating_sub(1);
            if pending.staged == 0 && pending.logged.is_none() {
                offsets.swap_remove(tp);
            }
        }
        if offsets.is_empty() {
            self.pending_transactions.remove(&producer);
        }
    }

    /// The transaction's marker is in the log.
    pub(super) fn transaction_completed(&mut self, producer: ProducerId, committed: bool) {
        let Some(pending) = self.pending_transactions.remove(&producer) else { return };
        if !committed {
            return;
        }
        for (tp, commit) in pending {
            match commit.logged.map(|logged| (logged.appended_at, logged.value)) {
                Some((Some(appended_at), value)) => self.offset_appended(&tp, value, appended_at),
                _ => tracing::error!(group = %self.id, producer, %tp, "transaction completed before its offsets"),
            }
        }
    }

    /// Whether what is committed now may soon be otherwise (KIP-447).
    pub(super) fn has_pending_offset(&self, tp: &TopicPartition) -> bool {
        self.pending_offsets.contains_key(tp)
            || self.pending_transactions.values().any(|pending| pending.contains_key(tp))
    }

    #[must_use]
    pub fn has_offsets(&self) -> bool {
        !self.offsets.is_empty() || !self.pending_offsets.is_empty() || !self.pending_transactions.is_empty()
    }

    #[must_use]
    pub fn committed_offset(&self, tp: &TopicPartition) -> Option<&OffsetAndMetadata> {
        self.offsets.get(tp).map(|committed| &committed.value)
    }

    #[must_use]
    pub fn offset_count(&self) -> usize {
        self.offsets.len()
    }

    /// Drops offsets, pending ones too; returns those that need a tombstone.
    pub(super) fn remove_offsets(&mut self, tps: impl IntoIterator<Item = TopicPartition>) -> Vec<TopicPartition> {
        let mut removed = Vec::new();
        for tp in tps {
            // A staged commit is, or will be, in the log before the tombstone.
            let was_staged = self.pending_offsets.swap_remove(&tp).is_some();
            for pending in self.pending_transactions.values_mut() {
                pending.swap_remove(&tp);
            }
            if self.offsets.swap_remove(&tp).is_some() || was_staged {
                removed.push(tp);
            }
        }
        removed
    }

    /// Drops the offsets whose time has come; returns them (KIP-211).
    pub(super) fn remove_expired_offsets(&mut self, now: Timestamp, retention_ms: i64) -> Vec<TopicPartition> {
        let is_expired = |committed: &CommittedOffset, since: Timestamp| match committed.value.expire_timestamp {
            Some(at) => now >= at,
            None => now.saturating_sub(since) >= retention_ms,
        };
        let commit_time = |committed: &CommittedOffset| committed.value.commit_timestamp;
        // From when on an offset ages; `None`: it does not.
        let state = self.state();
        let aging_since = |tp: &TopicPartition, committed: &CommittedOffset| match self.protocol_type.as_deref() {
            // A managed group without members: the clock starts when it became empty.
            Some(_) if state == GroupState::Empty => {
                Some(self.state_timestamp.unwrap_or_else(|| commit_time(committed)))
            }
            // A consumer group at work: only topics it no longer subscribes to.
            Some(consumer_protocol::PROTOCOL_TYPE) if state == GroupState::Stable => {
                let subscribed = self.subscribed_topics.as_ref()?;
                (!subscribed.contains(&*tp.topic)).then(|| commit_time(committed))
            }
            Some(_) => None,
            // A simple consumer: each offset for itself.
            None => Some(commit_time(committed)),
        };
        let mut expired = Vec::new();
        for (tp, committed) in &self.offsets {
            let is_due = || aging_since(tp, committed).is_some_and(|since| is_expired(committed, since));
            if !self.pending_offsets.contains_key(tp) && is_due() {
                expired.push(tp.clone());
            }
        }
        if !expired.is_empty() {
            expired.sort_unstable();
            self.offsets.retain(|tp, _| expired.binary_search(tp).is_err());
        }
        expired
    }
}
