//! DescribeGroups and ListGroups.

use std::sync::Arc;

use super::{
    command::{GroupDescription, GroupOverview, MemberDescription},
    group::Group,
    shard::GroupShard,
    state::GroupState,
};

impl GroupShard {
    /// An unknown group is described as dead.
    #[must_use]
    pub fn describe(&self, group_id: &str) -> GroupDescription {
        match self.groups.get(group_id) {
            Some(group) => group.describe(),
            None => GroupDescription { state: GroupState::Dead.name(), ..GroupDescription::default() },
        }
    }

    #[must_use]
    pub fn overviews(&self) -> Vec<GroupOverview> {
        let overview = |group: &Group| GroupOverview {
            group_id: Arc::clone(&group.id),
            protocol_type: group.protocol_type.clone().unwrap_or_default(),
            state: group.state().name(),
        };
        self.groups.values().map(overview).collect()
    }
}

impl Group {
    /// Metadata and assignments only while they are settled.
    fn describe(&self) -> GroupDescription {
        let stable = self.is(GroupState::Stable);
        let protocol = if stable { self.protocol_name.clone().unwrap_or_default() } else { Arc::default() };
        let members = self.members.iter().map(|(id, member)| MemberDescription {
            member_id: Arc::clone(id),
            group_instance_id: member.group_instance_id.clone(),
            client_id: Arc::clone(&member.client_id),
            client_host: Arc::clone(&member.client_host),
            metadata: if stable { member.metadata(&protocol) } else { bytes::Bytes::new() },
            assignment: if stable { member.assignment.clone() } else { bytes::Bytes::new() },
        });
        GroupDescription {
            state: self.state().name(),
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            members: members.collect(),
            protocol,
        }
    }
}
