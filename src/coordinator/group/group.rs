//! One group's state (class `GroupMetadata`): the fields, and the verbs that keep them consistent with each other.
//! The protocol's verbs are in `join`, `rebalance`, `sync`, `heartbeat`, `leave`; offsets are in `offsets`.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;
use indexmap::IndexSet;

use super::{
    Map,
    command::{JoinReply, JoinedMember, Now, Reply, ReplyTo, Step, SyncReply},
    config::GroupConfig,
    member::{Member, Protocols},
    offsets::{CommittedOffset, PendingOffset},
    records::OffsetAndMetadata,
    state::GroupState,
    timer::{Timer, TimerTable},
};
use crate::{
    common::{ErrorCode, ProducerId, Timestamp, TopicPartition},
    protocol::consumer_protocol,
};

/// What a verb of a group needs of its shard.
pub(super) struct Env<'a> {
    pub now: Now,
    pub config: &'a GroupConfig,
    pub timers: &'a mut TimerTable,
    pub step: &'a mut Step,
}

impl Env<'_> {
    pub fn reply(&mut self, to: ReplyTo, reply: Reply) {
        self.step.replies.push((to, reply));
    }
}

/// The initial rebalance delay in progress: it is prolonged while new members keep coming, up to the rebalance timeout.
#[derive(Debug, Clone, Copy)]
pub(super) struct InitialDelay {
    pub delay_ms: i64,
    pub remaining_ms: i64,
}

#[derive(Debug)]
pub struct Group {
    pub id: Arc<str>,
    state: GroupState,
    /// When `state` was entered; `None` for a group written by a Kafka older than 2.1.
    pub(super) state_timestamp: Option<Timestamp>,
    pub generation: i32,
    pub protocol_type: Option<Arc<str>>,
    pub protocol_name: Option<Arc<str>>,
    pub(super) leader: Option<Arc<str>>,
    pub(super) members: Map<Arc<str>, Member>,
    /// Instance id → member id (KIP-345).
    pub(super) static_members: Map<Arc<str>, Arc<str>>,
    /// Ids given out by MEMBER_ID_REQUIRED whose owners have not come back.
    pub(super) pending_members: IndexSet<Arc<str>, ahash::RandomState>,
    /// Members of this generation that have not sent SyncGroup.
    pub(super) pending_sync: IndexSet<Arc<str>, ahash::RandomState>,
    /// How many members support each protocol: the candidates are those that all do.
    protocol_votes: Map<Arc<str>, usize>,
    joined_count: usize,
    pub(super) initial_delay: Option<InitialDelay>,
    /// A member joined during the current step of the initial delay.
    pub(super) new_member_added: bool,
    /// Topics of the members' subscriptions; `None` if they cannot be known.
    pub(super) subscribed_topics: Option<BTreeSet<String>>,
    /// Only while loading: the log's last word on this group was a generation, not a tombstone.
    is_loaded: bool,
    pub(super) offsets: Map<TopicPartition, CommittedOffset>,
    /// Commits on their way to the log.
    pub(super) pending_offsets: Map<TopicPartition, OffsetAndMetadata>,
    /// Commits of open transactions. An entry without a log offset is still on its way.
    pub(super) pending_transactions: BTreeMap<ProducerId, Map<TopicPartition, PendingOffset>>,
}

impl Group {
    #[must_use]
    pub fn new(id: Arc<str>, now: Timestamp) -> Self {
        Self {
            id,
            state: GroupState::Empty,
            state_timestamp: Some(now),
            generation: 0,
            protocol_type: None,
            protocol_name: None,
            leader: None,
            members: Map::default(),
            static_members: Map::default(),
            pending_members: IndexSet::default(),
            pending_sync: IndexSet::default(),
            protocol_votes: Map::default(),
            joined_count: 0,
            initial_delay: None,
            new_member_added: false,
            subscribed_topics: None,
            is_loaded: false,
            offsets: Map::default(),
            pending_offsets: Map::default(),
            pending_transactions: BTreeMap::new(),
        }
    }

    #[must_use]
    pub fn state(&self) -> GroupState {
        self.state
    }

    #[must_use]
    pub fn is(&self, state: GroupState) -> bool {
        self.state == state
    }

    #[must_use]
    pub fn leader(&self) -> Option<&Arc<str>> {
        self.leader.as_ref()
    }

    #[must_use]
    pub fn is_leader(&self, member_id: &str) -> bool {
        self.leader.as_deref() == Some(member_id)
    }

    pub fn member_ids(&self) -> impl Iterator<Item = &Arc<str>> {
        self.members.keys()
    }

    #[must_use]
    pub fn member(&self, id: &str) -> Option<&Member> {
        self.members.get(id)
    }

    #[must_use]
    pub fn joined_count(&self) -> usize {
        self.joined_count
    }

    pub(super) fn transition(&mut self, to: GroupState, now: Timestamp) {
        debug_assert!(to.may_follow(self.state), "{} after {}", to, self.state);
        self.state = to;
        self.state_timestamp = Some(now);
    }

    pub(super) fn mark_loaded(&mut self) {
        self.is_loaded = true;
    }

    pub(super) fn generation_is_logged(&self) -> bool {
        self.is_loaded
    }

    /// Loading sets the state without a predecessor.
    pub(super) fn set_loaded_state(&mut self, state: GroupState, since: Option<Timestamp>) {
        self.state = state;
        self.state_timestamp = since;
    }

    /// Instance id and member id must belong together, and the member must be here.
    pub(super) fn validate_member(&self, member_id: &str, instance_id: Option<&str>) -> Result<(), ErrorCode> {
        self.validated_member(member_id, instance_id).map(|_| ())
    }

    pub(super) fn validated_member(
        &self,
        member_id: &str,
        instance_id: Option<&str>,
    ) -> Result<(&Arc<str>, &Member), ErrorCode> {
        if let Some(instance_id) = instance_id {
            match self.static_members.get(instance_id) {
                Some(current) if **current != *member_id => return Err(ErrorCode::FencedInstanceId),
                Some(_) => {}
                None => return Err(ErrorCode::UnknownMemberId),
            }
        }
        self.members.get_key_value(member_id).ok_or(ErrorCode::UnknownMemberId)
    }

    /// Whether a member with these protocols could join without breaking what the others can speak.
    pub(super) fn supports_protocols(&self, protocol_type: &str, protocols: &Protocols) -> bool {
        if self.is(GroupState::Empty) {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_deref() == Some(protocol_type)
            && protocols.iter().any(|(name, _)| self.votes(name) == self.members.len())
    }

    fn votes(&self, protocol: &str) -> usize {
        self.protocol_votes.get(protocol).copied().unwrap_or(0)
    }

    fn count_protocols(votes: &mut Map<Arc<str>, usize>, protocols: &Protocols) {
        for (name, _) in protocols {
            *votes.entry(Arc::clone(name)).or_insert(0) += 1;
        }
    }

    fn uncount_protocols(votes: &mut Map<Arc<str>, usize>, protocols: &Protocols) {
        for (name, _) in protocols {
            if let Some(count) = votes.get_mut(name) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    votes.swap_remove(name);
                }
            }
        }
    }

    pub(super) fn add(&mut self, id: Arc<str>, member: Member, protocol_type: &str) {
        if let Some(instance_id) = &member.group_instance_id {
            self.static_members.insert(Arc::clone(instance_id), Arc::clone(&id));
        }
        if self.members.is_empty() {
            self.protocol_type = Some(protocol_type.into());
        }
        if self.leader.is_none() {
            self.leader = Some(Arc::clone(&id));
        }
        Self::count_protocols(&mut self.protocol_votes, &member.protocols);
        if member.join_reply.is_some() {
            self.joined_count += 1;
        }
        self.pending_members.swap_remove(&id);
        self.members.insert(id, member);
    }

    /// Removes a member or a pending one. Its waiting requests must have been answered.
    pub(super) fn remove(&mut self, id: &str) {
        if let Some(member) = self.members.swap_remove(id) {
            self.forget(&member);
        }
        if self.is_leader(id) {
            self.leader = self.members.keys().next().cloned();
        }
        self.pending_members.swap_remove(id);
        self.pending_sync.swap_remove(id);
    }

    fn forget(&mut self, member: &Member) {
        Self::uncount_protocols(&mut self.protocol_votes, &member.protocols);
        if member.join_reply.is_some() {
            self.joined_count -= 1;
        }
        if let Some(instance_id) = &member.group_instance_id {
            self.static_members.swap_remove(instance_id);
        }
    }

    /// Removes the dynamic members that did not rejoin in time; returns their ids.
    pub(super) fn remove_not_rejoined(&mut self) -> Vec<Arc<str>> {
        let late = |member: &Member| member.join_reply.is_none() && !member.is_static();
        if !self.members.values().any(late) {
            return Vec::new();
        }
        let (gone, kept): (Map<_, _>, Map<_, _>) =
            std::mem::take(&mut self.members).into_iter().partition(|(_, member)| late(member));
        self.members = kept;
        for (id, member) in &gone {
            self.forget(member);
            self.pending_sync.swap_remove(id);
        }
        if self.leader.as_ref().is_some_and(|leader| !self.members.contains_key(leader)) {
            self.leader = self.members.keys().next().cloned();
        }
        gone.into_keys().collect()
    }

    /// Notes what a member says of itself when it rejoins. A join of the same member that still waits has been given up
    /// by its client; it is told to try again, so that no request stays without an answer.
    pub(super) fn update_member(
        &mut self,
        env: &mut Env<'_>,
        id: &str,
        protocols: Protocols,
        timeouts_ms: (i32, i32),
        reply: Option<ReplyTo>,
    ) {
        let Some(member) = self.members.get_mut(id) else { return };
        Self::uncount_protocols(&mut self.protocol_votes, &member.protocols);
        member.protocols = protocols;
        Self::count_protocols(&mut self.protocol_votes, &member.protocols);
        (member.rebalance_timeout_ms, member.session_timeout_ms) = timeouts_ms;
        let superseded = std::mem::replace(&mut member.join_reply, reply);
        self.joined_count -= usize::from(superseded.is_some());
        self.joined_count += usize::from(reply.is_some());
        if let Some(superseded) = superseded {
            env.reply(superseded, Reply::Join(JoinReply::error(id.into(), ErrorCode::RebalanceInProgress)));
        }
    }

    /// Gives a static member's place to a new member id, fencing the requests of the old one.
    pub(super) fn replace_static_member(&mut self, env: &mut Env<'_>, instance_id: &str, old: &str, new: &Arc<str>) {
        self.answer_join(env, old, || JoinReply::error(old.into(), ErrorCode::FencedInstanceId));
        self.answer_sync(env, old, || SyncReply::error(ErrorCode::FencedInstanceId));
        let Some(member) = self.members.swap_remove(old) else { return };
        self.members.insert(Arc::clone(new), member);
        if self.is_leader(old) {
            self.leader = Some(Arc::clone(new));
        }
        if self.pending_sync.swap_remove(old) {
            self.pending_sync.insert(Arc::clone(new));
        }
        self.static_members.insert(instance_id.into(), Arc::clone(new));
        env.timers.cancel(&Timer::Session { group: Arc::clone(&self.id), member: old.into() });
    }

    /// Answers the member's waiting join, if there is one.
    pub(super) fn answer_join(&mut self, env: &mut Env<'_>, id: &str, reply: impl FnOnce() -> JoinReply) -> bool {
        let Some(token) = self.members.get_mut(id).and_then(|member| member.join_reply.take()) else { return false };
        self.joined_count -= 1;
        env.reply(token, Reply::Join(reply()));
        true
    }

    /// Answers the member's waiting sync, if there is one.
    pub(super) fn answer_sync(&mut self, env: &mut Env<'_>, id: &str, reply: impl FnOnce() -> SyncReply) -> bool {
        let Some(token) = self.members.get_mut(id).and_then(|member| member.sync_reply.take()) else { return false };
        env.reply(token, Reply::Sync(reply()));
        true
    }

    pub(super) fn all_members_joined(&self) -> bool {
        self.members.len() == self.joined_count && self.pending_members.is_empty()
    }

    pub(super) fn rebalance_timeout_ms(&self) -> i64 {
        i64::from(self.members.values().map(|member| member.rebalance_timeout_ms).max().unwrap_or(0).max(0))
    }

    pub(super) fn can_rebalance(&self) -> bool {
        GroupState::PreparingRebalance.may_follow(self.state)
    }

    /// If the leader did not rejoin, the first member that did takes over. False if nobody did.
    pub(super) fn elect_joined_leader(&mut self) -> bool {
        let joined = |member: &Member| member.join_reply.is_some();
        let Some(leader) = &self.leader else { return false };
        if self.members.get(leader).is_some_and(joined) {
            return true;
        }
        let Some((id, _)) = self.members.iter().find(|(_, member)| joined(member)) else { return false };
        tracing::info!(group = %self.id, old = %leader, new = %id, "group leader failed to rejoin; another is elected");
        self.leader = Some(Arc::clone(id));
        true
    }

    /// The protocol that most members prefer among those that all support.
    pub(super) fn select_protocol(&self) -> Option<Arc<str>> {
        let mut votes: Map<&Arc<str>, usize> = Map::default();
        for member in self.members.values() {
            if let Some((name, _)) = member.protocols.iter().find(|(name, _)| self.votes(name) == self.members.len()) {
                *votes.entry(name).or_insert(0) += 1;
            }
        }
        let most = votes.values().copied().max()?;
        votes.into_iter().find(|(_, count)| *count == most).map(|(name, _)| Arc::clone(name))
    }

    /// The next generation begins; the group is empty or completes its rebalance.
    pub(super) fn begin_generation(&mut self, now: Timestamp) {
        self.generation = self.generation.wrapping_add(1);
        self.protocol_name = self.select_protocol();
        self.subscribed_topics = self.compute_subscribed_topics();
        let next = if self.members.is_empty() { GroupState::Empty } else { GroupState::CompletingRebalance };
        self.transition(next, now);
        self.pending_sync.clear();
    }

    /// The members' topics, if they speak the consumer protocol and can be understood.
    pub(super) fn compute_subscribed_topics(&self) -> Option<BTreeSet<String>> {
        if !self.is_consumer_group() {
            return None;
        }
        if self.members.is_empty() {
            return Some(BTreeSet::new());
        }
        let protocol = self.protocol_name.as_deref()?;
        let mut topics = BTreeSet::new();
        for member in self.members.values() {
            match consumer_protocol::subscribed_topics(&member.metadata(protocol)) {
                Ok(of_member) => topics.extend(of_member),
                Err(fault) => {
                    tracing::warn!(group = %self.id, protocol, %fault, "subscription cannot be read");
                    return None;
                }
            }
        }
        Some(topics)
    }

    #[must_use]
    pub fn is_consumer_group(&self) -> bool {
        self.protocol_type.as_deref() == Some(consumer_protocol::PROTOCOL_TYPE)
    }

    pub(super) fn is_subscribed_to(&self, topic: &str) -> bool {
        self.subscribed_topics.as_ref().is_none_or(|topics| topics.contains(topic))
    }

    /// What a member is told of the current generation; the leader also gets the members.
    pub(super) fn joined_reply(&self, member_id: &Arc<str>) -> JoinReply {
        JoinReply {
            error: ErrorCode::None,
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            leader: self.leader.clone().unwrap_or_default(),
            member_id: Arc::clone(member_id),
            skip_assignment: false,
            members: if self.is_leader(member_id) { self.joined_members() } else { Vec::new() },
        }
    }

    fn joined_members(&self) -> Vec<JoinedMember> {
        let protocol = self.protocol_name.as_deref().unwrap_or_default();
        let joined = |(id, member): (&Arc<str>, &Member)| JoinedMember {
            member_id: Arc::clone(id),
            group_instance_id: member.group_instance_id.clone(),
            metadata: member.metadata(protocol),
        };
        self.members.iter().map(joined).collect()
    }

    /// The members' assignments as they are now.
    pub(super) fn current_assignment(&self) -> Map<Arc<str>, Bytes> {
        self.members.iter().map(|(id, member)| (Arc::clone(id), member.assignment.clone())).collect()
    }

    pub(super) fn schedule_session(&self, env: &mut Env<'_>, id: &Arc<str>) {
        let Some(member) = self.members.get(id) else { return };
        let timeout_ms = i64::from(member.session_timeout_ms);
        self.schedule_session_in(env, id, timeout_ms);
    }

    pub(super) fn schedule_session_in(&self, env: &mut Env<'_>, id: &Arc<str>, timeout_ms: i64) {
        let timer = Timer::Session { group: Arc::clone(&self.id), member: Arc::clone(id) };
        env.timers.schedule(timer, env.now.monotonic_ms.saturating_add(timeout_ms));
    }

    pub(super) fn cancel_session(&self, env: &mut Env<'_>, id: &Arc<str>) {
        env.timers.cancel(&Timer::Session { group: Arc::clone(&self.id), member: Arc::clone(id) });
    }
}
