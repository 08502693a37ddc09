//! Every answer must fit every version it may be asked in: an answer that the schema refuses closes the connection.

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::{
    messages::{
        DescribeGroupsResponse, JoinGroupResponse, LeaveGroupResponse, OffsetFetchResponse, SyncGroupResponse,
        describe_groups_response::DescribedGroup,
    },
    protocol::{Decodable, Encodable, HeaderVersion},
};

use super::{describe_groups, join_group, leave_group, offset_fetch, sync_group};
use crate::{
    common::{ErrorCode, TopicPartition},
    coordinator::group::command::{
        FetchedOffset, GroupDescription, JoinReply, JoinedMember, LeaveReply, LeftMember, MemberDescription, SyncReply,
    },
};

fn round_trip<T: Encodable + Decodable>(response: &T, version: i16) -> T {
    let mut bytes = BytesMut::new();
    response.encode(&mut bytes, version).unwrap_or_else(|fault| panic!("version {version}: {fault:#}"));
    T::decode(&mut bytes.freeze(), version).unwrap()
}

fn joined() -> JoinReply {
    JoinReply {
        error: ErrorCode::None,
        generation: 7,
        protocol_type: Some("consumer".into()),
        protocol_name: Some("range".into()),
        leader: "a".into(),
        member_id: "a".into(),
        skip_assignment: true,
        members: vec![JoinedMember {
            member_id: "a".into(),
            group_instance_id: Some("i".into()),
            metadata: Bytes::from_static(b"m"),
        }],
    }
}

/// A frame of the group's own codec, as the message crate reads it.
fn read<T: Decodable + HeaderVersion>(frame: Option<Bytes>, version: i16) -> T {
    let mut frame = frame.unwrap();
    let length = frame.get_i32();
    assert_eq!((length as usize, frame.get_i32()), (frame.remaining() + 4, 5));
    if T::header_version(version) >= 1 {
        assert_eq!(frame.get_u8(), 0);
    }
    let response = T::decode(&mut frame, version).unwrap();
    assert!(frame.is_empty(), "version {version}");
    response
}

#[test]
fn joins_fit_all_versions() {
    for version in 0..=9 {
        let response: JoinGroupResponse = read(join_group::response(&joined()).encode(5, version), version);
        assert_eq!(response.generation_id, 7);
        assert_eq!(response.members[0].group_instance_id.is_some(), version >= 5);
        assert_eq!(response.skip_assignment, version >= 9);

        let refused = JoinReply::error("".into(), ErrorCode::MemberIdRequired);
        let response: JoinGroupResponse = read(join_group::response(&refused).encode(5, version), version);
        // Null only where the schema has null.
        assert_eq!(response.protocol_name.is_none(), version >= 7, "version {version}");
    }
}

#[test]
fn syncs_fit_all_versions() {
    for version in 0..=5 {
        let answer = SyncReply {
            error: ErrorCode::None,
            protocol_type: Some("consumer".into()),
            protocol_name: Some("range".into()),
            assignment: Bytes::from_static(b"x"),
        };
        let response: SyncGroupResponse = read(sync_group::response(&answer).encode(5, version), version);
        assert_eq!(response.assignment, "x");
        let refused = SyncReply::error(ErrorCode::RebalanceInProgress);
        let refused: SyncGroupResponse = read(sync_group::response(&refused).encode(5, version), version);
        assert_eq!(refused.error_code, 27);
    }
}

/// Before v3 there is one member, and its error is the request's.
#[test]
fn leaves_fit_all_versions() {
    for version in 0..=5 {
        let left = LeftMember {
            member_id: "a".into(),
            group_instance_id: Some("i".into()),
            error: ErrorCode::FencedInstanceId,
        };
        let answer = LeaveReply { error: ErrorCode::None, members: vec![left] };
        let response: LeaveGroupResponse = round_trip(&leave_group::respond(version >= 3, answer), version);
        assert_eq!(response.error_code, if version >= 3 { 0 } else { 82 });
        assert_eq!(response.members.len(), usize::from(version >= 3));
    }
}

#[test]
fn fetched_offsets_fit_all_single_group_versions() {
    for version in 0..=7 {
        let fetched = FetchedOffset {
            topic_partition: TopicPartition::new("t", 3),
            offset: 5,
            leader_epoch: 2,
            metadata: "m".into(),
            error: ErrorCode::None,
        };
        let response: OffsetFetchResponse = round_trip(&offset_fetch::respond_single(Ok(vec![fetched])), version);
        let partition = &response.topics[0].partitions[0];
        assert_eq!((partition.partition_index, partition.committed_offset), (3, 5));
        let refused = offset_fetch::respond_single(Err(ErrorCode::NotCoordinator));
        let refused: OffsetFetchResponse = round_trip(&refused, version);
        assert_eq!(refused.error_code, if version >= 2 { 16 } else { 0 });
        assert!(refused.topics.is_empty(), "an error of the group names no partition, not even in v1");
    }
}

#[test]
fn descriptions_fit_all_versions() {
    for version in 0..=5 {
        let member = MemberDescription {
            member_id: "a".into(),
            group_instance_id: Some("i".into()),
            client_id: "c".into(),
            client_host: "/127.0.0.1".into(),
            metadata: Bytes::new(),
            assignment: Bytes::new(),
        };
        let group = GroupDescription {
            state: "Stable",
            protocol_type: "consumer".into(),
            protocol: "range".into(),
            members: vec![member],
        };
        let described = describe_groups::fill(DescribedGroup::default(), group, version >= 4);
        let response = DescribeGroupsResponse::default().with_groups(vec![described]);
        let response = round_trip(&response, version);
        assert_eq!(&*response.groups[0].group_state, "Stable");
    }
}
