//! The group's requests and responses against the generated codec, in every version.

use kafka_protocol::{
    messages::{
        GroupId, HeartbeatRequest as ReferenceHeartbeat, HeartbeatResponse as ReferenceHeartbeatResponse,
        JoinGroupRequest as ReferenceJoin, JoinGroupResponse as ReferenceJoinResponse,
        SyncGroupRequest as ReferenceSync, SyncGroupResponse as ReferenceSyncResponse,
        join_group_request::JoinGroupRequestProtocol, join_group_response::JoinGroupResponseMember,
        sync_group_request::SyncGroupRequestAssignment,
    },
    protocol::{Encodable, HeaderVersion, StrBytes},
};
use proptest::{collection::vec, option, prelude::*};

use super::*;
use crate::protocol::guard;

fn text() -> impl Strategy<Value = StrBytes> {
    "[a-zé.]{0,12}".prop_map(StrBytes::from_string)
}

fn pair() -> impl Strategy<Value = (StrBytes, Vec<u8>)> {
    (text(), vec(any::<u8>(), 0..200))
}

/// Ids, generation or timeouts, and names that a version may lack.
fn member() -> impl Strategy<Value = (StrBytes, StrBytes, i32, Option<StrBytes>)> {
    (text(), text(), any::<i32>(), option::of(text()))
}

fn encoded<T: Encodable>(message: &T, version: i16) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    message.encode(&mut bytes, version).unwrap();
    bytes.to_vec()
}

/// What the crate would send.
fn frame<T: Encodable + HeaderVersion>(response: &T, version: i16) -> Vec<u8> {
    let mut body = 5i32.to_be_bytes().to_vec();
    if T::header_version(version) >= 1 {
        body.push(0);
    }
    body.extend(encoded(response, version));
    let mut frame = (body.len() as i32).to_be_bytes().to_vec();
    frame.extend(body);
    frame
}

fn slices(pairs: &[(StrBytes, Vec<u8>)]) -> Pairs<'_> {
    pairs.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect()
}

proptest! {
    #[test]
    fn heartbeats_are_read((group, member, generation, instance) in member(), version in 0..=4i16) {
        let instance = instance.filter(|_| version >= 3);
        let reference = ReferenceHeartbeat::default()
            .with_group_id(GroupId(group.clone()))
            .with_generation_id(generation)
            .with_member_id(member.clone())
            .with_group_instance_id(instance.clone());
        let body = encoded(&reference, version);
        let read = HeartbeatRequest::decode(version, &body).unwrap();
        let group_instance_id = instance.as_deref();
        let expected =
            HeartbeatRequest { group_id: &group, generation_id: generation, member_id: &member, group_instance_id };
        prop_assert_eq!(read, expected);
        cut_short_is_refused(&body, |body| HeartbeatRequest::decode(version, body).is_err());
    }

    #[test]
    fn joins_are_read(
        (group, member, session, instance) in member(),
        (rebalance, kind, protocols, reason) in (any::<i32>(), text(), vec(pair(), 0..4), option::of(text())),
        version in 0..=9i16,
    ) {
        let instance = instance.filter(|_| version >= 5);
        let reason = reason.filter(|_| version >= 8);
        let rebalance = if version >= 1 { rebalance } else { -1 };
        let protocol = |(name, metadata): &(StrBytes, Vec<u8>)| {
            JoinGroupRequestProtocol::default().with_name(name.clone()).with_metadata(metadata.clone().into())
        };
        let reference = ReferenceJoin::default()
            .with_group_id(GroupId(group.clone()))
            .with_session_timeout_ms(session)
            .with_rebalance_timeout_ms(rebalance)
            .with_member_id(member.clone())
            .with_group_instance_id(instance.clone())
            .with_protocol_type(kind.clone())
            .with_protocols(protocols.iter().map(protocol).collect())
            .with_reason(reason.clone());
        let body = encoded(&reference, version);
        let expected = JoinGroupRequest {
            group_id: &group,
            session_timeout_ms: session,
            rebalance_timeout_ms: rebalance,
            member_id: &member,
            group_instance_id: instance.as_deref(),
            protocol_type: &kind,
            protocols: slices(&protocols),
            reason: reason.as_deref(),
        };
        prop_assert_eq!(JoinGroupRequest::decode(version, &body).unwrap(), expected);
        cut_short_is_refused(&body, |body| JoinGroupRequest::decode(version, body).is_err());
    }

    #[test]
    fn syncs_are_read(
        (group, member, generation, instance) in member(),
        (kind, name, assignments) in (option::of(text()), option::of(text()), vec(pair(), 0..4)),
        version in 0..=5i16,
    ) {
        let instance = instance.filter(|_| version >= 3);
        let (kind, name) = (kind.filter(|_| version >= 5), name.filter(|_| version >= 5));
        let share = |(member, share): &(StrBytes, Vec<u8>)| {
            SyncGroupRequestAssignment::default().with_member_id(member.clone()).with_assignment(share.clone().into())
        };
        let reference = ReferenceSync::default()
            .with_group_id(GroupId(group.clone()))
            .with_generation_id(generation)
            .with_member_id(member.clone())
            .with_group_instance_id(instance.clone())
            .with_protocol_type(kind.clone())
            .with_protocol_name(name.clone())
            .with_assignments(assignments.iter().map(share).collect());
        let body = encoded(&reference, version);
        let expected = SyncGroupRequest {
            group_id: &group,
            generation_id: generation,
            member_id: &member,
            group_instance_id: instance.as_deref(),
            protocol_type: kind.as_deref(),
            protocol_name: name.as_deref(),
            assignments: slices(&assignments),
        };
        prop_assert_eq!(SyncGroupRequest::decode(version, &body).unwrap(), expected);
        cut_short_is_refused(&body, |body| SyncGroupRequest::decode(version, body).is_err());
    }

    /// Whatever comes is read, or refused; what the guard in front of the crate would refuse is refused here.
    #[test]
    fn noise_is_read_or_refused(noise in vec(any::<u8>(), 0..60), version in 0..=9i16) {
        if HeartbeatRequest::decode(version.min(4), &noise).is_ok() {
            prop_assert!(guard::check(12, version.min(4), &noise).is_ok());
        }
        if JoinGroupRequest::decode(version, &noise).is_ok() {
            prop_assert!(guard::check(11, version, &noise).is_ok());
        }
        if SyncGroupRequest::decode(version.min(5), &noise).is_ok() {
            prop_assert!(guard::check(14, version.min(5), &noise).is_ok());
        }
    }

    #[test]
    fn joins_are_answered(
        (leader, member, generation, kind) in member(),
        (name, skip, members) in (option::of(text()), any::<bool>(), vec((pair(), option::of(text())), 0..4)),
        version in 0..=9i16,
    ) {
        let of_member = |((id, metadata), instance): &((StrBytes, Vec<u8>), Option<StrBytes>)| {
            JoinGroupResponseMember::default()
                .with_member_id(id.clone())
                .with_group_instance_id(instance.clone().filter(|_| version >= 5))
                .with_metadata(metadata.clone().into())
        };
        let reference = ReferenceJoinResponse::default()
            .with_error_code(27)
            .with_generation_id(generation)
            .with_protocol_type(kind.clone())
            .with_protocol_name(if version >= 7 { name.clone() } else { Some(name.clone().unwrap_or_default()) })
            .with_leader(leader.clone())
            .with_skip_assignment(version >= 9 && skip)
            .with_member_id(member.clone())
            .with_members(members.iter().map(of_member).collect());
        let response = JoinGroupResponse {
            error: ErrorCode::RebalanceInProgress,
            generation_id: generation,
            protocol_type: kind.as_deref(),
            protocol_name: name.as_deref(),
            leader: &leader,
            skip_assignment: skip,
            member_id: &member,
            members: members.iter().map(|((id, metadata), instance)| JoinedMember {
                member_id: id,
                group_instance_id: instance.as_deref(),
                metadata,
            }),
        };
        prop_assert_eq!(response.encode(5, version).unwrap().to_vec(), frame(&reference, version));
    }

    #[test]
    fn syncs_are_answered(
        (kind, name, assignment) in (option::of(text()), option::of(text()), vec(any::<u8>(), 0..200)),
        version in 0..=5i16,
    ) {
        let reference = ReferenceSyncResponse::default()
            .with_error_code(25)
            .with_protocol_type(kind.clone())
            .with_protocol_name(name.clone())
            .with_assignment(assignment.clone().into());
        let response = SyncGroupResponse {
            error: ErrorCode::UnknownMemberId,
            protocol_type: kind.as_deref(),
            protocol_name: name.as_deref(),
            assignment: &assignment,
        };
        prop_assert_eq!(response.encode(5, version).unwrap().to_vec(), frame(&reference, version));
    }
}

fn cut_short_is_refused(body: &[u8], is_refused: impl Fn(&[u8]) -> bool) {
    for end in 0..body.len() {
        assert!(is_refused(&body[..end]), "cut at {end} of {body:?}");
    }
}

#[test]
fn heartbeats_are_answered() {
    for version in 0..=4 {
        let reference = ReferenceHeartbeatResponse::default().with_error_code(22);
        let ours = encode_heartbeat(5, version, ErrorCode::IllegalGeneration).unwrap();
        assert_eq!(ours, frame(&reference, version));
    }
}

/// A few bytes must not reserve what they claim to hold, nulls have no place here, and Java's strings end somewhere.
#[test]
fn claims_that_the_bytes_do_not_hold_are_refused() {
    let mut claims = encoded(&ReferenceSync::default(), 0);
    let at = claims.len() - 4;
    claims[at..].copy_from_slice(&i32::MAX.to_be_bytes());
    assert_eq!(SyncGroupRequest::decode(0, &claims), Err(Malformed::Count("assignments")));
    claims[at..].copy_from_slice(&(-1i32).to_be_bytes());
    assert_eq!(SyncGroupRequest::decode(0, &claims), Err(Malformed::Length("assignments")));
    assert_eq!(HeartbeatRequest::decode(0, &[0xff, 0xff]), Err(Malformed::Length("group id")));
    assert_eq!(HeartbeatRequest::decode(4, &[0]), Err(Malformed::Length("group id")));
    assert_eq!(HeartbeatRequest::decode(0, &[0, 1, 0xff]), Err(Malformed::Text("group id")));
    let long = ReferenceHeartbeat::default().with_group_id(GroupId(StrBytes::from_string("g".repeat(40_000))));
    assert_eq!(HeartbeatRequest::decode(4, &encoded(&long, 4)), Err(Malformed::Length("group id")));
    // Bytes behind the message are let be, as in Kafka.
    let mut more = encoded(&ReferenceHeartbeat::default(), 4);
    more.extend([1, 2, 3]);
    assert!(HeartbeatRequest::decode(4, &more).is_ok());
}
